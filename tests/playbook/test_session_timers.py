"""Session timers on both legs of a call, each on its own terms (RFC 4028)."""

from __future__ import annotations

import pytest

from sbc.b2bua.call import Call
from sbc.sip.message import Request, Response
from tests.playbook.stage import RULES, SDP, Peer, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

ASKS = {"expires": "1800s", "min": "90s"}
ALLOWS = "INVITE, ACK, CANCEL, BYE, UPDATE"
ANSWER = b"v=0\r\no=- 1 1 IN IP4 x\r\nm=audio 1 RTP/AVP 0\r\n"


class TimedCall:
    """A call from office to carrier on ``stage``; ``caller`` and ``callee`` are headers of INVITE and 2xx."""

    def __init__(self, caller: dict[str, str], callee: dict[str, str], session_timer: object = None) -> None:
        options = {} if session_timer is None else {"session_timer": session_timer}
        self.stage = stage = Stage(snapshot(RULES, "tls", **options))
        self.office, self.carrier = stage.office, stage.carrier
        stage.office.invite(SDP, **caller)
        self.invite = stage.carrier.hears_request("INVITE")
        stage.carrier.respond(self.invite, 200, body=ANSWER, **callee)
        stage.office.hears(100)
        self.answer = stage.office.hears_response(200)
        stage.within("office", self.answer, "ACK", CSeq=f"{self.answer.cseq.number} ACK")
        stage.carrier.hears("ACK")

    @property
    def call(self) -> Call:
        """The call, which is up."""
        (call,) = self.stage.engine.calls.values()
        return call

    def is_over(self, reason: str, *hung_up: Peer) -> None:
        """Each of ``hung_up`` gets a BYE and answers it, and nothing is left."""
        for peer in hung_up:
            bye = peer.hears_request("BYE")
            peer.respond(bye, 200)
            peer.hears_nothing()
        (ended,) = self.stage.noted("call-ended")
        assert ended.fields["reason"] == reason
        self.stage.wait(4000)
        nothing_is_left(self.stage)


def test_nobody_is_asked_for_a_timer_unless_the_trunk_says_so() -> None:
    call = TimedCall({}, {})
    assert call.invite.headers.get("Supported") == "timer"
    assert "Session-Expires" not in call.invite.headers
    assert "Session-Expires" not in call.answer.headers
    assert call.call.agreed == {} and call.call.timers == {}
    call.stage.wait(7200)
    call.carrier.hears_nothing()
    call.office.hears_nothing()


def test_a_trunk_without_timers_hears_nothing_of_them() -> None:
    call = TimedCall({"Supported": "timer", "Session_Expires": "90"}, {}, "off")
    for message in (call.invite, call.answer):
        assert "Supported" not in message.headers and "Session-Expires" not in message.headers


def test_a_trunk_without_timers_refuses_who_requires_them() -> None:
    stage = Stage(snapshot(session_timer="off"))
    stage.office.invite(Require="timer")
    stage.office.hears(100)
    assert stage.office.hears(420).headers.get("Unsupported") == "timer"
    stage.carrier.hears_nothing()


def test_each_leg_agrees_on_its_own() -> None:
    call = TimedCall(
        {"Supported": "timer", "Session_Expires": "600;refresher=uac"},
        {"Supported": "timer", "Session_Expires": "1200;refresher=uas", "Require": "timer"},
        ASKS,
    )
    assert call.invite.headers.get("Session-Expires") == "1800"
    assert call.answer.headers.get("Session-Expires") == "600;refresher=uac"
    assert call.answer.headers.get("Require") == "timer"
    assert call.answer.headers.get("Supported") == "timer"


@pytest.mark.parametrize(("field", "value"), [("Session-Expires", "soon"), ("Min-SE", "little")])
def test_what_is_malformed_is_a_bad_request(field: str, value: str) -> None:
    stage = Stage()
    stage.office.invite(SDP, **{field.replace("-", "_"): value})
    stage.office.hears(100)
    stage.office.hears(400)
    stage.carrier.hears_nothing()


def test_a_session_that_is_too_short_is_refused_with_what_would_do() -> None:
    """RFC 4028 9."""
    stage = Stage(snapshot(session_timer={"min": "300s"}))
    stage.office.invite(Supported="timer", Session_Expires="120")
    stage.office.hears(100)
    assert stage.office.hears(422).headers.get("Min-SE") == "300"
    stage.carrier.hears_nothing()
    assert not stage.engine.calls
    stage.office.invite(Supported="timer", Session_Expires="300")
    assert stage.carrier.hears_request("INVITE").headers.get("Min-SE") == "300"


