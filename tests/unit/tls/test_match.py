"""Which candidate a verified chain proves, and how a refusal is explained."""

from __future__ import annotations

import pytest

from sbc.demo.pki import LabAuthority
from sbc.tls.failure import Failure
from sbc.tls.match import Presented, TrunkTrust, match, match_anonymous, still_trusted
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import read_certificate
from tests.unit.tls.certs import DAY, GOOD, NOW, OTHER, admission, anchor, der, leaf, presented, trunk

PEER = leaf()


def kind(*candidates: TrunkTrust, shown: Presented | None = None, now: float = NOW) -> str | None:
    verdict = match(shown or presented(PEER), admission(candidates), now)
    assert (verdict.trunk is None) is (verdict.failure is not None)
    return verdict.failure.kind if verdict.failure is not None else None


def taken(*candidates: TrunkTrust, shown: Presented | None = None) -> str | None:
    return match(shown or presented(PEER), admission(candidates), NOW).trunk


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (trunk(), None),
        (trunk(names=("peer.example",)), None),
        (trunk(names=("evil.example",)), "name-mismatch"),
        (trunk(anchors=()), "unknown-ca"),
        (trunk(anchors=(anchor(OTHER),)), "unknown-ca"),
        (trunk(anchors=(anchor(GOOD, public=True),)), "name-mismatch"),
        (trunk(anchors=(anchor(GOOD, public=True),), names=("peer.example",)), None),
        (trunk(anchors=(anchor(GOOD, permitted=(".acme.example",)),)), "name-mismatch"),
        (trunk(anchors=(anchor(GOOD, permitted=("example",)),)), None),
        (trunk(min_version="1.3"), None),
        (trunk(groups=("X25519",)), None),
        (trunk(groups=("X25519MLKEM768",)), "no-shared-group"),
        (trunk(mode="optional"), None),
        (trunk(mode="server"), "bad-certificate"),
    ],
)
def test_one_candidate(candidate: TrunkTrust, expected: str | None) -> None:
    assert kind(candidate) == expected


def test_time_is_checked_against_now() -> None:
    assert kind(trunk(), now=NOW + 400 * DAY) == "expired"
    assert kind(trunk(), now=NOW - 2 * DAY) == "not-yet-valid"


def test_the_version_is_each_candidates_own() -> None:
    old = Presented(PEER, presented(PEER).chain, "TLSv1.2", "X25519")
    assert kind(trunk(min_version="1.3"), shown=old) == "no-shared-version"
    assert taken(trunk("a", min_version="1.3"), trunk("b"), shown=old) == "b"


def test_a_ca_does_not_vouch_for_itself_as_a_peer() -> None:
    root = anchor(GOOD).facts[0]
    assert (
        kind(trunk(), shown=Presented(root, (root.identity.thumbprint,), "TLSv1.3", "X25519")) == "unknown-ca"
    )


def test_wrong_purpose_is_excused_only_by_the_candidate_that_says_so() -> None:
    server = presented(leaf(eku=("server",)), purpose_ok=False)
    assert kind(trunk(), shown=server) == "wrong-purpose"
    assert taken(trunk("a"), trunk("b", client_eku="allow-server-auth"), shown=server) == "b"
    neither = presented(leaf(eku=("client",)), purpose_ok=False)
    assert kind(trunk(client_eku="allow-server-auth"), shown=neither) == "wrong-purpose"
    outbound = admission([trunk(client_eku="allow-server-auth")], direction="outbound")
    failure = match(server, outbound, NOW).failure
    assert failure is not None and failure.kind == "wrong-purpose"


def pin(certificate_pin: str) -> AnchorMaterial:
    return AnchorMaterial("pin", "pin", pins=frozenset((certificate_pin,)))


def test_a_pin_needs_no_issuer_and_a_ca_does() -> None:
    orphan = presented(PEER, anchored=False)
    assert taken(trunk(anchors=(pin(PEER.identity.pin),)), shown=orphan) == "acme"
    assert kind(trunk(), shown=orphan) == "unknown-ca"
    assert kind(trunk(anchors=(pin("sha256/" + "0" * 64),)), shown=orphan) == "unknown-ca"


def test_a_pinned_leaf_is_that_leaf_only() -> None:
    pinned = AnchorMaterial("leaf", "leaf", (b"",), (PEER,))
    assert taken(trunk(anchors=(pinned,))) == "acme"
    assert kind(trunk(anchors=(pinned,)), shown=presented(leaf())) == "unknown-ca"


