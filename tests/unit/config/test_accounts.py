"""`register:` of a trunk: the account that comes of it, its password's file, and every mistake in it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.config.exposure import exposures
from sbc.config.load import build_snapshot
from sbc.config.model import Registration
from sbc.config.snapshot import Snapshot
from sbc.config.watched import Watched, watched
from tests.unit.config.configuration import FILES, Write

TRUNK = "trunks.d/carrier.yaml"
REGISTER = """\
register:
  user: "4930123"
  realm: sip.carrier.example
  password_file: secrets/carrier
"""
SECRET = "correct horse"


def built(write: Write, register: str = REGISTER, secret: str | bytes | None = SECRET) -> Snapshot:
    """The snapshot of a configuration with this `register:` and this password in its file."""
    return build_snapshot(directory(write, register, secret), time.time())


def directory(write: Write, register: str = REGISTER, secret: str | bytes | None = SECRET) -> Path:
    made = write({TRUNK: FILES[TRUNK] + register})
    (made / "secrets").mkdir(exist_ok=True)
    if secret is not None:
        path = made / "secrets" / "carrier"
        path.write_bytes(secret if isinstance(secret, bytes) else secret.encode())
        path.chmod(0o600)
    return made


def wrong(write: Write, register: str = REGISTER, secret: str | bytes | None = SECRET) -> list[str]:
    """What the operator is told, ``path:line:col: severity: message | hint``."""
    with pytest.raises(ConfigError) as raised:
        built(write, register, secret)
    return [
        f"{each.path}:{each.line}:{each.col}: {each.severity}: {each.message} | {each.hint}"
        for each in raised.value.diagnostics
        if each.severity == "error"
    ]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_password_is_the_line_of_its_file(write: Write, ending: str) -> None:
    account = built(write, secret=f" {SECRET} {ending}").accounts["carrier"]
    assert (account.username, account.realm, account.password) == (
        "4930123",
        "sip.carrier.example",
        f" {SECRET} ",
    )


def test_another_name_may_be_what_is_proved(write: Write) -> None:
    snapshot = built(write, REGISTER + "  auth_user: account-7\n")
    assert snapshot.accounts["carrier"].username == "account-7"
    registration = snapshot.trunks["carrier"].registration
    assert registration is not None and (registration.user, registration.expires) == ("4930123", 3600.0)


def test_no_password_is_shown(write: Write) -> None:
    snapshot = built(write)
    assert SECRET not in repr(snapshot) + repr(snapshot.accounts)


def test_another_password_is_another_version(write: Write) -> None:
    assert built(write).version != built(write, secret="another").version


def test_its_file_is_watched_also_while_the_trunk_has_a_mistake(write: Write) -> None:
    made = directory(write, REGISTER + "  bulk: perhaps\n")
    assert Watched(made / "secrets", "carrier") in watched(made)
    quoted = directory(write, "register: {user: a, realm: b, password_file: 'secrets/carrier', bulk: true}\n")
    assert Watched(quoted / "secrets", "carrier") in watched(quoted)


def test_a_password_that_others_read_is_told(write: Write) -> None:
    snapshot = built(write)
    path = snapshot.directory / "secrets" / "carrier"

    def told() -> list[str]:
        return [each.hint for each in exposures(snapshot) if each.path == "secrets/carrier"]

    assert told() == []
    path.chmod(0o644)
    assert told() == [f"chmod o-r {path}"]


CASES = {
    "no file": (
        REGISTER, None,
        "trunks.d/carrier.yaml:15:18: error: secrets/carrier: cannot be read: no such file or directory"
        " | its path is relative to the directory of sbc.yaml, and the user that runs sbc reads it",
    ),
    "an empty file": (
        REGISTER, "\n",
        "trunks.d/carrier.yaml:15:18: error: secrets/carrier: is empty"
        " | write the password alone: printf '%s' PASSWORD > secrets/carrier",
    ),
    "a file of two lines": (
        REGISTER, "user\npassword\n",
        "trunks.d/carrier.yaml:15:18: error: secrets/carrier: has more than one line"
        " | write the password alone: printf '%s' PASSWORD > secrets/carrier",
    ),
    "another encoding": (
        REGISTER, "pässword".encode("latin-1"),
        "trunks.d/carrier.yaml:15:18: error: secrets/carrier: the file is not UTF-8 | save it as UTF-8",
    ),
    "a number without quotes": (
        REGISTER.replace('"4930123"', "4930123"), SECRET,
        "trunks.d/carrier.yaml:13:9: error: user: expected text, found the number 4930123 | put it in quotes",
    ),
    "an address in place of a user": (
        REGISTER.replace("4930123", "4930123@carrier.example"), SECRET,
        "trunks.d/carrier.yaml:13:9: error: user: '4930123@carrier.example' cannot be a user"
        " | write the part before the @, such as 4930123456",
    ),
    "no realm": (
        REGISTER.replace("  realm: sip.carrier.example\n", ""), SECRET,
        "trunks.d/carrier.yaml:12:1: error: key 'realm' is missing | write realm: sip.carrier.example",
    ),
    "an unknown key": (
        REGISTER + "  expire: 60\n", SECRET,
        "trunks.d/carrier.yaml:16:3: error: unknown key 'expire' | did you mean 'expires'?",
    ),
    "no time": (
        REGISTER + "  expires: 5\n", SECRET,
        "trunks.d/carrier.yaml:16:12: error: expires: 5.0 is too small | the least is 10",
    ),
    "years": (
        REGISTER + "  expires: 365d\n", SECRET,
        "trunks.d/carrier.yaml:16:12: error: expires: 31536000.0 is too much | the most is 604800",
    ),
    "a proxy that is no peer": (
        REGISTER + "  outbound_proxy: 192.0.2.9:5061\n", SECRET,
        "trunks.d/carrier.yaml:16:19: error: 192.0.2.9:5061 is not one of the trunk's peers"
        " | add 192.0.2.9:5061 to `peers`, so that its calls go there too",
    ),
    "nobody's domain": (
        REGISTER + "  domain: 0.0.0.0\n", SECRET,
        "trunks.d/carrier.yaml:16:11: error: 0.0.0.0 is nobody's domain"
        " | write the carrier's domain, the part behind the @ of our address there",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_has_its_line_and_remedy(write: Write, case: str) -> None:
    register, secret, said = CASES[case]
    assert wrong(write, register, secret) == [said]


def test_who_registers_with_nobody_is_told(write: Write) -> None:
    made = directory(write)
    path = made / TRUNK
    path.write_text(path.read_text().replace("peers: [127.0.0.1:16061]\n", ""))
    with pytest.raises(ConfigError, match=r"carrier.yaml:11:1: error: there is no peer to register with"):
        build_snapshot(made, time.time())


def test_who_registers_needs_no_sources(write: Write) -> None:
    made = directory(write)
    path = made / TRUNK
    path.write_text(path.read_text().replace("sources: [10.0.0.0/8]\n", ""))
    assert [each for each in build_snapshot(made, time.time()).warnings if "sources" in each.message] == []


PAGE = (Path(__file__).parents[3] / "docs" / "registration.md").read_text()


def test_the_page_s_example_is_right(write: Write) -> None:
    [(name, text)] = re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
    made = write({name: text.replace("trunk-tls", "tls")})
    (made / "secrets").mkdir()
    (made / "secrets" / "carrier").write_text(SECRET)
    snapshot = build_snapshot(made, time.time())
    assert snapshot.accounts["carrier"].username == "account-7"
    assert [each.message for each in snapshot.warnings if each.path == name] == []


def test_the_page_explains_every_key() -> None:
    assert [key for key in Registration.model_fields if f"| `{key}` |" not in PAGE] == []