def test_a_callee_that_wants_a_longer_session_gets_it() -> None:
    """RFC 4028 7.3: the same call, a higher number, and what the 422 says."""
    stage = Stage(snapshot(session_timer=ASKS))
    stage.office.invite()
    first = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(first, 422, Min_SE="3600")
    stage.carrier.hears("ACK")
    second = stage.carrier.hears_request("INVITE")
    assert (second.call_id, second.from_tag, second.body) == (first.call_id, first.from_tag, first.body)
    assert second.cseq.number == first.cseq.number + 1
    assert second.via.branch != first.via.branch
    assert second.headers.get("Session-Expires") == second.headers.get("Min-SE") == "3600"
    stage.carrier.respond(second, 200, body=ANSWER, Session_Expires="3600;refresher=uas")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    assert stage.carrier.hears("ACK").cseq.number == second.cseq.number
    stage.within("office", answer, "BYE")
    stage.office.hears(200)
    bye = stage.carrier.hears_request("BYE")
    assert bye.cseq.number == second.cseq.number + 1
    stage.carrier.respond(bye, 200)


@pytest.mark.parametrize("least", [None, "1800", "nonsense"])
def test_a_422_that_says_nothing_of_use_ends_the_hop(least: str | None) -> None:
    stage = Stage(snapshot(session_timer=ASKS))
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 422, body=b"", **({"Min_SE": least} if least else {}))
    stage.office.hears(100)
    stage.office.hears(480)


def test_a_callee_that_always_wants_more_is_given_up() -> None:
    stage = Stage(snapshot(session_timer=ASKS))
    stage.office.invite()
    least = 1800
    for _ in range(5):
        least += 1
        stage.carrier.respond(stage.carrier.hears_request("INVITE"), 422, Min_SE=str(least))
        stage.carrier.hears("ACK")
    stage.carrier.hears_nothing()
    stage.office.hears(100)
    stage.office.hears(480)
    stage.wait(60)
    nothing_is_left(stage)


def test_we_refresh_with_update_where_the_peer_allows_it() -> None:
    call = TimedCall({}, {"Session_Expires": "1800;refresher=uac", "Allow": ALLOWS}, {"expires": "1800s"})
    call.call.leg("a").session = None  # of the callee's leg alone
    call.call.cancel_timer("refresh a")
    call.call.cancel_timer("expire a")
    for _ in range(3):
        call.stage.wait(899)
        call.carrier.hears_nothing()
        call.stage.wait(1)
        update = call.carrier.hears_request("UPDATE")
        assert update.headers.get("Session-Expires") == "1800;refresher=uac"
        assert update.headers.get("Supported") == "timer"
        assert update.body == b"" and update.contact is not None
        call.carrier.respond(update, 200, Session_Expires="1800;refresher=uac", Require="timer")
    call.office.hears_nothing()
    assert len(call.stage.media) == 2, "no description was changed"


def refreshed_by_invite(call: TimedCall, peer: Peer, was: bytes) -> Request:
    """The re-INVITE that ``peer`` hears next: nothing in it is new."""
    again = peer.hears_request("INVITE")
    assert again.to_tag and again.body == was
    assert again.headers.get("Content-Type") == "application/sdp"
    return again


def test_we_refresh_with_the_same_description_where_it_does_not() -> None:
    call = TimedCall({"Supported": "timer", "Session_Expires": "600"}, {})
    assert call.answer.headers.get("Session-Expires") == "600;refresher=uas"
    for _ in range(3):
        call.stage.wait(300)
        again = refreshed_by_invite(call, call.office, call.answer.body)
        assert again.headers.get("Session-Expires") == "600;refresher=uac"
        call.office.respond(again, 100)
        call.office.respond(again, 200, body=SDP, Session_Expires="600;refresher=uac")
        ack = call.office.hears_request("ACK")
        assert ack.cseq.number == again.cseq.number and not ack.body
        call.office.respond(again, 200, body=SDP)  # again
        call.office.hears("ACK")
    call.carrier.hears_nothing()
    assert len(call.stage.media) == 2, "no description was changed"


