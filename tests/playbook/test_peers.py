"""The peers of one trunk: which failures lead to the next of them (RFC 3263 4.3, RFC 3261 16.7)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sbc.b2bua.commands import OfferMedia
from sbc.base import Address
from sbc.observe.cdr import call_record
from sbc.sip.message import Request, Response
from tests.peers.trunks import with_peers
from tests.playbook.servers import FIRST, ONLY_CARRIER, SECOND, probe, staged, two_servers
from tests.playbook.stage import SDP, Peer, Stage


def refuse_service(stage: Stage, request: Request) -> None:
    stage.carrier.respond(request, 503, Retry_After="60")
    stage.carrier.hears("ACK")


def answer(stage: Stage, peer: Peer) -> Response:
    """``peer`` takes the call; what the caller hears."""
    peer.respond(peer.hears("INVITE"), 200, body=b"v=0 answer")
    stage.office.hears(100)
    heard = stage.office.hears_response(200)
    stage.within("office", heard, "ACK")
    peer.hears("ACK")
    return heard


# What leads to the next peer


def test_a_503_leads_to_the_trunks_next_peer_before_the_rules_next_hop() -> None:
    stage, second = staged(limits={"calls": 1, "cps": 1})
    stage.office.invite()
    first = stage.carrier.hears_request("INVITE")
    refuse_service(stage, first)
    again = second.hears_request("INVITE")
    assert again.via.branch != first.via.branch and again.call_id != first.call_id
    assert again.from_tag != first.from_tag
    assert again.target.host == "second.example" and again.to.uri.host == "second.example"
    second.respond(again, 180)
    second.respond(again, 200, body=b"v=0 answer")
    for status in (100, 180):
        stage.office.hears(status)
    heard = stage.office.hears_response(200)
    stage.within("office", heard, "ACK")
    second.hears("ACK")
    stage.carrier.hears_nothing()
    stage.backup.hears_nothing()
    assert stage.engine.limits.calls("carrier") == 1, "one call, however many peers were asked"
    stage.within("office", heard, "BYE")
    second.hears("BYE")
    (ended,) = stage.noted("call-ended")
    assert (ended.fields["to"], ended.fields["peer"], ended.fields["status"]) == ("carrier", SECOND, 200)
    assert stage.engine.limits.calls("carrier") == 0


def test_each_peer_gets_a_media_offer_of_its_own() -> None:
    stage, second = staged()
    stage.office.invite()
    refuse_service(stage, stage.carrier.hears_request("INVITE"))
    assert second.hears_request("INVITE").body == b"via-sbc " + SDP
    offers = [each for each in stage.media if isinstance(each, OfferMedia)]
    assert [each.restart for each in offers] == [False, True], "no key is shown to two peers"


def test_silence_leads_to_the_next_peer_and_what_comes_late_is_ended() -> None:
    stage, second = staged(response_timeout=4)
    stage.office.invite()
    first = stage.carrier.hears_request("INVITE")
    stage.wait(4.1)
    second.hears("INVITE")
    stage.carrier.hears_nothing()
    stage.carrier.respond(first, 180)
    stage.carrier.hears("CANCEL")
    stage.carrier.respond(first, 200, body=b"v=0 late")
    stage.carrier.hears("ACK")
    stage.carrier.hears("BYE")
    stage.office.hears(100)
    stage.office.hears_nothing()


def test_a_late_word_of_the_silent_peer_is_none_of_the_next_ones() -> None:
    stage, second = staged(response_timeout=4)
    stage.office.invite()
    first = stage.carrier.hears_request("INVITE")
    stage.wait(4.1)
    second.hears("INVITE")
    stage.carrier.respond(first, 100)
    stage.wait(4.1)
    stage.backup.hears("INVITE")


def test_a_rules_time_that_ends_in_silence_is_silence() -> None:
    rules = """
rules:
  - name: out
    when: trunk == "office"
    then: |
      ring for 10 seconds
      route "carrier"
