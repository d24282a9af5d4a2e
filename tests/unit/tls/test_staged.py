"""What lies beside a certificate's files: staged, checked, and whole at every moment of a move."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from sbc.demo.pki import Issued
from sbc.tls.lifetime.staged import EntryFiles, PairFiles, load_dual, load_staged, load_whole
from sbc.tls.material.certificate import read_certificate
from tests.unit.tls.certs import DAY, GOOD, NOW, OTHER, der

FILES = PairFiles("sbc.pem", "sbc.key")
OLD = GOOD.issue(dns=["sbc.example"])
NEW = OTHER.issue(dns=["sbc.example"])
ROOTS = ("CN=good CA", "CN=other CA")


def put(directory: Path, **files: bytes) -> None:
    for name, data in files.items():
        (directory / name.replace("_", ".")).write_bytes(data)


def print_of(issued: Issued) -> str:
    return read_certificate(der(issued.cert_pem)).identity.thumbprint


def test_a_staged_pair_is_loaded_under_a_name_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, sbc_pem=OLD.chain_pem, sbc_key=OLD.key_pem)
    assert load_staged("sbc", FILES, tmp_path, NOW) == (None, [])
    put(tmp_path, sbc_pem_next=NEW.chain_pem, sbc_key_next=NEW.key_pem)
    material, problems = load_staged("sbc", FILES, tmp_path, NOW, ROOTS)
    assert material is not None and problems == []
    assert (material.name, material.thumbprint) == ("sbc+next", print_of(NEW))


def test_a_renewed_chain_may_keep_the_key(tmp_path: Path) -> None:
    put(tmp_path, sbc_pem=OLD.chain_pem, sbc_key=OLD.key_pem, sbc_pem_next=OLD.chain_pem)
    material, problems = load_staged("sbc", FILES, tmp_path, NOW, ROOTS)
    assert material is not None and problems == [] and material.thumbprint == print_of(OLD)


def test_what_is_staged_and_wrong_is_said_and_stops_nothing(tmp_path: Path) -> None:
    put(tmp_path, sbc_pem=OLD.chain_pem, sbc_key=OLD.key_pem)
    put(tmp_path, sbc_pem_next=NEW.chain_pem, sbc_key_next=OLD.key_pem)
    material, problems = load_staged("sbc", FILES, tmp_path, NOW, ROOTS)
    assert material is None and [each.fatal for each in problems] == [False]
    assert str(problems[0]).startswith("sbc.key.next: staged, and not used as it is: the key is not the key")


MOVES: dict[str, dict[str, bytes]] = {
    "before": {"sbc_pem": OLD.chain_pem, "sbc_key": OLD.key_pem, "sbc_key_next": NEW.key_pem},
    "retiring: the chain has moved": {
        "sbc_pem": NEW.chain_pem, "sbc_key": OLD.key_pem, "sbc_key_next": NEW.key_pem,
    },
    "rolling back: the chain has moved": {
        "sbc_pem": NEW.chain_pem, "sbc_key": OLD.key_pem, "sbc_key_old": NEW.key_pem,
    },
    "after": {"sbc_pem": NEW.chain_pem, "sbc_key": NEW.key_pem, "sbc_key_old": OLD.key_pem},
}  # fmt: skip


@pytest.mark.parametrize("state", MOVES)
def test_the_pair_is_whole_at_every_moment_of_a_move(tmp_path: Path, state: str) -> None:
    put(tmp_path, **MOVES[state])
    material, problems = load_whole("sbc", FILES, tmp_path, NOW, ROOTS)
    assert material is not None and problems == []
    assert material.thumbprint == print_of(OLD if state == "before" else NEW)


def test_a_chain_that_fits_no_key_beside_it_is_refused_as_ever(tmp_path: Path) -> None:
    put(tmp_path, sbc_pem=NEW.chain_pem, sbc_key=OLD.key_pem, sbc_key_next=OLD.key_pem, sbc_key_old=b"junk")
    material, problems = load_whole("sbc", FILES, tmp_path, NOW, ROOTS)
    assert material is None
    assert [(each.path, each.fatal) for each in problems] == [("sbc.key", True)]


def test_a_staged_authority_is_trusted_beside_the_old_one(tmp_path: Path) -> None:
    put(tmp_path, ca_pem=GOOD.cert_pem, ca_pem_next=GOOD.cert_pem + OTHER.cert_pem)
    material, problems = load_dual("ca", EntryFiles(ca="ca.pem", permitted=("x.example",)), tmp_path, NOW)
    assert material is not None and problems == []
    assert material.subjects == ("CN=good CA", "CN=other CA"), "each once, though both files have it"
    assert len(material.certificates) == 2 and material.permitted == ("x.example",)
    assert material.coming is not None and material.coming.thumbprints == material.thumbprints


def test_a_staged_authority_that_cannot_be_read_leaves_the_old_one_alone(tmp_path: Path) -> None:
    put(tmp_path, ca_pem=GOOD.cert_pem, ca_pem_next=NEW.key_pem)
    material, problems = load_dual("ca", EntryFiles(ca="ca.pem"), tmp_path, NOW)
    assert material is not None and material.subjects == ("CN=good CA",) and material.coming is None
    assert [(each.path, each.fatal) for each in problems] == [("ca.pem.next", False)]


def test_a_staged_leaf_is_pinned_beside_the_old_one(tmp_path: Path) -> None:
    put(tmp_path, peer_pem=OLD.cert_pem, peer_pem_next=NEW.cert_pem)
    material, problems = load_dual("peer", EntryFiles(leaf=("peer.pem",)), tmp_path, NOW)
    assert material is not None and problems == []
    assert material.thumbprints == {print_of(OLD), print_of(NEW)}
    assert material.coming is not None and material.coming.thumbprints == {print_of(NEW)}


def test_of_several_leaves_those_that_are_not_staged_stay(tmp_path: Path) -> None:
    third = GOOD.issue(dns=["third.example"])
    put(tmp_path, a_pem=OLD.cert_pem, b_pem=third.cert_pem, a_pem_next=NEW.cert_pem)
    material, problems = load_dual("peer", EntryFiles(leaf=("a.pem", "b.pem")), tmp_path, NOW)
    assert material is not None and problems == []
    assert material.thumbprints == {print_of(OLD), print_of(third), print_of(NEW)}
    assert material.coming is not None
    assert material.coming.thumbprints == {print_of(third), print_of(NEW)}


def test_a_public_root_is_not_slipped_into_a_private_entry(tmp_path: Path) -> None:
    root = next(
        pem
        for each in Path(certifi.where()).read_text().split("-----END CERTIFICATE-----\n")
        if (pem := each[each.index("-----BEGIN") :].encode() + b"-----END CERTIFICATE-----\n")
    )
    put(tmp_path, ca_pem=GOOD.cert_pem, ca_pem_next=root)
    material, problems = load_dual("ca", EntryFiles(ca="ca.pem"), tmp_path, NOW)
    assert material is not None and material.coming is None and not material.public
    assert "this is a public root; the entry is a private one" in problems[-1].message
    assert not problems[-1].fatal


def test_a_staged_certificate_that_has_expired_is_not_taken(tmp_path: Path) -> None:
    gone = GOOD.issue(dns=["sbc.example"], not_before=NOW - 2 * DAY, not_after=NOW - DAY)
    put(tmp_path, sbc_pem_next=gone.chain_pem, sbc_key_next=gone.key_pem)
    material, problems = load_staged("sbc", FILES, tmp_path, NOW, ROOTS)
    assert material is None and "expired on" in problems[0].message and not problems[0].fatal


def test_what_is_staged_and_only_doubtful_is_used_and_said(tmp_path: Path) -> None:
    put(tmp_path, sbc_pem_next=NEW.chain_pem, sbc_key_next=NEW.key_pem)
    material, problems = load_staged("sbc", FILES, tmp_path, NOW)
    assert material is not None
    assert [each.message.partition(":")[0] for each in problems] == ["staged"]
