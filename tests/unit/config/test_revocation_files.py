"""The operator's own revocation lists: read at load, and each mistake at its line with what to do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.config.watched import Watched, watched
from sbc.demo.pki import LabAuthority
from tests.unit.config.configuration import CARRIER, SBC, Write
from tests.unit.tls.revoking import HOUR, pem_of_list, revocation_list

CA = LabAuthority("carrier CA")
OTHER = LabAuthority("other CA")
NOW = time.time()


def directory(write: Write, crl: str, files: dict[str, bytes]) -> Path:
    """The right configuration with lists under the trust entry."""
    text = SBC.replace("{ca: tls/carrier-ca.pem}", f"{{ca: tls/carrier-ca.pem, crl: {crl}}}")
    where = write({"sbc.yaml": text})
    (where / "tls/carrier-ca.pem").write_bytes(CA.cert_pem)
    for name, data in files.items():
        (where / "tls" / name).write_bytes(data)
    return where


def load(write: Write, crl: str, **files: bytes) -> Snapshot:
    named = {name.replace("_", "."): data for name, data in files.items()}
    return build_snapshot(directory(write, crl, named), NOW)


def told(write: Write, crl: str, **files: bytes) -> tuple[str, str]:
    """The first line and the hint of the one mistake."""
    with pytest.raises(ConfigError) as refused:
        load(write, crl, **files)
    (one,) = [each for each in refused.value.diagnostics if each.severity == "error"]
    return str(one).splitlines()[0], one.hint


def serials(snapshot: Snapshot) -> list[set[int]]:
    return [set(each.serials) for _, each in snapshot.lists["carrier-ca"]]


def test_one_file_several_and_der_or_pem(write: Write) -> None:
    one, two = revocation_list(CA, NOW, [1]), revocation_list(CA, NOW, [2])
    assert serials(load(write, "tls/one.crl", one_crl=one)) == [{1}]
    both = load(write, "[tls/one.crl, tls/two.pem]", one_crl=one, two_pem=pem_of_list(two) + pem_of_list(one))
    assert serials(both) == [{1}, {2}, {1}]


def test_another_list_is_another_version(write: Write) -> None:
    before = load(write, "tls/one.crl", one_crl=revocation_list(CA, NOW, [1]))
    after = load(write, "tls/one.crl", one_crl=revocation_list(CA, NOW, [1, 2]))
    assert before.version != after.version
    assert before.trust_generations["carrier"] == after.trust_generations["carrier"], "connections may stay"


WRONG: dict[str, tuple[str, bytes | None, str, str]] = {
    "of another CA": (
        "tls/x.crl", revocation_list(OTHER, NOW),
        "tls/x.crl: the revocation list was issued by CN=other CA, not by CN=carrier CA",
        "give the list of the CA that issued the certificates",
    ),
    "a web page": ("tls/x.crl", b"<html>", "tls/x.crl: this is a web page, not a revocation list", "address"),
    "a certificate": ("tls/x.crl", CA.cert_pem, "this PEM is no revocation list", "its certificate or key"),
    "absent": ("tls/x.crl", None, "tls/x.crl: there is no such file", "looked for"),
    "https": ("https://ca.example/x", None, "cannot be fetched: only http:// is", "or a file"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=list(WRONG))
def test_what_is_wrong_is_named_at_its_line(write: Write, case: tuple[Any, ...]) -> None:
    crl, data, message, hint = case
    line, said = told(write, crl, **({} if data is None else {"x_crl": data}))
    assert line.startswith("sbc.yaml:10:") and message in line and hint in said


def test_a_list_in_a_list_of_them_is_named_too(write: Write) -> None:
    good = revocation_list(CA, NOW)
    line, _ = told(write, "[tls/one.crl, tls/two.crl]", one_crl=good, two_crl=b"?")
    assert line.startswith("sbc.yaml:10:") and "tls/two.crl: this is no revocation list" in line


def test_a_stale_list_is_a_warning(write: Write) -> None:
    old = revocation_list(CA, NOW, [1], begins=-3 * HOUR, ends=-2 * HOUR)
    snapshot = load(write, "tls/x.crl", x_crl=old)
    said = [str(each) for each in snapshot.warnings if "the revocation list of CN=carrier CA" in each.message]
    assert len(said) == 1 and "is out of date since" in said[0]
    assert serials(snapshot) == [{1}]


def test_a_broken_list_keeps_what_was_in_force(write: Write) -> None:
    former = load(write, "tls/x.crl", x_crl=revocation_list(CA, NOW, [1]))
    (former.directory / "tls/x.crl").write_bytes(b"<html>")
    fresh = build_snapshot(former.directory, NOW, former)
    assert serials(fresh) == [{1}] and "carrier" in fresh.held and not fresh.quarantined


def test_its_files_are_watched_and_its_addresses_are_not(write: Write) -> None:
    where = directory(
        write, '[tls/one.crl, "http://ca.example/x.crl"]', {"one.crl": revocation_list(CA, NOW)}
    )
    assert Watched(where / "tls", "one.crl") in watched(where)
    assert not [each for each in watched(where) if "x.crl" in each.pattern]


@pytest.mark.parametrize(
    ("methods", "mode", "warned"), [("[staple]", "hard", 1), ("[staple]", "off", 0), ("[crl]", "hard", 0)]
)
def test_staples_alone_tell_nothing_of_who_connects(
    write: Write, methods: str, mode: str, warned: int
) -> None:
    policy = f"  revocation: {{mode: {mode}, methods: {methods}}}\n  name_match"
    snapshot = build_snapshot(write({"trunks.d/carrier.yaml": CARRIER.replace("  name_match", policy)}), NOW)
    said = [each for each in snapshot.warnings if "nothing can be learned" in each.message]
    assert len(said) == warned and all("cannot staple" in each.hint and each.line == 10 for each in said)


def test_a_pinned_peer_has_no_list(write: Write) -> None:
    text = SBC.replace("{ca: tls/carrier-ca.pem}", "{leaf: tls/office.pem, crl: tls/x.crl}")
    with pytest.raises(ConfigError) as refused:
        build_snapshot(write({"sbc.yaml": text}), NOW)
    assert any(
        "trust carrier-ca has no CA that could sign this" in each.message
        for each in refused.value.diagnostics
    )
