"""Payload types that an answer gives other numbers than the offer (RFC 3264 5.1, 6.1).

A number is what whoever names it expects to receive; the other one sends with it. So what each side is told
are the numbers of the other side, and a packet passes with the number that it has.
"""

from __future__ import annotations

import pytest

from dsl.decision import Codecs
from sbc.media.errors import MediaRefused
from sbc.media.policy import MediaPolicy
from sbc.media.relay import packet
from sbc.media.session import MediaSession
from tests.unit.media.kit import ACCEPT, ALICE, BOB, OFF, first, rtp, sdp, session

A, B = (ALICE, 40000), (BOB, 50000)
OFFER = (
    "m=audio 40000 RTP/AVP 111 121 97 13 101\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=rtpmap:121 red/48000/2\r\na=fmtp:121 111/111\r\n"
    "a=rtpmap:97 rtx/48000\r\na=fmtp:97 apt=111\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
)
# The same, and some of the numbers mean something else to whoever answers.
ANSWER = (
    "m=audio 50000 RTP/AVP 96 97 98 13 111\r\n"
    "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 red/48000/2\r\na=fmtp:97 96/96\r\n"
    "a=rtpmap:98 rtx/48000\r\na=fmtp:98 apt=96\r\n"
    "a=rtpmap:111 telephone-event/8000\r\na=fmtp:111 0-15\r\n"
)
OF_THE_OFFER = {"opus": 111, "red": 121, "rtx": 97, "CN": 13, "telephone-event": 101}
OF_THE_ANSWER = {"opus": 96, "red": 97, "rtx": 98, "CN": 13, "telephone-event": 111}


def agreed(answer: str = ANSWER, theirs: MediaPolicy = ACCEPT) -> tuple[MediaSession, bytes, bytes]:
    call, _ = session()
    offer = call.offer("a", sdp(OFFER), ACCEPT, theirs, 0.0)
    return call, offer, call.answer("b", sdp(answer, host=BOB), 0.0)


def told(description: bytes) -> dict[str, int]:
    """What a description says: a number for each name."""
    media = first(description)
    names = {number: name.split("/")[0] for number, name in (each.split() for each in media.values("rtpmap"))}
    return {names.get(each, "CN"): int(each) for each in media.formats}


def test_each_side_is_told_the_numbers_of_the_other() -> None:
    _, offer, answer = agreed()
    assert told(offer) == OF_THE_OFFER
    assert told(answer) == OF_THE_ANSWER
    assert first(offer).values("fmtp") == ["121 111/111", "97 apt=111", "101 0-16"]
    assert first(answer).values("fmtp") == ["97 96/96", "98 apt=96", "111 0-15"]


@pytest.mark.parametrize("name", OF_THE_OFFER)
def test_whoever_sends_uses_the_receivers_number_and_it_arrives_with_it(name: str) -> None:
    call, offer, answer = agreed()
    legs = call.streams[0].ends
    to_b = packet(legs["a"].leg.port_rtp, rtp(1, kind=told(answer)[name]), A)
    assert to_b is not None and to_b[1][1] & 0x7F == OF_THE_ANSWER[name] and to_b[2] == B
    to_a = packet(legs["b"].leg.port_rtp, rtp(1, kind=told(offer)[name]), B)
    assert to_a is not None and to_a[1][1] & 0x7F == OF_THE_OFFER[name] and to_a[2] == A


def test_the_codec_of_the_record_is_the_one_of_the_answers_numbers() -> None:
    call, _, _ = agreed()
    assert (call.stats().a.codec, call.stats().b.codec) == ("OPUS", "OPUS")


def test_a_re_offer_of_either_side_has_the_numbers_that_it_had() -> None:
    call, offer, answer = agreed()
    again = call.offer("b", sdp(ANSWER, host=BOB), ACCEPT, ACCEPT, 1.0)
    assert told(again) == told(answer)
    assert told(call.answer("a", sdp(OFFER), 1.0)) == told(offer)


def test_what_a_rule_keeps_from_an_offer_may_not_come_back_with_the_answer() -> None:
    """Else the caller would send what the rule forbids."""
    call, offer, answer = agreed(
        "m=audio 50000 RTP/AVP 0 96 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n",
        MediaPolicy("accept", codecs=Codecs(deny=("PCMU",))),
    )
    assert told(offer) == OF_THE_OFFER
    assert told(answer) == {"opus": 96, "telephone-event": 101}
    with pytest.raises(MediaRefused):
        call.answer(
            "b", sdp("m=audio 50000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n", host=BOB), 0.0
        )


def test_a_rule_speaks_of_names_and_not_of_numbers() -> None:
    """101 is opus for the callee and was the tones of the caller: only what it is called counts."""
    _, _, answer = agreed(
        "m=audio 50000 RTP/AVP 101 111\r\na=rtpmap:101 opus/48000/2\r\na=rtpmap:111 telephone-event/8000\r\n",
        MediaPolicy("off", codecs=Codecs(allow=("OPUS",), deny=("RED", "RTX", "CN"))),
    )
    assert told(answer) == {"opus": 101, "telephone-event": 111}


def test_a_delayed_offer_is_the_callees_and_its_numbers_too() -> None:
    call, _ = session()
    offer = call.offer("b", sdp(ANSWER, host=BOB), OFF, OFF, 0.0)
    assert told(offer) == OF_THE_ANSWER
    assert told(call.answer("a", sdp(OFFER), 0.0)) == OF_THE_OFFER