def test_a_peer_that_moves_its_media_in_its_answer_is_followed() -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Supported": "timer"})
    call.stage.wait(300)
    again = refreshed_by_invite(call, call.carrier, call.invite.body)
    call.carrier.respond(again, 200, body=ANSWER.replace(b"1 1 IN", b"1 2 IN"))
    call.carrier.hears("ACK")
    assert len(call.stage.media) == 2, "another version of the same"
    call.stage.wait(300)
    again = refreshed_by_invite(call, call.carrier, call.invite.body)
    moved = ANSWER.replace(b"audio 1", b"audio 3")
    call.carrier.respond(again, 200, body=moved)
    call.carrier.hears("ACK")
    offer, answer = call.stage.media[2:]
    assert (offer.side, offer.sdp) == ("a", SDP)  # type: ignore[union-attr]
    assert (answer.side, answer.sdp) == ("b", moved)  # type: ignore[union-attr]
    call.office.hears_nothing()


@pytest.mark.parametrize("method", ["INVITE", "PRACK"])
def test_a_change_that_was_answered_early_and_then_refused_is_no_part_of_a_refresh(method: str) -> None:
    """RFC 3261 14.1: as if no re-INVITE had been issued; nobody is told of it, and no media goes there."""
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Supported": "timer"})
    offer, refused = (SDP + b" 2", ANSWER + b"2") if method == "INVITE" else (b"", ANSWER + b"2")
    call.stage.within("office", call.answer, "INVITE", offer, Supported="100rel")
    number = call.stage.cseq
    again = call.carrier.hears_request("INVITE")
    reliable = {"Require": "100rel", "RSeq": "1"} if method == "PRACK" else {}
    call.carrier.respond(again, 183, body=refused, **reliable)
    if method == "PRACK":
        call.stage.within("office", call.answer, "PRACK", SDP + b" 3", RAck=f"1 {number} INVITE")
        call.carrier.respond(call.carrier.hears("PRACK"), 200)
    call.carrier.respond(again, 488)
    call.carrier.hears("ACK")
    call.office.heard.clear()
    media = len(call.stage.media)
    call.stage.wait(300)
    again = refreshed_by_invite(call, call.carrier, call.invite.body)
    moved = ANSWER.replace(b"audio 1", b"audio 3")
    call.carrier.respond(again, 200, body=moved)
    call.carrier.hears("ACK")
    again_offered, answer = call.stage.media[media:]
    assert (again_offered.side, again_offered.sdp) == ("a", SDP)  # type: ignore[union-attr]
    assert (answer.side, answer.sdp) == ("b", moved)  # type: ignore[union-attr]


def test_an_answer_to_a_refresh_that_must_not_be_used_ends_the_call() -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac"})
    call.stage.wait(300)
    again = call.carrier.hears_request("INVITE")
    call.carrier.respond(again, 200, body=b"v=0 unusable")
    call.carrier.hears("ACK")
    call.is_over("the answer is unusable", call.office, call.carrier)


@pytest.mark.parametrize("status", [405, 501])
def test_an_update_that_is_not_known_after_all_becomes_an_invite(status: int) -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Allow": ALLOWS})
    call.stage.wait(300)
    call.carrier.respond(call.carrier.hears_request("UPDATE"), status)
    refreshed_by_invite(call, call.carrier, call.invite.body)


@pytest.mark.parametrize("allow", [ALLOWS, "INVITE, ACK, BYE, CANCEL"])
@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_has_lost_the_call_ends_it(status: int, allow: str) -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Allow": allow})
    call.stage.wait(300)
    refresh = call.carrier.heard[0]
    call.carrier.heard.clear()
    call.carrier.respond(refresh, status)
    if call.carrier.heard[0].cseq.method != "BYE":
        call.carrier.hears("ACK")
    call.is_over(f"{status} to a session refresh", call.office, call.carrier)


@pytest.mark.parametrize("allow", [ALLOWS, "INVITE, ACK, BYE, CANCEL"])
def test_a_peer_that_does_not_answer_ends_it(allow: str) -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Allow": allow})
    call.stage.wait(300)
    assert call.carrier.heard
    call.carrier.heard.clear()
    call.stage.wait(32.1)
    call.is_over("no answer to a session refresh", call.office, call.carrier)


def test_a_refusal_is_tried_again_until_the_session_expires() -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Allow": ALLOWS})
    call.stage.wait(300)
    for _ in range(3):
        call.carrier.respond(call.carrier.hears_request("UPDATE"), 500)
        call.carrier.hears_nothing()
        call.stage.wait(30)
    call.carrier.respond(call.carrier.hears_request("UPDATE"), 200, Session_Expires="600;refresher=uac")
    assert len(call.stage.noted("refresh-failed")) == 3
    call.stage.wait(300)
    for _ in range(10):
        call.carrier.respond(call.carrier.hears_request("UPDATE"), 500)
        call.stage.wait(30)
    call.is_over("the session was not refreshed", call.office, call.carrier)


