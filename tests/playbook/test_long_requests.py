"""Requests that are too long for a datagram go by TCP where the peer takes it (RFC 3261 18.1.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.b2bua.long_requests import AGAIN
from sbc.base import Address
from sbc.config.model import SessionTimer
from sbc.flow import Flow
from sbc.sip.message import Message, Request
from tests.playbook.stage import Peer, Stage, snapshot

RULES = 'rules: [{name: out, when: true, then: route "plain"}]'
LONG = b"v=0\r\n" + b"a=x-of-many-codecs:0123456789\r\n" * 60


def staged(tcp: bool = True, **words: Any) -> tuple[Stage, Peer]:
    """Calls of the office go to a peer over UDP, which also takes ``tcp``."""
    configuration = snapshot(RULES)
    plain = configuration.trunks["plain"].model_copy(update=words)
    stage = Stage(replace(configuration, trunks={**configuration.trunks, "plain": plain}))
    if tcp:
        old = stage.plain.flow
        stage.streams["plain"] = Flow(
            99, "tcp", Address("192.0.2.1", 40000), old.remote, listener="udp", trunk="plain", outbound=True
        )
    return stage, stage.plain


def by(stage: Stage, request: Request) -> str:
    """By which of its paths a peer was sent ``request``."""
    return stage.ways[request.headers.get("Via"), request.headers.get("CSeq")]


def respond(stage: Stage, request: Message, status: int, body: bytes = b"", **headers: str) -> None:
    """The peer answers by the way that the request came (RFC 3261 18.2.2)."""
    assert isinstance(request, Request)
    datagrams, plain = stage.plain.flow, stage.plain
    plain.flow = stage.streams["plain"] if by(stage, request) == "tcp" else datagrams
    plain.respond(request, status, body=body, **headers)
    plain.flow = datagrams


def via(request: Request) -> str:
    return request.headers.get("Via") or ""


def test_a_long_invite_goes_by_tcp_and_what_belongs_to_it() -> None:
    stage, plain = staged()
    stage.office.invite(LONG)
    invite = plain.hears_request("INVITE")
    assert via(invite).startswith("SIP/2.0/TCP ") and "rport" not in via(invite)
    assert by(stage, invite) == "tcp"
    assert "transport" not in (invite.headers.get("Contact") or ""), "where we listen is UDP"
    stage.wait(3)
    plain.hears_nothing()  # it is not repeated as a datagram is
    respond(stage, invite, 180)
    stage.office.request("CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}",
                         CSeq=f"{stage.cseq} CANCEL")  # fmt: skip
    cancel = plain.hears_request("CANCEL")
    assert via(cancel) == via(invite) and by(stage, cancel) == "tcp"
    respond(stage, cancel, 200)
    respond(stage, invite, 487)
    assert by(stage, plain.hears_request("ACK")) == "tcp"


def test_the_dialog_of_a_long_invite_stays_with_udp() -> None:
    stage, plain = staged()
    stage.office.invite(LONG)
    respond(stage, plain.hears("INVITE"), 200, body=b"v=0 answer")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    assert by(stage, plain.hears_request("ACK")) == "udp"
    stage.within("office", answer, "INVITE", LONG)
    again = plain.hears_request("INVITE")
    assert by(stage, again) == "tcp" and via(again).startswith("SIP/2.0/TCP ")
    respond(stage, again, 200, body=b"v=0 answer")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "ACK")
    plain.hears("ACK")
    stage.within("office", answer, "BYE")
    bye = plain.hears_request("BYE")
    assert by(stage, bye) == "udp" and via(bye).startswith("SIP/2.0/UDP ") and "rport" in via(bye)


def test_a_short_one_goes_by_udp() -> None:
    stage, plain = staged()
    stage.office.invite()
    assert by(stage, plain.hears_request("INVITE")) == "udp"


@pytest.mark.parametrize("words", [{"long_requests": "udp"}, {}], ids=["by the file", "refused"])
def test_who_takes_no_tcp_gets_a_datagram(words: dict[str, str]) -> None:
    stage, plain = staged(tcp=False, **words)
    stage.office.invite(LONG)
    invite = plain.hears_request("INVITE")
    assert by(stage, invite) == "udp" and via(invite).startswith("SIP/2.0/UDP ") and "rport" in via(invite)
    asked = len(stage.connects)
    assert asked == (1 if words else 2)
    respond(stage, invite, 486)
    plain.hears("ACK")
    stage.office.heard.clear()
    stage.office.invite(LONG, Call_ID="another")
    respond(stage, plain.hears("INVITE"), 486)
    plain.hears("ACK")
    assert len(stage.connects) == asked + 1, "it is not tried again for a while"
    stage.office.heard.clear()
    stage.wait(AGAIN)
    stage.office.invite(LONG, Call_ID="later")
    assert len(stage.connects) == asked + (2 if words else 3)
    assert len(stage.noted("no-tcp")) == (0 if words else 2)


def test_a_call_that_is_given_up_while_the_connection_is_made_sends_nothing() -> None:
    stage, plain = staged()
    stage.dialling = []
    stage.office.invite(LONG)
    (datagrams,) = stage.dialling
    stage.carry_out(stage.dialled(datagrams))
    stream = stage.dialling[-1]
    assert stream.stream
    stage.office.request("CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}",
                         CSeq=f"{stage.cseq} CANCEL")  # fmt: skip
    stage.carry_out(stage.dialled(stream))
    plain.hears_nothing()
    assert not stage.engine.calls


def test_an_invite_that_is_repeated_goes_by_tcp_too() -> None:
    stage, plain = staged(session_timer=SessionTimer(expires=1800))
    stage.office.invite(LONG)
    first = plain.hears_request("INVITE")
    respond(stage, first, 422, Min_SE="3600")
    plain.hears("ACK")
    again = plain.hears_request("INVITE")
    assert by(stage, again) == "tcp" and again.via.branch != first.via.branch


def close_tcp(stage: Stage) -> None:
    """The peer closes the connection, and takes another where it is asked."""
    old = stage.streams["plain"]
    old.alive, old.ended = False, "it closed"
    stage.streams["plain"] = Flow(
        100, "tcp", old.local, old.remote, listener="udp", trunk="plain", outbound=True
    )
    stage.carry_out(stage.engine.flow_closed(old, stage.now))


def test_who_closes_the_connection_without_a_word_gets_a_datagram() -> None:
    stage, plain = staged()
    stage.office.invite(LONG)
    first = plain.hears_request("INVITE")
    close_tcp(stage)
    again = plain.hears_request("INVITE")
    assert by(stage, again) == "udp" and via(again).startswith("SIP/2.0/UDP ") and ";rport;" in via(again)
    assert again.cseq == first.cseq and again.via.branch != first.via.branch
    respond(stage, again, 486)
    plain.hears("ACK")
    stage.office.heard.clear()
    stage.office.invite(LONG, Call_ID="another")
    assert by(stage, plain.hears_request("INVITE")) == "udp"


def test_who_takes_the_connection_and_is_silent_costs_one_call_only() -> None:
    stage, plain = staged()
    stage.office.invite(LONG)
    assert by(stage, plain.hears_request("INVITE")) == "tcp"
    stage.wait(33)
    stage.office.hears(100)
    stage.office.hears(408)
    plain.heard.clear()
    stage.office.invite(LONG, Call_ID="another")
    assert by(stage, plain.hears_request("INVITE")) == "udp"
