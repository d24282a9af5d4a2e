"""A snapshot with something staged: bound to a trunk or to none, and what that changes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.config.watched import Watched, watched
from sbc.demo.pki import LabAuthority
from tests.unit.config.configuration import CARRIER, Write

SECOND = CARRIER.replace("trunk: carrier", "trunk: second")


@pytest.fixture
def directory(write: Write) -> Path:
    made = write({"trunks.d/second.yaml": SECOND})
    issued = LabAuthority("Next CA").issue(dns=["sbc.lab.example"])
    (made / "tls" / "sbc.pem.next").write_bytes(issued.chain_pem)
    (made / "tls" / "sbc.key.next").write_bytes(issued.key_pem)
    return made


def build(directory: Path) -> Snapshot:
    return build_snapshot(directory, time.time())


def test_staged_alone_changes_the_version_and_nobody_s_trust(write: Write, directory: Path) -> None:
    staged = build(directory)
    for name in ("sbc.pem.next", "sbc.key.next"):
        (directory / "tls" / name).unlink()
    plain = build(directory)
    assert set(staged.identities) == {"sbc", "sbc+next"} and set(plain.identities) == {"sbc"}
    assert staged.version != plain.version
    assert staged.trust_generations["carrier"] == plain.trust_generations["carrier"]


def test_a_binding_changes_its_own_trunk_alone(directory: Path) -> None:
    plain = build(directory)
    bound = plain.binding({"sbc": {"carrier"}})
    assert (bound.shown_to("carrier", "sbc"), bound.shown_to("second", "sbc")) == ("sbc+next", "sbc")
    assert bound.version != plain.version
    assert bound.trust_generations["carrier"] != plain.trust_generations["carrier"]
    assert bound.trust_generations["second"] == plain.trust_generations["second"]


def test_what_retires_the_old_one_disturbs_no_connection_made_with_the_new(directory: Path) -> None:
    before = build(directory).binding({"sbc": {"carrier"}}).trust_generations["carrier"]
    for name in ("sbc.pem", "sbc.key"):
        (directory / "tls" / f"{name}.next").rename(directory / "tls" / name)
    assert build(directory).trust_generations["carrier"] == before


@pytest.mark.parametrize(
    "bindings", [{}, {"sbc": {"nobody"}}, {"other": {"carrier"}}, {"sbc+next": {"carrier"}}]
)
def test_what_is_not_there_is_not_bound(directory: Path, bindings: dict[str, set[str]]) -> None:
    plain = build(directory)
    assert plain.binding(bindings).version == plain.version


def test_a_staged_authority_is_another_trust_generation(directory: Path) -> None:
    before = build(directory)
    (directory / "tls" / "carrier-ca.pem.next").write_bytes(LabAuthority("Next CA").cert_pem)
    after = build(directory)
    assert after.anchors["carrier-ca"].subjects == ("CN=Carrier CA", "CN=Next CA")
    assert after.version != before.version
    assert after.trust_generations["carrier"] != before.trust_generations["carrier"]


def test_what_is_staged_wrong_is_a_warning_at_the_entry(directory: Path) -> None:
    (directory / "tls" / "carrier-ca.pem.next").write_bytes(b"junk")
    warnings = [each for each in build(directory).warnings if "carrier-ca.pem.next" in each.message]
    assert [(each.path, each.severity) for each in warnings] == [("sbc.yaml", "warning")]


@pytest.mark.parametrize("public", [False, True])
def test_what_was_staged_stays_trusted_while_its_file_is_broken_unless_it_is_a_public_ca(
    directory: Path, public: bool
) -> None:
    (directory / "tls" / "carrier-ca.pem.next").write_bytes(LabAuthority("Next CA").cert_pem)
    before = build(directory)
    (directory / "tls" / "carrier-ca.pem.next").write_bytes(b"junk")
    was = before.anchors["carrier-ca"]
    assert was.coming is not None
    former = replace(before, anchors={"carrier-ca": replace(was, coming=replace(was.coming, public=public))})
    after = build_snapshot(directory, time.time(), former).anchors["carrier-ca"]
    assert after.subjects == (("CN=Carrier CA",) if public else ("CN=Carrier CA", "CN=Next CA"))


def test_staged_files_are_watched(directory: Path) -> None:
    found = watched(directory)
    for name in ("sbc.pem.next", "sbc.key.next", "carrier-ca.pem.next"):
        assert Watched(directory / "tls", name) in found