def test_who_never_heard_of_timers_is_refreshed_by_us_alone_and_may_refuse() -> None:
    """RFC 4028 7.2: any answer shows that it is there."""
    call = TimedCall({}, {}, {"expires": "180s"})
    assert call.answer.headers.get("Session-Expires") == "180;refresher=uas"
    assert "Require" not in call.answer.headers
    for _ in range(10):
        call.stage.wait(90)
        for peer in (call.carrier, call.office):
            if not peer.heard:
                call.stage.wait(2)  # one leg after the other
            again = peer.hears_request("INVITE")
            peer.respond(again, 488)
            peer.hears("ACK")
    assert call.call.state == "up"


def test_a_longer_session_that_a_refresh_is_told_to_ask_for() -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Allow": ALLOWS})
    call.stage.wait(300)
    call.carrier.respond(call.carrier.hears_request("UPDATE"), 422, Min_SE="1200")
    update = call.carrier.hears_request("UPDATE")
    assert update.headers.get("Session-Expires") == "1200;refresher=uac"
    assert update.headers.get("Min-SE") == "1200"


@pytest.mark.parametrize(("interval", "ends"), [(90, 60), (1800, 1768)])
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_peer_that_should_refresh_and_does_not_is_hung_up(side: str, interval: int, ends: int) -> None:
    """RFC 4028 10: 32 seconds, or a third of the interval, before the end."""
    caller = {"Supported": "timer", "Session_Expires": f"{interval};refresher=uac"} if side == "a" else {}
    callee = {"Session_Expires": f"{interval};refresher=uas"} if side == "b" else {}
    call = TimedCall(caller, callee)
    call.stage.wait(ends - 1)
    call.office.hears_nothing()
    call.carrier.hears_nothing()
    call.stage.wait(1)
    (note,) = call.stage.noted("session-expired")
    assert note.fields == {"side": side, "trunk": "office" if side == "a" else "carrier"}
    call.is_over("the session was not refreshed", call.office, call.carrier)


def test_an_update_that_only_refreshes_is_answered_here() -> None:
    """The other leg has a timer of its own, and its peer need not know UPDATE."""
    call = TimedCall({"Supported": "timer", "Session_Expires": "90;refresher=uac"}, {})
    for _ in range(4):
        call.stage.wait(59)
        call.stage.within(
            "office", call.answer, "UPDATE", Supported="timer", Session_Expires="90;refresher=uac",
            Contact="<sip:alice@elsewhere.example;transport=tls>",
        )  # fmt: skip
        response = call.office.hears_response(200)
        assert response.headers.get("Session-Expires") == "90;refresher=uac"
        assert response.headers.get("Require") == "timer" and response.contact is not None
    call.carrier.hears_nothing()
    call.stage.from_callee(call.invite, "BYE")
    call.carrier.hears(200)
    assert call.office.hears_request("BYE").uri == "sip:alice@elsewhere.example;transport=tls"


def test_an_update_that_tells_the_other_side_something_crosses() -> None:
    call = TimedCall({"Supported": "timer", "Session_Expires": "600"}, {"Allow": ALLOWS})
    call.stage.within(
        "office", call.answer, "UPDATE", Supported="timer", Session_Expires="600;refresher=uac",
        P_Asserted_Identity="<sip:+12125550177@office.example>",
    )  # fmt: skip
    update = call.carrier.hears_request("UPDATE")
    assert "Session-Expires" not in update.headers
    call.carrier.respond(update, 200)
    assert call.office.hears_response(200).headers.get("Session-Expires") == "600;refresher=uac"


def test_a_refresh_within_the_dialog_that_asks_for_too_little_is_refused() -> None:
    call = TimedCall({"Supported": "timer", "Session_Expires": "600"}, {})
    for method in ("UPDATE", "INVITE"):
        call.stage.within("office", call.answer, method, SDP, Supported="timer", Session_Expires="60")
        if method == "INVITE":
            call.office.hears(100)
        assert call.office.hears_response(422).headers.get("Min-SE") == "90"
    call.carrier.hears_nothing()


