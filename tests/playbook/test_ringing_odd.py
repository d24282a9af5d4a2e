"""Phones that ring together, and what is seldom: faults of our own, long sessions, two kinds of phones."""

from __future__ import annotations

import pytest

from sbc.b2bua.commands import Command, DeleteMedia, OfferMedia
from sbc.base import Address, PeerError
from sbc.flow import Flow
from sbc.registrar.binding import Binding
from sbc.sip.uri import parse_uri
from tests.playbook.phones import configured
from tests.playbook.ringing import ELSEWHERE, Phones, stage_of
from tests.playbook.stage import Peer, Stage


class Strict(Stage):
    """A stage on which SRTP that is required is not offered over signalling that anybody may read."""

    def _one(self, command: Command) -> list[Command]:
        if isinstance(command, OfferMedia) and command.theirs.srtp == "required" and not command.theirs.sdes:
            error = PeerError("SRTP is required but keys may not cross this signalling: it is not TLS", 488)
            return self.engine.media_ready(command.call, b"", error, self.now)
        return super()._one(command)


def two_kinds(rules: str) -> tuple[Strict, Peer, Peer]:
    """A stage on which bob has a phone over TLS and one over UDP."""
    stage = Strict(configured(rules=rules))
    peers, bindings = [], []
    for name, trunk, transport in (("desk", "phones", "tls"), ("old", "soft", "udp")):
        stage.flows += 1
        remote = Address(f"203.0.113.{stage.flows}", 40000)
        kind = "tls" if transport == "tls" else "udp"
        flow = Flow(
            stage.flows, "tls" if kind == "tls" else "udp", Address("192.0.2.1", 5061), remote,
            listener="main" if kind == "tls" else "udp", trunk=trunk,
        )  # fmt: skip
        peer = stage.peers[name] = Peer(stage, name, flow)
        contact = parse_uri(f"sip:bob@192.168.1.{stage.flows}")
        bindings.append(Binding("bob", contact, flow, remote, flow.transport, trunk, expires_at=9e9))
        peers.append(peer)
    stage.engine.registrar.put("bob", bindings)
    return stage, peers[0], peers[1]


def ruled(then: str) -> str:
    lines = "\n".join(f"      {line}" for line in then.splitlines())
    return f'rules:\n  - name: to phones\n    when: trunk == "office"\n    then: |\n{lines}\n'


def test_each_phone_is_offered_media_by_the_policy_of_its_own_trunk() -> None:
    stage, desk, old = two_kinds(ruled("offer srtp\nroute registered"))
    stage.office.request("INVITE", "sip:bob@sbc.example", b"v=0 offer")
    desk.hears("INVITE")
    old.hears("INVITE")
    offers = [each for each in stage.media if isinstance(each, OfferMedia)]
    assert sorted((each.theirs.trunk, each.theirs.sdes) for each in offers) == [
        ("phones", True),
        ("soft", False),
    ]


def test_where_srtp_is_required_a_phone_without_tls_is_not_rung_and_the_others_are() -> None:
    stage, desk, old = two_kinds(ruled("require srtp\nroute registered"))
    stage.office.request("INVITE", "sip:bob@sbc.example", b"v=0 offer")
    stage.office.hears(100)
    invite = desk.hears_request("INVITE")
    old.hears_nothing()
    desk.respond(invite, 200, tag="desk", body=b"v=0 answer")
    stage.office.hears(200)


def test_where_no_phone_may_be_rung_the_caller_hears_why() -> None:
    stage, desk, old = two_kinds(ruled("require srtp\nroute registered"))
    stage.closes(desk)
    stage.office.request("INVITE", "sip:bob@sbc.example", b"v=0 offer")
    stage.office.hears(100)
    stage.office.hears(488)
    old.hears_nothing()


@pytest.mark.parametrize("winner", ["desk", "old"])
def test_a_call_counts_for_the_trunk_of_whoever_answers_alone(winner: str) -> None:
    stage, desk, old = two_kinds(ruled("route registered"))
    stage.office.request("INVITE", "sip:bob@sbc.example", b"v=0 offer")
    invites = {"desk": desk.hears_request("INVITE"), "old": old.hears_request("INVITE")}
    limits = stage.engine.limits
    assert (limits.calls("phones"), limits.calls("soft")) == (1, 1)
    stage.peers[winner].respond(invites[winner], 200, tag=winner, body=b"v=0 answer")
    counted = {"desk": (1, 0), "old": (0, 1)}[winner]
    assert (limits.calls("phones"), limits.calls("soft")) == counted and limits.calls("office") == 1
    for call in list(stage.engine.calls):
        stage.carry_out(stage.engine.end_call(call, "over", stage.now))
    assert (limits.calls("phones"), limits.calls("soft"), limits.calls("office")) == (0, 0, 0)


@pytest.mark.parametrize("answered", [False, True])
def test_a_fault_of_ours_leaves_no_phone_ringing(answered: bool) -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    if answered:
        stage.talks("desk", desk)
        stage.cancelled("soft", soft, ELSEWHERE)
    (call,) = stage.engine.calls
    stage.carry_out(stage.engine.clear_up(stage.engine.wreck(call), stage.now))
    if answered:
        stage.peers["desk"].hears("ACK")  # once more, which does no harm
        stage.peers["desk"].hears("BYE")
        stage.office.hears("BYE")
    else:
        stage.cancelled("desk", desk)
        stage.cancelled("soft", soft)
        stage.office.hears(503)
    assert isinstance(stage.media[-1], DeleteMedia)
    stage.ends()


def test_a_phone_that_wants_a_longer_session_is_asked_again_and_the_others_ring_on() -> None:
    stage: Phones = stage_of("desk", "soft", session_timer={"expires": "90s"})
    stage.calls()
    desk, soft = (stage.peers[name].hears_request("INVITE") for name in ("desk", "soft"))
    stage.peers["desk"].respond(desk, 422, tag="desk", Min_SE="3600")
    stage.peers["desk"].hears("ACK")
    again = stage.peers["desk"].hears_request("INVITE")
    assert again.headers.get("Session-Expires") == "3600" and again.body == desk.body
    assert again.cseq.number == desk.cseq.number + 1
    stage.talks("desk", again)
    stage.peers["soft"].respond(soft, 180, tag="soft")
    stage.cancelled("soft", soft, ELSEWHERE)
    stage.ends()
