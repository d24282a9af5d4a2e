"""What is wrong with `lookups:` in sbc.yaml, told at its place; and what is kept of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.config.exposure import exposures
from sbc.config.load import build_snapshot
from sbc.config.watched import watched
from sbc.demo.pki import LabAuthority

NOW = 1_780_000_000.0
LISTENER = "listeners: {udp: {bind: 127.0.0.1:5060, transport: udp}}\n"
TRUNK = "trunk: a\nlistener: udp\npeers: [127.0.0.1:5070]\nsources: [127.0.0.1]\n"
RULES = 'rules: [{name: r, when: "true", then: ask "crm" else reject 503}]\n'
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(lookups: str, rules: str = RULES, **files: bytes) -> Path:
        (tmp_path / "trunks.d").mkdir(exist_ok=True)
        (tmp_path / "routes.d").mkdir(exist_ok=True)
        (tmp_path / "sbc.yaml").write_text(LISTENER + f"lookups: {lookups}\n")
        (tmp_path / "trunks.d" / "a.yaml").write_text(TRUNK)
        (tmp_path / "routes.d" / "r.yaml").write_text(rules)
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        return tmp_path

    return write


def crm(words: str) -> str:
    return f"{{crm: {{url: 'https://crm.example/x', facts: [to.user], {words}}}}}"


def told(directory: Path) -> list[str]:
    try:
        found = build_snapshot(directory, NOW).warnings
    except ConfigError as error:
        found = error.diagnostics
    return [f"{each.path}: {each.message} | {each.hint}" for each in found]


@pytest.mark.parametrize(
    ("lookups", "message"),
    [
        ("{crm: {url: 'ftp://x/', facts: [to.user]}}", "url: 'ftp://x/' is not the URL of a service"),
        ("{crm: {url: 'https://u:p@x/', facts: [to.user]}}", "url: a password in a URL is read by many"),
        ("{crm: {url: 'https://x:0/', facts: [to.user]}}", "url: 'https://x:0/' is not the URL"),
        ("{crm: {url: 'https://x/#a', facts: [to.user]}}", "url: 'https://x/#a' is not the URL"),
        ("{crm: {url: 'https://x/'}}", "key 'facts' is missing"),
        ("{crm: {url: 'https://x/', facts: []}}", "facts: nothing is given"),
        ("{c-m: {url: 'https://x/', facts: [to.user]}}", "'c-m' cannot be a name in a rule | write letters"),
        (crm("timeout: 31s"), "timeout: 31s is longer than a caller waits | write 30s or less"),
        (crm("in_flight: 1001"), "in_flight: "),
        (crm("answers: {route: text}"), "'route' has a meaning of its own"),
        (crm("answers: {answered: text}"), "'answered' has a meaning of its own"),
        (crm("answers: {a-b: text}"), "'a-b' cannot be a name in a rule"),
        (crm("decides: false"), "crm: nothing of its answers would be used | write answers: {number: text}"),
        (crm("identity: sbc"), "unknown identity 'sbc' | define it under `identities:`"),
        (crm("ca: none.pem"), "none.pem: there is no such file"),
        (crm("ca: text"), "text: no certificate can be read here"),
        (crm("token_file: none"), "none: there is no such file"),
        (crm("token_file: text"), "text: no token can be read here"),
        (crm("token_file: empty"), "empty: no token can be read here"),
        ("{crm: {url: 'http://x/', facts: [to.user], ca: text}}", "ca and identity are for TLS"),
        ("{crm: {url: 'http://x/', facts: [to.user], token_file: token}}", "the token would cross"),
        ("{crm: {url: 'http://x/', facts: [to.user]}}", "it is asked in the clear | write url: https://...;"),
        ("{crm: {url: 'https://x/', facts: [to.usr]}}", "'to.usr': there is no fact 'to.usr'"),
        ("{crm: {url: 'https://x/', facts: [time]}}", "'time' is not a fact that can be sent"),
        ("{crm: {url: 'https://x/', facts: ['\"x\"']}}", "'\"x\"' is not a fact that can be sent"),
        ("{crm: {url: 'https://x/', facts: [lookup.crm.x]}}", "'lookup.crm.x' is not a fact that"),
        ("{crm: {url: 'https://x/', facts: ['header(5)']}}", "'header(5)': text in quotes is needed here"),
        ("{crm: {url: 'https://x/', facts: ['a b']}}", "'a b': unexpected 'b'"),
        ("{crm: {url: 'https://x/', facts: [to.user, to.user]}}", "to.user stands twice | leave one out"),
    ],
)  # fmt: skip
def test_mistakes(write: Write, lookups: str, message: str) -> None:
    found = told(write(lookups, text=b"a b\n", empty=b"\n", token=b"abc"))
    assert any(each.startswith("sbc.yaml: ") and message in each for each in found), found
    if "c-m" not in lookups:
        assert not [each for each in found if each.startswith("routes.d/")], "told once, where it is"


def test_what_is_right_is_read(write: Write) -> None:
    ca = LabAuthority("CRM CA").cert_pem
    words = crm("ca: ca, token_file: token, cache: off, timeout: 1s, answers: {n: number, b: boolean}")
    directory = write(words, ca=ca, token=b" abc== \n")
    snapshot = build_snapshot(directory, NOW)
    lookup = snapshot.lookups["crm"]
    assert (lookup.token, lookup.config.cache, lookup.broken) == ("abc==", 0.0, "")
    assert lookup.service.answers == {"n": "number", "b": "truth"} and not lookup.service.decides
    assert lookup.trunks == frozenset() and snapshot.warnings == ()
    paths = {str(each.directory / each.pattern) for each in watched(directory)}
    assert {str(directory / "ca"), str(directory / "token")} <= paths
    (directory / "token").chmod(0o644)
    assert any("read this secret" in each.message and each.path == "token" for each in exposures(snapshot))


def test_what_changes_makes_another_of_it(write: Write) -> None:
    def version(words: str = "", token: bytes = b"abc") -> tuple[str, str]:
        snapshot = build_snapshot(write(crm(f"token_file: token, {words}"), token=token), NOW)
        return snapshot.lookups["crm"].version, snapshot.version

    first = version()
    assert version() == first
    for other in (version("cache: 1s"), version(token=b"abd")):
        assert other[0] != first[0] and other[1] != first[1]


def test_one_that_decides_may_name_the_trunks(write: Write) -> None:
    assert build_snapshot(write(crm("")), NOW).lookups["crm"].trunks == {"a"}
    words = crm("answers: {n: text}, decides: true")
    assert build_snapshot(write(words), NOW).lookups["crm"].service.decides


def test_one_that_no_rule_asks_is_warned_of(write: Write) -> None:
    rules = 'rules: [{name: r, when: "true", then: reject 503}]\n'
    (found,) = told(write(crm(""), rules))
    assert found.startswith('sbc.yaml: no rule asks this lookup | let one say: ask "crm" else reject 503')


def test_on_this_machine_plain_http_is_no_warning(write: Write) -> None:
    for host in ("127.0.0.1:8081", "localhost", "[::1]:80"):
        words = f"{{crm: {{url: 'http://{host}/', facts: [to.user], token_file: t}}}}"
        assert told(write(words, t=b"x")) == []
