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
from tests.edge.attacked import CARRIER_HERTZ, OFFICE_HERTZ, TO, Attacked
from tests.edge.wire import Capture, Datagram

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
    attacked = Attacked(tmp_path_factory.mktemp("closed"))
    yield attacked
    attacked.unharmed()
    assert attacked.close() == 0


@pytest.fixture(autouse=True)
def faultless(sbc: Attacked) -> None:
    """The carrier answers as it should, whatever it did in another test."""
    sbc.carrier.voice = VoiceSettings(CARRIER_HERTZ)


def recorded(sbc: Attacked) -> int:
    """How many calls have been recorded so far."""
    path = sbc.directory / "run" / "calls.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def place(sbc: Attacked, **voice: object) -> AgentCall:
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


def methods(agent: Agent, call_id: str) -> list[str]:
    """The requests that ``agent`` received in one call."""
    return [
        each.message.method
        for each in agent.record
        if not each.outgoing and isinstance(each.message, Request) and each.message.call_id == call_id
    ]


def test_a_good_call_is_heard_and_never_in_the_clear(sbc: Attacked) -> None:
    """What proves that the capture below would have seen clear RTP if there had been any."""
    before, capture = recorded(sbc), Capture(sbc.media)
    call = place(sbc)
    assert call.wait_up(5)
    answered = sbc.carrier.incoming.get(timeout=5)
    sprayed = spray(sbc, 0.5)
    call.hang_up()
    assert call.wait_over(5) and answered.wait_over(5)
    assert call.report().voice.heard.hertz == CARRIER_HERTZ
    assert answered.report().voice.heard.hertz == OFFICE_HERTZ
    seen = capture.stop()
    assert len(in_clear(seen)) == sprayed > 1000
    relayed = capture.sent_by(sbc.media)
    assert len(relayed) > 30 and not in_clear(relayed)
    assert {len(each.payload) for each in relayed} == {12 + 160 + 10}
    assert sbc.records(before + 1)[-1]["status"] == 200


@pytest.mark.parametrize("fault", REASONS)
def test_an_unusable_answer_ends_the_call(sbc: Attacked, fault: str) -> None:
    before = recorded(sbc)
    sbc.carrier.voice = VoiceSettings(CARRIER_HERTZ, answer_fault=fault)  # type: ignore[arg-type]
    capture = Capture(sbc.media)
    call = place(sbc)
    call.wait_up(5)
    answered = sbc.carrier.incoming.get(timeout=5)
    sprayed = spray(sbc, 0.3)
    assert (call.state, call.status) == ("failed", 488)
    assert answered.wait_over(5), "the callee was left in a call that is none"
    assert methods(sbc.carrier, answered.call_id) == ["INVITE", "ACK", "BYE"]
    seen = capture.stop()
    assert len(in_clear(seen)) >= sprayed > 1000, "the capture missed what was certainly there"
    assert capture.sent_by(sbc.media) == []
    record = sbc.records(before + 1)[-1]
    assert (record["status"], record["ended_by"]) == (488, "us") and REASONS[fault] in record["reason"]
    told = sbc.lines("[srtp-refused]")[-1]
    assert told["call"] == record["call"] and told["side"] == "b" and REASONS[fault] in told["reason"]
    assert sbc.calls() == []


@pytest.mark.parametrize("fault", ["plain offer", "only an unknown suite"])
def test_an_unusable_offer_is_refused_before_the_callee_hears_of_it(sbc: Attacked, fault: str) -> None:
    heard, before = len(sbc.carrier.record), recorded(sbc)
    capture = Capture(sbc.media)
    call = place(sbc, suites=() if fault == "plain offer" else ("AEAD_AES_256_GCM",))
    assert not call.wait_up(5)
    spray(sbc, 0.1)
    capture.stop()
    assert (call.state, call.status) == ("failed", 488)
    assert capture.sent_by(sbc.media) == [] and len(sbc.carrier.record) == heard
    told, record = sbc.lines("[srtp-refused]")[-1], sbc.records(before + 1)[-1]
    assert told["side"] == "a" and "the offer has no usable crypto line" in told["reason"]
    assert told["call"] == record["call"] and record["status"] == 488 and record["a"]["media"]["srtp"] == ""


def test_a_callee_cannot_talk_a_running_call_into_the_clear(sbc: Attacked) -> None:
    """A re-INVITE that offers plain RTP, from the side that was encrypted: 488, and the call goes on."""
    call = place(sbc)
    assert call.wait_up(5)
    answered = sbc.carrier.incoming.get(timeout=5)
    capture = Capture(sbc.media)
    again = answered.request("INVITE")
    again.headers.set("Contact", answered.party.contact)
    again.headers.set("Content-Type", "application/sdp")
    secure = answered.voice.answer(b"")
    again.body = re.sub(rb"a=crypto:[^\r]*\r\n", b"", secure.replace(b"RTP/SAVP", b"RTP/AVP"))
    answered.link.send(again)
    gevent.sleep(0.6)
    finals = [
        getattr(each.message, "status", 0)
        for each in sbc.carrier.record
        if not each.outgoing and not isinstance(each.message, Request)
        and each.message.call_id == answered.call_id and each.message.cseq.method == "INVITE"
    ]  # fmt: skip
    assert finals == [100, 488]
    call.hang_up()
    assert call.wait_over(5) and answered.wait_over(5)
    capture.stop()
    relayed = capture.sent_by(sbc.media)
    assert len(relayed) > 30 and not in_clear(relayed)
    assert call.report().voice.heard.hertz == CARRIER_HERTZ
    assert answered.report().voice.heard.hertz == OFFICE_HERTZ


def test_no_key_was_written_anywhere(sbc: Attacked) -> None:
    """The keys crossed the signalling; neither the journal nor the records nor the pages have them."""
    call = place(sbc)
    assert call.wait_up(5)
    answered = sbc.carrier.incoming.get(timeout=5)
    call.hang_up()
    assert call.wait_over(5) and answered.wait_over(5)
    keys = set(re.findall(rb"inline:([^|\r\n ]+)", b"".join(each.message.body for each in sbc.office.record)))
    assert len(keys) >= 2
    written = [
        path for path in Path(sbc.directory).rglob("*") if path.is_file() and path.parent.name != "tls"
    ]
    for path in written:
        content = path.read_bytes()
        assert b"inline:" not in content and not any(key in content for key in keys), path