def test_the_most_specific_candidate_is_taken() -> None:
    by_ca, by_name = trunk("a"), trunk("b", names=("peer.example",))
    by_pin = trunk("c", anchors=(pin(PEER.identity.pin),))
    assert taken(by_ca, by_name, by_pin) == "c"
    assert taken(by_ca, by_name) == "b"
    assert taken(trunk("first"), trunk("second")) == "first"


def test_the_refusal_that_got_furthest_is_reported() -> None:
    assert kind(trunk(anchors=(anchor(OTHER),)), trunk(names=("evil.example",))) == "name-mismatch"
    assert kind(trunk(names=("evil.example",)), trunk(groups=("P-256",))) == "no-shared-group"


def test_outbound_the_dialled_name_is_expected_unless_names_are_given() -> None:
    for host, names, fine in (
        ("peer.example", (), True),
        ("other.example", (), False),
        ("other.example", ("peer.example",), True),
        ("192.0.2.1", (), False),
    ):
        dialled = admission([trunk(names=names)], direction="outbound", host_names=(host,))
        assert (match(presented(PEER), dialled, NOW).trunk == "acme") is fine, (host, names)


def test_without_a_certificate_only_the_modes_that_allow_it_remain() -> None:
    strict, maybe, lax = trunk("a"), trunk("b", mode="optional"), trunk("c", mode="server")
    assert match_anonymous(admission([strict, maybe, lax]), "TLSv1.3", "X25519").trunk == "b"
    assert match_anonymous(admission([strict, lax]), "TLSv1.3", "X25519").trunk == "c"
    refused = match_anonymous(admission([strict]), "TLSv1.3", "X25519").failure
    assert refused is not None and refused.kind == "no-certificate"
    modern = admission([trunk("d", mode="server", min_version="1.3")])
    old = match_anonymous(modern, "TLSv1.2", "X25519").failure
    assert old is not None and old.kind == "no-shared-version"


def test_after_a_reload_a_peer_must_still_be_good_for_its_own_trunk() -> None:
    shown = presented(PEER)
    both = admission([trunk("a"), trunk("b")])
    held = still_trusted("b", shown, both, NOW)
    assert held.trunk == "b" and held.anchor == both.candidates[1].anchors[0].name
    assert still_trusted("c", shown, both, NOW).trunk is None
    elsewhere = still_trusted("a", shown, admission([trunk("a", anchors=(anchor(OTHER),))]), NOW)
    assert elsewhere.trunk is None and elsewhere.failure is not None
    assert still_trusted("a", None, both, NOW).trunk is None
    assert still_trusted("a", None, admission([trunk("a", mode="server")]), NOW).trunk == "a"


def test_a_mismatch_names_what_was_shown_and_why_a_wildcard_did_not_count() -> None:
    wild = presented(leaf(dns=["*.peer.example"]))
    failure = match(wild, admission([trunk(names=("a.peer.example",))]), NOW).failure
    assert isinstance(failure, Failure)
    assert "*.peer.example" in failure.detail and "rfc5922" in failure.detail
    assert taken(trunk(names=("a.peer.example",), name_match="rfc2818"), shown=wild) == "acme"


def test_an_issuers_certificate_is_no_peers_unless_it_is_pinned() -> None:
    own = read_certificate(der(LabAuthority("middle", issuer=GOOD, now=NOW).cert_pem))
    assert own.issues and not PEER.issues
    assert kind(trunk(), shown=presented(own)) == "wrong-purpose"
    assert taken(trunk(anchors=(pin(own.identity.pin),)), shown=presented(own)) == "acme"
    assert (
        taken(trunk(anchors=(AnchorMaterial("leaf", "leaf", (b"",), (own,)),)), shown=presented(own))
        == "acme"
    )


def test_under_a_public_ca_the_hosts_dialled_are_the_names() -> None:
    public = (anchor(GOOD, public=True),)
    assert taken(trunk(anchors=public, peer_hosts=("peer.example",))) == "acme"
    assert kind(trunk(anchors=public, peer_hosts=("other.example",))) == "name-mismatch"
    assert (
        kind(trunk(anchors=public, peer_hosts=("peer.example",), names=("other.example",))) == "name-mismatch"
    )
    assert taken(trunk(peer_hosts=("other.example",))) == "acme", "a private CA vouches for its own"
