"""Where SRTP is required nothing falls back to the clear: not for one packet, not towards anybody.

The callee misbehaves in its answer or the caller in its offer; a third party meanwhile sends clear RTP
at every media port of the SBC. What the SBC then sent is read from a capture of the loopback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent import socket

from sbc.demo.agent import Agent
from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.tone import tone
from sbc.demo.voice import VoiceSettings
from sbc.sip.message import Request
from tests.edge.attacked import CARRIER_HERTZ, OFFICE_HERTZ, TO, Attacked, attacked
from tests.edge.wire import Capture, Datagram
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow

REASONS = {
    "plain": "no crypto line",
    "no-crypto": "no crypto line",
    "broken-key": "in the answer: ",
    "short-key": "in the answer: ",
    "unoffered-suite": "was not offered",
    "other-tag": "was not offered",
    "reflected-key": "repeats our own key",
}
CLEAR = set(tone(OFFICE_HERTZ)) | set(tone(CARRIER_HERTZ))


@pytest.fixture(scope="module")
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("closed")) as made:
        yield made


def place(sbc: Attacked, answer_fault: str = "", **voice: object) -> AgentCall:
    """A call, whose callee misbehaves where ``answer_fault`` says how."""
    sbc.carrier.voice = VoiceSettings(CARRIER_HERTZ, answer_fault=answer_fault)  # type: ignore[arg-type]
    while not sbc.carrier.incoming.empty():
        sbc.carrier.incoming.get()  # of a call that no test has asked about
    link = sbc.office.dial(sbc.address, SBC_NAME)
    settings = VoiceSettings(OFFICE_HERTZ, **voice)  # type: ignore[arg-type]
    return sbc.office.call(link, TO, settings=settings)


def spray(sbc: Attacked, seconds: float) -> int:
    """Clear RTP from a third party to each media port of the SBC; returns how many packets."""
    header = bytes([0x80, 8]) + bytes(10)
    payloads = tone(OFFICE_HERTZ)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sprayer:
        for at in range(int(seconds / 0.02)):
            for port in sbc.media:
                sprayer.sendto(header + payloads[at % 50], (HOST, port))
                sent += 1
            gevent.sleep(0.02)
    return sent


def in_clear(seen: list[Datagram]) -> list[Datagram]:
    return [each for each in seen if each.payload[12:172] in CLEAR]


def methods(agent: Agent, call_id: str = "") -> list[str]:
    """The requests that ``agent`` received in one call, or in all."""
    return [
        each.message.method
        for each in agent.record
        if not each.outgoing and isinstance(each.message, Request) and call_id in ("", each.message.call_id)
    ]


def test_a_good_call_is_heard_and_never_in_the_clear(sbc: Attacked) -> None:
    """What proves that the capture below would have seen clear RTP if there had been any."""
    capture = Capture(sbc.media)
    call = place(sbc)
    assert call.wait_up(30)
    answered = sbc.carrier.incoming.get(timeout=30)
    sprayed = spray(sbc, 0.5)
    call.hang_up()
    assert call.wait_over(30) and answered.wait_over(30)
    assert call.report().voice.heard.hertz == CARRIER_HERTZ
    assert answered.report().voice.heard.hertz == OFFICE_HERTZ
    seen = capture.stop()
    assert len(in_clear(seen)) == sprayed > 1000
    relayed = capture.sent_by(sbc.media)
    assert len(relayed) > 30 and not in_clear(relayed)
    assert {len(each.payload) for each in relayed} == {12 + 160 + 10}
    assert sbc.record_of(call.call_id)["status"] == 200


@pytest.mark.parametrize("fault", REASONS)
def test_an_unusable_answer_ends_the_call(sbc: Attacked, fault: str) -> None:
    capture = Capture(sbc.media)
    call = place(sbc, fault)
    call.wait_up(30)
    answered = sbc.carrier.incoming.get(timeout=30)
    sprayed = spray(sbc, 0.3)
    assert (call.state, call.status) == ("failed", 488)
    assert answered.wait_over(30), "the callee was left in a call that is none"
    assert methods(sbc.carrier, answered.call_id) == ["INVITE", "ACK", "BYE"]
    seen = capture.stop()
    assert len(in_clear(seen)) >= sprayed > 1000, "the capture missed what was certainly there"
    assert capture.sent_by(sbc.media) == []
    record = sbc.record_of(call.call_id)
    assert (record["status"], record["ended_by"]) == (488, "us") and REASONS[fault] in record["reason"]
    told = sbc.lines("[srtp-refused]", call=record["call"])[-1]
    assert told["side"] == "b" and REASONS[fault] in told["reason"]
    until_equal(sbc.calls, [])


@pytest.mark.parametrize("fault", ["plain offer", "only an unknown suite"])
def test_an_unusable_offer_is_refused_before_the_callee_hears_of_it(sbc: Attacked, fault: str) -> None:
    invited = methods(sbc.carrier).count("INVITE")  # the BYE of an earlier call may come late
    capture = Capture(sbc.media)
    call = place(sbc, suites=() if fault == "plain offer" else ("AEAD_AES_256_GCM",))
    assert not call.wait_up(30)
    spray(sbc, 0.1)
    capture.stop()
    assert (call.state, call.status) == ("failed", 488)
    assert capture.sent_by(sbc.media) == [] and methods(sbc.carrier).count("INVITE") == invited
    record = sbc.record_of(call.call_id)
    (told,) = sbc.lines("[srtp-refused]", call=record["call"])
    assert told["side"] == "a" and "the offer has no usable crypto line" in told["reason"]
    assert record["status"] == 488 and record["a"]["media"]["srtp"] == ""


def test_a_callee_cannot_talk_a_running_call_into_the_clear(sbc: Attacked) -> None:
    """A re-INVITE that offers plain RTP, from the side that was encrypted: 488, and the call goes on."""
    call = place(sbc)
    assert call.wait_up(30)
    answered = sbc.carrier.incoming.get(timeout=30)
    capture = Capture(sbc.media)
    again = answered.request("INVITE")
    again.headers.set("Contact", answered.party.contact)
    again.headers.set("Content-Type", "application/sdp")
    secure = answered.voice.answer(b"")
    again.body = re.sub(rb"a=crypto:[^\r]*\r\n", b"", secure.replace(b"RTP/SAVP", b"RTP/AVP"))
    answered.link.send(again)

    def statuses() -> list[int]:
        return [
            getattr(each.message, "status", 0)
            for each in sbc.carrier.record
            if not each.outgoing and not isinstance(each.message, Request)
            and each.message.call_id == answered.call_id and each.message.cseq.method == "INVITE"
        ]  # fmt: skip

    until_equal(statuses, [100, 488])
    until(lambda: call.voice.packets()[1] >= 40 and answered.voice.packets()[1] >= 40)
    call.hang_up()
    assert call.wait_over(30) and answered.wait_over(30)
    capture.stop()
    relayed = capture.sent_by(sbc.media)
    assert len(relayed) > 30 and not in_clear(relayed)
    assert call.report().voice.heard.hertz == CARRIER_HERTZ
    assert answered.report().voice.heard.hertz == OFFICE_HERTZ


def test_no_key_was_written_anywhere(sbc: Attacked) -> None:
    """The keys crossed the signalling; neither the journal nor the records nor the pages have them."""
    for fault in ("", "reflected-key"):
        call = place(sbc, fault)
        call.wait_up(30)
        call.hang_up()
        assert call.wait_over(30)
        sbc.record_of(call.call_id)
    keys = set(re.findall(rb"inline:([^|\r\n ]+)", b"".join(each.message.body for each in sbc.office.record)))
    assert len(keys) >= 4
    written = [
        path for path in Path(sbc.directory).rglob("*") if path.is_file() and path.parent.name != "tls"
    ]
    for path in written:
        content = path.read_bytes()
        assert b"inline:" not in content and not any(key in content for key in keys), path