"""
    stage, second = staged(rules=rules)
    stage.office.invite()
    stage.carrier.hears("INVITE")
    stage.wait(10.1)
    second.hears("INVITE")


def test_a_peer_that_cannot_be_connected_leads_to_the_next() -> None:
    stage, second = staged()
    stage.refusing.add(FIRST)
    stage.office.invite()
    answer(stage, second)
    assert [note.fields["peer"] for note in stage.noted("peer-failed")] == [str(FIRST)]


def test_a_connection_that_breaks_leads_to_the_next_peer() -> None:
    stage, second = staged()
    stage.office.invite()
    stage.carrier.hears("INVITE")
    stage.carry_out(stage.engine.flow_closed(stage.carrier.flow, stage.now))
    answer(stage, second)


def test_when_no_peer_serves_the_rules_next_hop_is_tried() -> None:
    stage, second = staged()
    stage.office.invite()
    refuse_service(stage, stage.carrier.hears_request("INVITE"))
    second.respond(second.hears("INVITE"), 503)
    second.hears("ACK")
    stage.backup.hears("INVITE")
    assert stage.engine.limits.calls("carrier") == 0


def test_the_last_peers_failure_is_what_the_caller_hears() -> None:
    stage, second = staged(rules=ONLY_CARRIER)
    stage.office.invite()
    refuse_service(stage, stage.carrier.hears_request("INVITE"))
    second.respond(second.hears("INVITE"), 404)
    stage.office.hears(100)
    stage.office.hears(404)
    assert not stage.engine.calls and stage.noted("call-ended")[0].fields["status"] == 404


def test_a_call_that_the_caller_gives_up_meanwhile_is_cancelled_at_the_peer_that_has_it() -> None:
    stage, second = staged()
    stage.office.invite()
    refuse_service(stage, stage.carrier.hears_request("INVITE"))
    invite = second.hears_request("INVITE")
    second.respond(invite, 180)
    stage.office.hears(100)
    stage.office.hears(180)
    stage.office.request("CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}",
                         CSeq=f"{stage.cseq} CANCEL")  # fmt: skip
    cancel = second.hears_request("CANCEL")
    assert cancel.via.branch == invite.via.branch
    stage.office.hears(200)
    stage.office.hears(487)
    second.respond(cancel, 200)
    second.respond(invite, 487)
    second.hears("ACK")
    stage.carrier.hears_nothing()
    stage.backup.hears_nothing()
    assert not stage.engine.calls


# What does not


@pytest.mark.parametrize("status", [302, 404, 408, 480, 486, 500, 600, 603])
def test_any_other_refusal_is_the_trunks(status: int) -> None:
    stage, second = staged(rules=ONLY_CARRIER)
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), status)
    second.hears_nothing()
    assert not stage.engine.calls


def test_a_phone_that_rings_without_an_answer_is_not_rung_again_by_the_next_peer() -> None:
    stage, second = staged(ring_timeout=20)
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 180)
    stage.wait(20.1)
    stage.carrier.hears("CANCEL")
    second.hears_nothing()
    stage.backup.hears("INVITE")


# Probes


def probed(**options: Any) -> tuple[Stage, Peer]:
    return staged(options={"every": 10, "down_after": 1}, **options)


def test_each_peer_is_probed_by_itself_and_the_trunk_is_down_only_with_all_of_them() -> None:
    stage, _ = probed()
    trunk = stage.engine.store.current.trunks["carrier"]
    probe(stage, carrier=503, second=200)
    assert not stage.engine.peers.is_down(trunk)
    assert [note.fields["peer"] for note in stage.noted("peer-down")] == [str(FIRST)]
    assert not stage.noted("trunk-down")
    probe(stage, carrier=503, second=503)
    assert stage.engine.peers.is_down(trunk)
    (down,) = stage.noted("trunk-down")
    assert str(FIRST) in str(down.fields["reason"]) and str(SECOND) in str(down.fields["reason"])
    probe(stage, carrier=200, second=503)
    assert not stage.engine.peers.is_down(trunk)
    assert [note.fields["peer"] for note in stage.noted("peer-up")] == [str(FIRST)]
    assert len(stage.noted("trunk-up")) == 1


def reload_peers(stage: Stage, *peers: Address) -> None:
    """Give the carrier other peers, as a reload does."""
    now = stage.engine.store.current
    changed = with_peers(now.trunks["carrier"], *peers)
    stage.engine.store.swap(replace(now, trunks={**now.trunks, "carrier": changed}))


def test_a_trunk_that_is_down_comes_up_by_a_peer_that_a_reload_brings() -> None:
    """That is how a wrong name or port in ``peers`` is mended."""
    stage, _ = probed()
    reload_peers(stage, FIRST)
    probe(stage, carrier=503)
    assert len(stage.noted("trunk-down")) == 1
    reload_peers(stage, SECOND)
    probe(stage, carrier=200)
    assert [note.fields["trunk"] for note in stage.noted("trunk-up")] == ["carrier"]
    probe(stage, carrier=200)
    assert len(stage.noted("trunk-up")) == 1


def test_a_peer_that_is_down_is_passed_over() -> None:
    stage, second = probed()
    probe(stage, carrier=503, second=200)
    stage.office.heard.clear()
    stage.office.invite()
    stage.carrier.hears_nothing()
    second.hears("INVITE")


def test_a_peer_that_a_call_could_not_reach_is_tried_last_for_a_while() -> None:
    stage, second = staged(response_timeout=4, rules=ONLY_CARRIER)
    stage.office.invite()
    stage.carrier.hears("INVITE")
    stage.wait(4.1)
    second.respond(second.hears("INVITE"), 486)
    second.hears("ACK")
    stage.office.invite(Call_ID="the-next")
    stage.carrier.hears_nothing()
    second.respond(second.hears("INVITE"), 486)
    second.hears("ACK")
    stage.wait(60)
    stage.office.invite(Call_ID="and-another")
    stage.carrier.hears("INVITE")


# Dialogs


def test_a_request_within_the_dialog_goes_to_the_peer_that_has_it() -> None:
    stage, second = staged()
    stage.office.invite()
    refuse_service(stage, stage.carrier.hears_request("INVITE"))
    heard = answer(stage, second)
    stage.carry_out(stage.engine.flow_closed(second.flow, stage.now))
    second.flow = stage.flow(stage.engine.store.current.trunks["carrier"], 1)
    stage.within("office", heard, "BYE")
    second.hears("BYE")
    stage.carrier.hears_nothing()
    assert stage.connects[-1][0] == (SECOND,)


@pytest.mark.parametrize(
    ("contact", "record_route", "goes_to"),
    [
        ("<sip:bob@second.example;transport=tls>", "", SECOND),
        ("<sip:bob@SECOND.example:5061;transport=tls>", "", SECOND),
        ("<sip:bob@phone.example;transport=tls>", "", FIRST),
        ("<sip:bob@phone.example;transport=tls>", "<sip:second.example;transport=tls;lr>", SECOND),
        ("<sip:bob@second.example;transport=tls>", "<sip:carrier.example;transport=tls;lr>", FIRST),
    ],
)
def test_after_a_reconnect_the_peer_is_the_one_that_route_or_contact_names(
    contact: str, record_route: str, goes_to: Address
) -> None:
    stage, _ = staged()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    response = Response(200, "OK", invite.headers.copy())
    for name in ("Contact", "Allow", "Max-Forwards"):
        response.headers.remove(name)
    response.headers.set("To", f"{invite.headers.get('To')};tag=callee")
    response.headers.set("Contact", contact)
    if record_route:
        response.headers.set("Record-Route", record_route)
    response.body = b"v=0 answer"
    stage.carrier.say(response)
    stage.office.hears(100)
    heard = stage.office.hears_response(200)
    stage.within("office", heard, "ACK")
    stage.carry_out(stage.engine.flow_closed(stage.carrier.flow, stage.now))
    stage.within("office", heard, "BYE")
    assert stage.connects[-1][0] == (goes_to,)


def test_a_caller_is_found_again_at_the_server_that_its_contact_names() -> None:
    stage = Stage(two_servers("office"))
    stage.office.invite(Contact="<sip:alice@second.example;transport=tls>")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "ACK")
    stage.carrier.hears("ACK")
    stage.carry_out(stage.engine.flow_closed(stage.office.flow, stage.now))
    stage.from_callee(invite, "BYE")
    stage.peers["second"].hears("BYE")


def test_the_record_of_a_call_that_nobody_took_names_who_was_tried_last() -> None:
    stage, second = staged()
    stage.dead.add("backup")
    stage.office.invite()
    refuse_service(stage, stage.carrier.hears_request("INVITE"))
    second.respond(second.hears("INVITE"), 503)
    note = stage.noted("call-ended")[0]
    record = json.loads(call_record(note.call, note.fields))
    backup = stage.engine.store.current.trunks["backup"].peers[-1]
    assert record["status"] == 503 and record["reason"] == "last hop failed: unreachable"
    assert (record["b"]["trunk"], record["b"]["peer"]) == ("backup", str(backup))
    assert (record["b"]["transport"], record["b"]["call_id"]) == ("", ""), "nothing of the carrier's leg"
