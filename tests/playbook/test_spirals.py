"""What comes back to us: a spiral goes on, a loop is refused (RFC 3261 16.3, RFC 5393 4)."""

from __future__ import annotations

import pytest

from sbc.sip.message import Request
from tests.playbook.stage import SDP, Peer, Stage, snapshot

THROUGH_A_CORE = """
rules:
  - {name: in, when: trunk == "carrier", then: route "backup"}
  - {name: on, when: trunk == "backup", then: route "office"}
"""


def send_back(core: Peer, invite: Request, uri: str = "", **headers: str) -> None:
    """``core``, a proxy that records its route, sends to us what it had from us."""
    fields = invite.headers.copy()
    own = f"SIP/2.0/TLS core.example;branch=z9hG4bK-core-{invite.via.branch}"
    values = fields.get_all("Via")
    fields.set("Via", f"{own}, {', '.join(values)}")
    fields.set("Max-Forwards", str((invite.max_forwards or 0) - 1))
    fields.add("Record-Route", "<sip:core.example;lr>")
    for name, value in headers.items():
        fields.set(name.replace("_", "-"), value)
    core.say(Request(invite.method, uri or invite.uri, fields, invite.body))


def test_a_call_goes_to_the_customer_through_a_proxy_behind_us() -> None:
    """It reaches us twice, from two trunks, for one user; each time the rules say something else."""
    stage = Stage(snapshot(THROUGH_A_CORE))
    core = stage.backup
    stage.carrier.invite()
    first = core.hears_request("INVITE")
    send_back(core, first)
    core.hears(100)
    second = stage.office.hears_request("INVITE")
    assert second.target.user == first.target.user == "+12125550100"
    stage.office.respond(second, 200, body=b"v=0")
    answer = core.hears_response(200)
    core.respond(first, 200, body=b"v=0")
    stage.carrier.hears(100)
    given = stage.carrier.hears_response(200)
    stage.within("carrier", given, "ACK")
    core.hears("ACK")
    own, theirs = first.headers.get("From") or "", answer.headers.get("To") or ""
    core.request("ACK", From=own, To=theirs, Call_ID=first.call_id, CSeq=f"{first.cseq.number} ACK")
    stage.office.hears("ACK")
    # A request within the dialogs takes the same way.
    stage.within("carrier", given, "INVITE", body=SDP)
    stage.carrier.hears(100)
    again = core.hears_request("INVITE")
    send_back(core, again, To=theirs)
    core.hears(100)
    stage.office.hears("INVITE")


@pytest.mark.parametrize(
    "change",
    [
        {"uri": "sip:+12125550199@sbc.example"},
        {"uri": "sip:+12125550100@elsewhere.example"},
        {"uri": "sip:+12125550100@sbc.example;tgrp=7"},
        {"To": "<sip:+12125550199@sbc.example>"},
        {"X-Seen": "yes"},
    ],
)
def test_whatever_may_decide_otherwise_makes_it_a_spiral(change: dict[str, str]) -> None:
    stage = Stage(snapshot('rules: [{name: out, when: true, then: route "carrier"}]'))
    core = stage.carrier
    stage.office.invite()
    send_back(core, core.hears_request("INVITE"))
    core.hears(100)
    send_back(core, core.hears_request("INVITE"), **change)
    core.hears(100)
    core.hears("INVITE")


@pytest.mark.parametrize("uri", ["", "sip:+1-212-555%2D0100@CARRIER.example;transport=tls"])
def test_what_comes_back_with_all_the_same_is_a_loop(uri: str) -> None:
    """Also where the number is spelled otherwise, for rules read it the same."""
    stage = Stage(snapshot('rules: [{name: out, when: true, then: route "carrier"}]'))
    core = stage.carrier
    stage.office.invite()
    send_back(core, core.hears_request("INVITE"))
    core.hears(100)
    send_back(core, core.hears_request("INVITE"), uri)
    core.hears(100)
    core.hears(482)


def test_a_loop_over_two_trunks_is_one_when_it_begins_anew() -> None:
    """The first pass came from elsewhere; the third is the first again of those that go round."""
    rules = """
rules:
  - {name: there, when: trunk == "carrier", then: route "backup"}
  - {name: back, when: true, then: route "carrier"}
"""
    stage = Stage(snapshot(rules))
    stage.office.invite()
    for peer in (stage.carrier, stage.backup, stage.carrier):
        send_back(peer, peer.hears_request("INVITE"))
        peer.hears(100)
    stage.carrier.hears(482)
    stage.backup.hears_nothing()


def test_the_hops_that_are_left_end_what_changes_at_each_pass() -> None:
    """RFC 7332, RFC 3261 8.1.1.6: every pass takes one, so that it ends whatever a peer writes."""
    stage = Stage(snapshot('rules: [{name: out, when: true, then: route "carrier"}]'))
    core = stage.carrier
    stage.office.invite(Max_Forwards="10")
    for turn in range(4):
        send_back(core, core.hears_request("INVITE"), Subject=f"turn {turn}")
        core.hears(100)
    send_back(core, core.hears_request("INVITE"), Subject="the last")
    core.hears(100)
    core.hears(483)


def test_an_answered_request_is_no_loop_any_more() -> None:
    stage = Stage()
    invite, _ = stage.established()
    send_back(stage.carrier, invite)
    stage.carrier.hears(100)
    stage.office.hears("INVITE")
