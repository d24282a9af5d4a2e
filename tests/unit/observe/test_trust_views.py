"""What ``sbc trust`` knows: both directions of a trunk, and what is wrong or will be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sbc.config.hook_set import NO_HOOKS
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import Issued, LabAuthority
from sbc.flow import TlsFacts
from sbc.observe.trust import TrustView, trust_views
from sbc.tls.failure import Direction, Failure
from sbc.tls.ledger import Ledger
from sbc.tls.material.certificate import read_certificate
from sbc.tls.material.identity import IdentityMaterial
from tests.unit.tls.certs import DAY, GOOD, NOW, OTHER, anchor, der

NO_RULES: Any = None
NAMES = ("carrier.example",)


def identity(issued: Issued) -> IdentityMaterial:
    who = read_certificate(der(issued.cert_pem)).identity
    return IdentityMaterial(
        "sbc", issued.chain_pem, b"", who.subject, who.issuer, who.sans, who.not_before, who.not_after,
        who.thumbprint, who.pin,
    )  # fmt: skip


OURS = GOOD.issue(dns=["sbc.example"])
THEIRS = OTHER.issue(dns=["carrier.example"], not_before=NOW - 300 * DAY, not_after=NOW + 20 * DAY)


class Desk:
    """A trunk with both directions, its ledger, and the view of them."""

    def __init__(self, tls: dict[str, Any] | None = None, **options: Any) -> None:
        self.ledger = Ledger()
        policy = {
            "server_identity": "sbc", "client_identity": "sbc", "trust": ("other",), "names": NAMES,
            **(tls or {}),
        }  # fmt: skip
        fields = {"trunk": "carrier", "peers": ("carrier.example:5061",), "sources": ("10.0.0.0/8",)}
        trunk = Trunk.model_validate({**fields, "listener": "tls", "tls": policy, **options})
        listeners = {"tls": {"bind": "127.0.0.1:5061", "transport": "tls"}}
        trust = {"other": {"ca": "other.pem", "contact": "ca@carrier.example"}}
        anchors = {
            name: replace(anchor(authority), subjects=(f"CN={authority.name}",), name=name)
            for name, authority in (("other", OTHER), ("ours", GOOD))
        }
        self.snapshot = Snapshot(
            "0" * 12, Path(), Settings.model_validate({"listeners": listeners, "trust": trust}),
            {"carrier": trunk}, NO_RULES, NO_HOOKS, {"sbc": identity(OURS)}, anchors,
        )  # fmt: skip

    def good(self, direction: Direction, at: float, asked: tuple[str, ...] | None = None) -> None:
        shown = der(THEIRS.cert_pem)
        peer = read_certificate(shown).verified
        facts = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768", "", "sbc", peer)
        self.ledger.succeeded(
            "carrier", direction, facts, at, remote="10.0.0.1:5061", host="10.0.0.1", chain=(shown,),
            anchor="other", asked=asked,
        )  # fmt: skip

    def bad(self, direction: Direction, at: float, kind: Any, trunks: tuple[str, ...] = ("carrier",)) -> None:
        failure = Failure(kind, "something is wrong", "mend it")
        self.ledger.failed(trunks, direction, failure, at, remote="10.0.0.1:5061", host="10.0.0.1")

    def view(self) -> TrustView:
        (view,) = trust_views(self.snapshot, self.ledger, NOW)
        return view

    def warnings(self, about: str) -> list[str]:
        return [each for each in self.view().warnings if about in each]


def test_both_directions_say_what_is_accepted_and_presented() -> None:
    desk = Desk(contact="NOC")
    view = desk.view()
    assert (view.trunk, view.contact, view.mode, view.names) == ("carrier", "NOC", "required", NAMES)
    assert [each.direction for each in view.directions] == ["inbound", "outbound"]
    for each in view.directions:
        (accepted,) = each.accepts
        assert (accepted.what, accepted.name, accepted.subject) == ("ca", "other", "CN=other CA")
        assert accepted.contact == "ca@carrier.example"
        assert accepted.not_after > NOW + 3000 * DAY
        assert each.presents is not None and each.presents.subject == "CN=sbc.example"
        assert (each.good, each.bad, each.known_by) == (None, None, "")


def test_a_trunk_shows_the_directions_that_it_has() -> None:
    assert [each.direction for each in Desk(peers=()).view().directions] == ["inbound"]
    assert [each.direction for each in Desk(sources=()).view().directions] == ["outbound"]


def test_a_server_only_trunk_accepts_no_certificate_inbound() -> None:
    inbound, outbound = Desk({"mode": "server"}).view().directions
    assert inbound.accepts == () and outbound.accepts != ()


def test_what_was_seen_is_shown_with_its_end() -> None:
    desk = Desk()
    desk.good("inbound", NOW - 60)
    desk.bad("inbound", NOW - 90, "expired")
    inbound = desk.view().directions[0]
    assert inbound.good is not None and inbound.bad is not None
    assert (inbound.good.at, inbound.goods, inbound.bads) == (NOW - 60, 1, 1)
    (shown,) = inbound.shown
    assert (shown.name, shown.subject, shown.not_after) == ("other", "CN=carrier.example", NOW + 20 * DAY)
    assert desk.warnings("expires") == [
        "the peer's certificate other (CN=carrier.example) expires on 2027-02-04"
    ]


def test_what_the_peer_accepts_is_observed_before_it_is_declared() -> None:
    desk = Desk({"peer_trusts": ("ours", "CN=Elsewhere, O=X")})
    outbound = desk.view().directions[1]
    assert (outbound.peer_accepts, outbound.known_by) == (("CN=good CA", "CN=Elsewhere,O=X"), "declared")
    desk.good("outbound", NOW, ("CN=observed CA",))
    outbound = desk.view().directions[1]
    assert (outbound.peer_accepts, outbound.known_by) == (("CN=observed CA",), "observed")


@pytest.mark.parametrize(("asked", "known_by"), [(None, "asks for none"), ((), "names none")])
def test_a_peer_that_names_nobody(asked: tuple[str, ...] | None, known_by: str) -> None:
    desk = Desk()
    desk.good("outbound", NOW, asked)
    assert desk.view().directions[1].known_by == known_by
    assert not desk.warnings("accepts")


def test_a_peer_whose_list_lacks_our_issuer_is_warned_of_before_it_refuses() -> None:
    desk = Desk()
    desk.good("outbound", NOW, ("CN=another CA",))
    (warning,) = desk.warnings("not among the CAs that the peer accepts (observed)")
    assert "identity sbc was issued by CN=good CA" in warning and "CN=another CA" in warning
    desk.good("outbound", NOW + 1, ("CN=another CA", "CN=good CA"))
    assert not desk.warnings("not among")


def test_an_intermediate_or_its_root_in_the_list_is_enough() -> None:
    middle = LabAuthority("middle CA", issuer=GOOD, now=NOW)
    for accepted in ("CN=middle CA", "CN=good CA"):
        desk = Desk()
        issued = identity(middle.issue(dns=["sbc.example"]))
        desk.snapshot = replace(desk.snapshot, identities={"sbc": issued})
        desk.good("outbound", NOW, (accepted,))
        assert not desk.warnings("not among"), accepted


def test_a_peer_that_asks_while_we_show_none() -> None:
    desk = Desk({"client_identity": "none"})
    assert desk.view().directions[1].presents is None
    assert not desk.warnings("client_identity")
    desk.good("outbound", NOW, ())
    assert desk.warnings("asks for a certificate") == [
        "the peer asks for a certificate when we dial it, and client_identity is none"
    ]


class TestOneWay:
    """One direction works and the other does not: the classic sign of trust that rolled on one side."""

    def test_we_refuse_whom_we_reach(self) -> None:
        desk = Desk()
        desk.good("outbound", NOW - 10)
        desk.bad("inbound", NOW - 5, "unknown-ca")
        (warning,) = desk.warnings("one way only")
        assert "outbound works, inbound fails since (unknown-ca, we refuse the peer)" in warning

    def test_the_peer_refuses_us(self) -> None:
        desk = Desk()
        desk.good("inbound", NOW - 10)
        desk.bad("outbound", NOW - 5, "rejected-by-peer")
        assert len(desk.warnings("the peer refuses us")) == 1

    @pytest.mark.parametrize("kind", ["timeout", "not-tls", "reset-by-peer", "no-shared-cipher"])
    def test_a_scanner_is_no_sign(self, kind: str) -> None:
        desk = Desk()
        desk.good("outbound", NOW - 10)
        desk.bad("inbound", NOW - 5, kind)
        assert not desk.warnings("one way")

    def test_what_was_mended_is_no_sign(self) -> None:
        desk = Desk()
        desk.good("outbound", NOW - 10)
        desk.bad("inbound", NOW - 5, "unknown-ca")
        desk.good("inbound", NOW - 1)
        assert not desk.warnings("one way")

    def test_two_broken_directions_are_not_one(self) -> None:
        desk = Desk()
        desk.good("outbound", NOW - 10)
        desk.bad("inbound", NOW - 5, "unknown-ca")
        desk.bad("outbound", NOW - 5, "rejected-by-peer")
        assert not desk.warnings("one way")

    def test_a_failure_that_may_be_another_trunks_is_no_sign(self) -> None:
        desk = Desk()
        desk.good("outbound", NOW - 10)
        desk.bad("inbound", NOW - 5, "unknown-ca", ("carrier", "other"))
        assert not desk.warnings("one way")


def test_soft_passes_stand_with_the_policy_of_revocation() -> None:
    desk = Desk()
    passed = {"carrier": (("no-source", 3), ("stale", 1))}
    (view,) = trust_views(desk.snapshot, desk.ledger, NOW, lambda trunk: passed[trunk])
    assert view.revocation == "soft: staple, crl, ocsp; let pass as no-source 3, stale 1"
    assert desk.view().revocation == "soft: staple, crl, ocsp"


def test_a_trunk_without_tls_is_not_shown() -> None:
    desk = Desk()
    trunk = desk.snapshot.trunks["carrier"].model_copy(update={"tls": None})
    assert trust_views(replace(desk.snapshot, trunks={"carrier": trunk}), desk.ledger, NOW) == ()
