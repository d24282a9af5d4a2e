"""Broken certificate files stop the trunks that need them, and at a reload not even those."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.quarantine import changes, told
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import LabAuthority
from tests.unit.config.configuration import CARRIER, SBC, Write

NOW = time.time()
DAY = 86400.0
TWO = {
    "sbc.yaml": SBC.replace(
        "  carrier-ca: {ca: tls/carrier-ca.pem}",
        "  carrier-ca: {ca: tls/carrier-ca.pem}\n  lab-ca: {ca: tls/lab-ca.pem}",
    ).replace(
        "# the truststore", "  own: {chain: tls/office.pem, key: tls/office.key}\n# the truststore"
    ).replace("media:", "tenants:\n  acme: {domains: [sbc.acme.example], server_identity: own}\nmedia:"),
    "trunks.d/office.yaml": CARRIER.replace("trunk: carrier", "trunk: office\ntenant: acme")
    .replace("carrier-ca", "lab-ca").replace("  server_identity: sbc\n", "").replace("sbc", "own"),
}  # fmt: skip


def spoil(directory: Path, name: str, data: bytes = b"not a certificate") -> None:
    (directory / "tls" / name).write_bytes(data)


def build(directory: Path, former: Snapshot | None = None, now: float = NOW) -> Snapshot:
    return build_snapshot(directory, now, former)


@pytest.mark.parametrize(
    ("file", "trunk", "tenants", "place"),
    [
        ("office.key", "office", ["acme"], "sbc.yaml:8"),
        ("office.pem", "office", ["acme"], "sbc.yaml:8"),
        ("lab-ca.pem", "office", [], "sbc.yaml:12"),
        ("sbc.pem", "carrier", [], "sbc.yaml:7"),
        ("carrier-ca.pem", "carrier", [], "sbc.yaml:11"),
    ],
)
def test_at_a_start_the_trunk_that_needs_it_is_stopped_and_no_other(
    write: Write, file: str, trunk: str, tenants: list[str], place: str
) -> None:
    directory = write(TWO)
    spoil(directory, file)
    snapshot = build(directory)
    assert list(snapshot.quarantined) == [trunk] and not snapshot.held
    assert list(snapshot.quarantined_tenants) == tenants
    (said,) = snapshot.quarantined[trunk]
    assert f"{said.path}:{said.line}" == place and f"tls/{file}" in said.message and said.hint
    assert said in snapshot.warnings and said.severity == "error"
    lines = told(snapshot)
    assert len(lines) == 1 + len(tenants)
    assert lines[0].startswith(f"quarantined: trunk {trunk} because {place}: tls/{file}: ")
    (change,) = changes(None, snapshot)
    assert change == ("trunk-quarantined", trunk, f"{place}: {said.message} ({said.hint})")


def test_where_no_trunk_is_left_nothing_starts(write: Write) -> None:
    directory = write(TWO)
    spoil(directory, "office.key")
    spoil(directory, "sbc.key")
    with pytest.raises(ConfigError) as refused:
        build(directory)
    assert sum(each.severity == "error" for each in refused.value.diagnostics) == 2


def test_a_mistake_in_the_yaml_refuses_all_and_tells_the_broken_file_too(write: Write) -> None:
    directory = write(TWO | {"trunks.d/carrier.yaml": CARRIER.replace("srtp: accept", "srtp: acept")})
    spoil(directory, "office.key")
    with pytest.raises(ConfigError) as refused:
        build(directory)
    told = [each.path for each in refused.value.diagnostics if each.severity == "error"]
    assert told == ["sbc.yaml", "trunks.d/carrier.yaml"]


def test_what_no_trunk_needs_stops_none_and_is_told(write: Write) -> None:
    directory = write(
        TWO | {"sbc.yaml": TWO["sbc.yaml"].replace("trust:", "trust:\n  spare: {ca: tls/x.pem}")}
    )
    snapshot = build(directory)
    assert not snapshot.quarantined
    assert [each.line for each in snapshot.warnings if each.severity == "error"] == [11]


def test_a_broken_revocation_list_stops_who_needs_its_ca(write: Write) -> None:
    listed = TWO["sbc.yaml"].replace("{ca: tls/lab-ca.pem}", "{ca: tls/lab-ca.pem, crl: tls/lab.crl}")
    directory = write(TWO | {"sbc.yaml": listed})
    spoil(directory, "lab.crl", b"no list")
    snapshot = build(directory)
    assert list(snapshot.quarantined) == ["office"]
    assert "tls/lab.crl" in snapshot.why_quarantined("office")


def newly(directory: Path, trust: str) -> None:
    """Let office trust the entries of ``trust``, of which new-ca's file is not there, and demand SRTP."""
    more = TWO["sbc.yaml"].replace("trust:", "trust:\n  new-ca: {ca: tls/new-ca.pem}")
    (directory / "sbc.yaml").write_text(more)
    path = directory / "trunks.d" / "office.yaml"
    path.write_text(path.read_text().replace("[lab-ca]", trust).replace("srtp: accept", "srtp: required"))