def test_a_reinvite_crosses_and_renews_both_sessions() -> None:
    call = TimedCall(
        {"Supported": "timer", "Session_Expires": "600;refresher=uac"},
        {"Session_Expires": "1200;refresher=uas"},
    )
    call.stage.wait(500)
    call.stage.within(
        "office", call.answer, "INVITE", b"v=0 hold", Supported="timer", Session_Expires="600;refresher=uac"
    )
    again = call.carrier.hears_request("INVITE")
    assert again.headers.get("Session-Expires") == "1200;refresher=uas"
    call.carrier.respond(again, 200, body=b"v=0 held", Session_Expires="1200;refresher=uas")
    call.office.hears(100)
    answer = call.office.hears_response(200)
    assert answer.headers.get("Session-Expires") == "600;refresher=uac"
    call.stage.within("office", call.answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    call.carrier.hears("ACK")
    call.stage.wait(567)
    call.carrier.hears_nothing()
    call.stage.wait(1)
    assert [note.fields["side"] for note in call.stage.noted("session-expired")] == ["a"]


@pytest.mark.parametrize(("side", "least", "most"), [("a", 0.0, 2.0), ("b", 2.1, 4.0)])
def test_glare_lets_a_refresh_wait_its_turn(side: str, least: float, most: float) -> None:
    """RFC 3261 14.1: longer where the Call-ID is ours."""
    caller = {"Supported": "timer", "Session_Expires": "600"} if side == "a" else {}
    callee = {"Session_Expires": "600;refresher=uac"} if side == "b" else {}
    call = TimedCall(caller, callee)
    peer = call.office if side == "a" else call.carrier
    call.stage.wait(300)
    peer.respond(peer.hears_request("INVITE"), 491)
    peer.hears("ACK")
    due = call.call.timers[f"refresh {side}"] - call.stage.now
    assert least <= due <= most
    call.stage.wait(most)
    peer.hears_request("INVITE")


def test_an_offer_that_meets_our_refresh_is_told_to_wait() -> None:
    """RFC 3261 14.2, from either side: of two offers one has to go first."""
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac"})
    call.stage.wait(300)
    again = call.carrier.hears_request("INVITE")
    for method in ("INVITE", "UPDATE"):
        call.stage.within("office", call.answer, method, b"v=0 hold")
        call.stage.from_callee(call.invite, method, b"v=0 hold")
        for peer in (call.office, call.carrier):
            if method == "INVITE":
                peer.hears(100)
            peer.hears(491)
            if method == "INVITE":
                refused = peer.last
                assert isinstance(refused, Response)
    call.carrier.respond(again, 200, body=ANSWER)
    call.carrier.hears("ACK")
    call.stage.within("office", call.answer, "UPDATE", b"v=0 hold")
    call.carrier.hears("UPDATE")


def test_a_refresh_waits_for_an_offer_that_is_under_way() -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Allow": "INVITE"})
    call.stage.wait(299)
    call.stage.within("office", call.answer, "UPDATE", b"v=0 hold")
    update = call.carrier.hears_request("UPDATE")
    call.stage.wait(5)
    while call.carrier.heard:
        assert call.carrier.hears("UPDATE").cseq == update.cseq, "repeated, and nothing else"
    call.carrier.respond(update, 488)
    call.office.hears(488)
    call.stage.wait(2)
    assert call.carrier.hears_request("INVITE").body == call.invite.body, "what was refused is not repeated"


def test_a_call_that_ends_during_a_refresh_leaves_nothing() -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac"})
    call.stage.wait(300)
    again = call.carrier.hears_request("INVITE")
    call.carrier.respond(again, 100)
    call.stage.within("office", call.answer, "BYE")
    call.office.hears(200)
    said = [message.cseq.method for message in call.carrier.heard]
    assert sorted(said) == ["BYE", "CANCEL"]
    bye, cancel = sorted(call.carrier.heard, key=lambda each: each.cseq.method)
    call.carrier.heard.clear()
    call.carrier.respond(bye, 200)
    call.carrier.respond(cancel, 200)
    call.carrier.respond(again, 200, body=ANSWER)
    call.carrier.hears("ACK")
    call.carrier.hears_nothing()
    call.stage.wait(200)
    nothing_is_left(call.stage)


def test_a_connection_that_is_gone_is_dialled_for_the_refresh() -> None:
    call = TimedCall({}, {"Session_Expires": "600;refresher=uac", "Allow": ALLOWS})
    call.stage.closes(call.carrier)
    call.stage.wait(300)
    call.carrier.respond(call.carrier.hears_request("UPDATE"), 200, Session_Expires="600;refresher=uac")
    call.stage.dead.add("carrier")
    call.stage.closes(call.carrier)
    call.stage.wait(600)
    call.carrier.heard.clear()
    (ended,) = call.stage.noted("call-ended")
    assert ended.fields["reason"] == "the session was not refreshed"
    call.office.hears("BYE")
