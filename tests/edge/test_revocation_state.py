"""What was learned about revocation survives a restart, and nothing is believed for being written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.revocation_lab import RevocationLab, inbound, revocation_lab, started
from tests.peers.kept import keep, kept

pytestmark = pytest.mark.slow

# An entry of the saved state as it is written, without the issuer that it cannot be without.
NOTHING_SIGNS = {"url": "http://x/", "issuers": [], "certificate": "", "answer": ""}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[RevocationLab]:
    with revocation_lab(tmp_path) as made:
        yield made


def test_what_was_learned_survives_a_restart(lab: RevocationLab) -> None:
    by_list = lab.publisher.issue("peer.example", crl=True)
    by_answer = lab.publisher.issue("other.example", ocsp=True)
    gone = lab.publisher.issue("gone.example", ocsp=True)
    lab.publisher.revoked.append(gone)
    started(lab)
    for peer in (by_list, by_answer, gone):
        inbound(lab, peer)
    lab.close()
    lab.web.pages.clear()
    lab.web.asked.clear()
    lab.recorder.failures.clear()
    lab.start()
    assert inbound(lab, by_list) is None and inbound(lab, by_answer) is None
    assert "revoked" in str(inbound(lab, gone)).lower()
    assert lab.web.asked == []


@pytest.mark.parametrize(
    "entry", [[], "x", {"url": 1}, {"url": "http://x/", "issuers": ["AAAA"]}, NOTHING_SIGNS]
)
def test_a_spoiled_entry_is_not_believed(lab: RevocationLab, entry: object) -> None:
    keep(lab.directory, "revocation", {"0" * 32: entry})
    peer = lab.publisher.issue("peer.example", crl=True)
    started(lab)
    assert inbound(lab, peer) is None and lab.web.asked == ["/crl"]


@pytest.mark.parametrize("due", [1e300, float("inf"), "soon", True])
def test_a_date_that_is_none_is_asked_about_anew(lab: RevocationLab, due: object) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    started(lab)
    assert inbound(lab, peer) is None
    lab.close()
    saved = kept(lab.directory, "revocation")
    assert saved
    keep(lab.directory, "revocation", {key: {**each, "due": due} for key, each in saved.items()})
    lab.start()
    assert inbound(lab, peer) is None and lab.web.count("/crl") == 2


def test_a_saved_list_that_was_altered_is_fetched_again(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    started(lab)
    assert inbound(lab, peer) is None
    lab.close()
    (saved,) = lab.directory.glob("crl-*")
    octets = saved.read_bytes()
    saved.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    lab.start()
    assert inbound(lab, peer) is None and lab.web.count("/crl") == 2
