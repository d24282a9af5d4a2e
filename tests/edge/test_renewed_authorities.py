"""A CA that is renewed or cross-signed: who still has the key that is trusted goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from sbc.demo.pki import Issued, LabAuthority
from sbc.net.rotation.without import Without
from sbc.tls.lifetime.staged import beside
from tests.edge.test_trust_models import issue_ca
from tests.edge.tls_lab import Lab
from tests.edge.tls_pair import Door


def sent_with(leaf: Issued, *issuers: Any) -> Issued:
    """A certificate as a peer sends it that has other certificates of its issuers beside it."""
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in issuers)
    return replace(leaf, chain_pem=leaf.cert_pem + pem)


def test_a_peer_that_sends_its_issuer_cross_signed_needs_the_old_root_no_more(lab: Lab) -> None:
    """It keeps its certificate and is given its issuer's by the new root, in the place of the former."""
    fresh = LabAuthority("fresh CA")
    middle = LabAuthority("middle", issuer=lab.ca)
    crossed, _ = issue_ca("middle", fresh, key=middle.key)
    leaf = middle.issue(dns=["peer.example"])
    lab.anchor("fresh", fresh)
    lab.anchors["good"] = beside(lab.anchors["good"], lab.anchors.pop("fresh"))
    lab.trunk("a", {})
    door = Door(lab)
    clock: Any = door.clock
    without, key = Without(clock), ("trust", "good")
    snapshot = door.contexts.snapshot

    def does_without() -> bool:
        return without.good(snapshot, key, door.event)  # type: ignore[arg-type]

    assert door.enters(leaf) == "a" and not does_without()
    assert door.enters(sent_with(leaf, crossed)) == "a" and does_without()
    assert door.enters(leaf) == "a" and not does_without(), "it has gone back"