class TestReload:
    @pytest.mark.parametrize("file", ["office.key", "office.pem", "lab-ca.pem"])
    def test_what_was_in_force_stays_in_force_and_the_rest_is_applied(self, write: Write, file: str) -> None:
        directory = write(TWO)
        first = build(directory)
        spoil(directory, file)
        (directory / "trunks.d" / "carrier.yaml").write_text(CARRIER + "limits: {calls: 7}\n")
        second = build(directory, first)
        assert not second.quarantined and list(second.held) == ["office"]
        assert second.identities == first.identities and second.anchors == first.anchors
        assert second.trust_generations["office"] == first.trust_generations["office"]
        assert second.trunks["carrier"].limits.calls == 7
        assert second.version != first.version
        assert told(second)[0].startswith("held: trunk office runs on what was in force before, because")

    def test_it_is_mended_when_the_file_is(self, write: Write) -> None:
        directory = write(TWO)
        first = build(directory)
        good = (directory / "tls" / "office.key").read_bytes()
        spoil(directory, "office.key")
        second = build(directory, first)
        spoil(directory, "office.key", good)
        third = build(directory, second)
        assert third.version == first.version and not third.held
        assert [each[:2] for each in changes(first, second)] == [("trunk-held", "office")]
        assert list(changes(second, third)) == [("trunk-mended", "office", "")]
        assert list(changes(third, third)) == []

    def test_of_a_quarantined_trunk_nothing_was_in_force(self, write: Write) -> None:
        directory = write(TWO)
        spoil(directory, "office.key")
        first = build(directory)
        second = build(directory, first)
        assert list(second.quarantined) == ["office"] and second.version == first.version
        assert [each[0] for each in changes(None, first)] == ["trunk-quarantined"]
        assert list(changes(first, second)) == []

    def test_what_has_expired_is_not_kept(self, write: Write) -> None:
        directory = write(TWO)
        short = LabAuthority("Lab CA").issue(dns=["office.lab.example"], not_after=NOW + 20 * DAY)
        spoil(directory, "office.pem", short.chain_pem)
        spoil(directory, "office.key", short.key_pem)
        first = build(directory)
        spoil(directory, "office.key")
        assert not build(directory, first, NOW + 19 * DAY).quarantined
        assert list(build(directory, first, NOW + 21 * DAY).quarantined) == ["office"]

    def test_what_an_entry_may_vouch_for_is_as_it_says_now(self, write: Write) -> None:
        directory = write(TWO)
        first = build(directory)
        spoil(directory, "lab-ca.pem")
        narrow = TWO["sbc.yaml"].replace(
            "{ca: tls/lab-ca.pem}", "{ca: tls/lab-ca.pem, permitted: [a.example]}"
        )
        (directory / "sbc.yaml").write_text(narrow)
        assert build(directory, first).anchors["lab-ca"].permitted == ("a.example",)

    def test_a_ca_is_not_kept_in_place_of_a_pin(self, write: Write) -> None:
        directory = write(TWO)
        first = build(directory)
        (directory / "sbc.yaml").write_text(
            TWO["sbc.yaml"].replace("ca: tls/lab-ca.pem", "leaf: tls/gone.pem")
        )
        assert "lab-ca" not in build(directory, first).anchors

    def test_a_trunk_that_newly_names_something_broken_does_without_it(self, write: Write) -> None:
        directory = write(TWO)
        first = build(directory)
        newly(directory, "[lab-ca, new-ca]")
        second = build(directory, first)
        office = second.trunks["office"]
        assert office.tls is not None and office.tls.trust == ("lab-ca",) and office.srtp == "required"
        assert list(second.held) == ["office"] and not second.quarantined
        spoil(directory, "new-ca.pem", LabAuthority("new CA").cert_pem)
        third = build(directory, second).trunks["office"]
        assert third.tls is not None and third.tls.trust == ("lab-ca", "new-ca")

    def test_trust_that_was_taken_from_it_is_not_given_back(self, write: Write) -> None:
        directory = write(TWO)
        first = build(directory)
        newly(directory, "[new-ca]")
        second = build(directory, first)
        assert list(second.quarantined) == ["office"] and not second.held
        spoil(directory, "new-ca.pem", LabAuthority("new CA").cert_pem)
        assert not build(directory, second).quarantined

    def test_of_an_identity_that_is_newly_broken_the_former_is_shown(self, write: Write) -> None:
        directory = write(TWO)
        first = build(directory)
        more = TWO["sbc.yaml"].replace(
            "identities:", "identities:\n  new: {chain: tls/new.pem, key: tls/new.key}"
        )
        (directory / "sbc.yaml").write_text(more)
        path = directory / "trunks.d" / "office.yaml"
        former = first.trunks["office"].tls
        assert former is not None
        shown = f"client_identity: {former.client_identity}"
        text = path.read_text()
        assert shown in text
        path.write_text(text.replace(shown, "client_identity: new").replace("accept", "required"))
        second = build(directory, first)
        office = second.trunks["office"]
        assert office.tls == former and office.srtp == "required" and list(second.held) == ["office"]
        assert list(build(directory).quarantined) == ["office"]

    def test_and_is_stopped_where_what_it_was_is_gone(self, write: Write) -> None:
        directory = write(TWO)
        first = build(directory)
        renamed = TWO["sbc.yaml"].replace("lab-ca: {ca: tls/lab-ca.pem}", "new-ca: {ca: tls/new-ca.pem}")
        (directory / "sbc.yaml").write_text(renamed)
        office = (directory / "trunks.d" / "office.yaml").read_text()
        (directory / "trunks.d" / "office.yaml").write_text(office.replace("[lab-ca]", "[new-ca]"))
        assert list(build(directory, first).quarantined) == ["office"]
