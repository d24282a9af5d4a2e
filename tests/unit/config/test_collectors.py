"""Who is told what happens: what `hep` and `log` may say, and what is wrong with it, with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbc.base import Address, ConfigError
from sbc.config.collect import Destination
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.config.watched import watched
from sbc.demo.pki import LabAuthority

NOW = 1_777_630_000.0
SETTINGS = """\
listeners:
  main: {bind: 127.0.0.1:5060, transport: udp}
identities:
  sbc: {chain: sbc.pem, key: sbc.key}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    authority = LabAuthority("Collectors", now=NOW)
    issued = authority.issue(["sbc.example"])
    (tmp_path / "sbc.pem").write_bytes(issued.chain_pem)
    (tmp_path / "sbc.key").write_bytes(issued.key_pem)
    (tmp_path / "sbc.key").chmod(0o600)
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem)
    (tmp_path / "word").write_text("hush\n")
    (tmp_path / "word").chmod(0o600)
    return tmp_path


def built(place: Path, text: str) -> Snapshot:
    (place / "sbc.yaml").write_text(SETTINGS + text)
    return build_snapshot(place, NOW)


def test_nobody_is_told_unless_it_is_said(place: Path) -> None:
    snapshot = built(place, "")
    assert (snapshot.hep, snapshot.syslog, snapshot.settings.log.mask_numbers) == (None, None, None)


def test_the_short_forms(place: Path) -> None:
    snapshot = built(
        place, "hep: udp:127.0.0.1:9060\nlog: {syslog: 'tls:log.example:6514', mask_numbers: 3}\n"
    )
    assert snapshot.hep is not None and snapshot.syslog is not None
    assert snapshot.hep.to == Destination("udp", Address("127.0.0.1", 9060)) and snapshot.hep.number == 2001
    assert snapshot.syslog.to == Destination("tls", Address("log.example", 6514))
    assert snapshot.syslog.number == 16 and snapshot.settings.log.mask_numbers == 3


def test_the_long_forms_have_their_files_read(place: Path) -> None:
    text = (
        "hep: {to: 'tls:[::1]:9061', id: 7, password_file: word, ca: ca.pem}\n"
        "log: {syslog: {to: 'tls:log.example:6514', ca: ca.pem, identity: sbc, facility: daemon}}\n"
    )
    snapshot = built(place, text)
    hep, syslog = snapshot.hep, snapshot.syslog
    assert hep is not None and syslog is not None
    assert (hep.number, hep.password, hep.to.address) == (7, b"hush", Address("::1", 9061))
    assert "BEGIN CERTIFICATE" in hep.ca_pem and "hush" not in repr(hep)
    assert syslog.number == 3 and syslog.identity is not None and not syslog.broken


@pytest.mark.parametrize("file", ["word", "ca.pem"])
def test_another_file_is_another_configuration_and_is_watched(place: Path, file: str) -> None:
    text = "hep: {to: 'tls:127.0.0.1:9061', password_file: word, ca: ca.pem}\n"
    before = built(place, text).version
    (place / "word").write_text("other")
    (place / "ca.pem").write_bytes(LabAuthority("Others", now=NOW).cert_pem)
    assert built(place, text).version != before
    assert file in {each.pattern for each in watched(place)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hep: 127.0.0.1:9060", "write udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT"),
        ("hep: 'sctp:a:1'", "does not say how and where"),
        ("hep: udp:a:0", "'udp:a:0' has no port"),
        ("hep: udp:a:70000", "port 70000 does not exist"),
        ("hep: {id: 1}", "to"),
        ("hep: {to: 'udp:127.0.0.1:1', id: 0}", "id"),
        ("hep: {to: 'udp:127.0.0.1:1', ca: ca.pem}", "write to: tls:HOST:PORT, or leave them out"),
        ("hep: {to: 'udp:127.0.0.1:1', password_file: nothing}", "nothing: there is no such file"),
        ("hep: {to: 'udp:127.0.0.1:1', password_file: empty}", "printf '%s' PASSWORD > empty"),
        ("hep: {to: 'tls:127.0.0.1:1', ca: word}", "word: "),
        ("hep: {to: 'tls:127.0.0.1:1', identity: sbx}", "unknown identity 'sbx'"),
        ("log: {mask_numbers: 0}", "mask_numbers"),
        ("log: {mask_numbers: all}", "mask_numbers"),
        ("log: {syslog: {to: 'tls:127.0.0.1:1', facility: mail}}", "facility"),
        ("log: {sislog: 'udp:a:1'}", "syslog"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_a_remedy(place: Path, text: str, told: str) -> None:
    (place / "empty").write_text("")
    with pytest.raises(ConfigError) as caught:
        built(place, text + "\n")
    said = str(caught.value)
    assert told in said and "sbc.yaml:5:" in said


def test_what_tls_protected_does_not_leave_in_the_clear_unsaid(place: Path) -> None:
    def told(text: str) -> list[int]:
        return [each.line for each in built(place, text).warnings if "in the clear" in each.message]

    assert told("hep: udp:198.51.100.7:9060\n") == [5]
    assert told("hep: udp:127.0.0.1:9060\n") == told("hep: tls:198.51.100.7:9060\n") == []
