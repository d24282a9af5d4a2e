"""baresip and PJSIP call each other through a running Portcullis, mutual TLS and mandatory SRTP."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.rig import (
    Far,
    Rig,
    assert_hidden,
    assert_secure,
    hears_lately,
    identity_of,
    log_size,
    messages,
    talk,
)
from tests.peers.baresip import Baresip, BaresipSettings
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.tone import heard, write_tone
from tests.peers.waiting import until_equal

pytestmark = pytest.mark.interop

LOW, HIGH = 440.0, 1000.0
BOB, SIPP = "127.0.0.3", "127.0.0.5"
_TRACED = re.compile(r"^TLS \S+:(\d+) -> \S+:(\d+)\n(.*?)\x1b\[;m", re.DOTALL | re.MULTILINE)


@dataclass(slots=True)
class Pair:
    """Carol is a baresip, Bob a PJSIP."""

    rig: Rig
    carol: Baresip
    bob: Pjsip

    def traced(self, sent: bool) -> str:
        """The SIP messages that baresip sent, or received, as it printed them."""
        text = self.carol.log.read_text(errors="replace")
        found = [(each[1] == str(self.rig.tls), each[2]) for each in _TRACED.findall(text)]
        return "\n".join(message for to_sbc, message in found if to_sbc == sent)

    def end(self, call: int) -> None:
        """Carol hangs up, and both know it."""
        self.carol.hangup()
        self.bob.expect_state(call, "DISCONNECTED")
        self.carol.expect("CALL_CLOSED")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    needs("pjsua2", "baresip")
    rig = Rig(tmp_path_factory.mktemp("pair"))
    bob = rig.pjsip("bob", BOB, LOW)
    tone = write_tone(rig.root / "high.wav", HIGH, 20)
    settings = BaresipSettings(tone, credentials=rig.lab.issue("carol"), ca=rig.lab.ca())
    carol = Baresip("carol", rig.root / "carol", settings)
    with rig.running(Far("carol", carol.port + 1), Far("bob", bob.port, BOB), bob, carol):
        yield Pair(rig, carol, bob)


@pytest.fixture
def pair(shared: Pair) -> Iterator[Pair]:
    shared.bob.events.clear()
    shared.carol.events.clear()
    yield shared
    shared.rig.check_log()


def test_baresip_calls_pjsip_holds_and_resumes(pair: Pair) -> None:
    carol, bob, start = pair.carol, pair.bob, log_size(pair.bob)
    carol.dial(pair.rig.number())
    carol.expect("CALL_ESTABLISHED")
    there = bob.expect("incoming")["call"]
    assert bob.expect("media", call=there)["srtp"] == "AES_CM_128_HMAC_SHA1_80"
    talk((bob, there))
    carol.command("hold")
    assert bob.expect("media", call=there)["direction"] == 2
    carol.command("resume")
    assert bob.expect("media", call=there)["direction"] == 3
    talk((bob, there))
    pair.end(there)
    record = pair.rig.record()
    assert hears_lately(bob.recording(there), HIGH)
    assert heard(carol.recording(), LOW)
    assert_secure(record["a"], "carol")
    assert_secure(record["b"], "bob")
    secrets = {
        "port": f":{carol.port + 1}",
        "user agent": "baresip",
        "contact": "carol-0x",
        "Call-ID": re.findall(r"^Call-ID: (\S+)", pair.traced(True), re.MULTILINE)[0],
        "tag": re.findall(r"^From: .*;tag=(\S+)", pair.traced(True), re.MULTILINE)[0],
    }
    assert_hidden(messages(bob, "RX", start), secrets)
    assert_hidden(pair.traced(False), identity_of(messages(bob, "TX", start), bob))


def test_pjsip_calls_baresip(pair: Pair) -> None:
    carol, bob = pair.carol, pair.bob
    call = bob.call(pair.rig.number("carol"))
    carol.expect("CALL_ESTABLISHED")
    bob.expect_state(call, "CONFIRMED")
    talk((bob, call))
    pair.end(call)
    record = pair.rig.record()
    assert heard(bob.recording(call), HIGH)
    assert heard(carol.recording(), LOW)
    assert_secure(record["a"], "bob")
    assert_secure(record["b"], "carol")
    assert (record["ended_by"], record["status"]) == ("callee", 200)


def test_digits_pass_from_pjsip_to_baresip(pair: Pair) -> None:
    carol, bob = pair.carol, pair.bob
    call = bob.call(pair.rig.number("carol"))
    carol.expect("CALL_ESTABLISHED")
    bob.expect_state(call, "CONFIRMED")
    talk((bob, call), packets=10)
    bob.dtmf(call, "7")
    until_equal(lambda: carol.expect("CALL_DTMF_START")["param"], "7")
    pair.end(call)
    pair.rig.record()


@pytest.mark.slow
def test_the_rtcp_of_baresip_does_not_tell_its_address(tmp_path: Path) -> None:
    """baresip's CNAME is its URI. SIPp has no ear for RTCP, so the test listens where SIPp's is sent."""
    needs("baresip", "sipp")
    rig = Rig(tmp_path)
    tone = write_tone(tmp_path / "high.wav", HIGH, 20)
    settings = BaresipSettings(tone, credentials=rig.lab.issue("carol"), ca=rig.lab.ca())
    carol = Baresip("carol", tmp_path / "carol", settings)
    sipp = Sipp("sipp", tmp_path / "sipp", SippSettings("callee", address=SIPP))
    plain = Far("sipp", sipp.port, SIPP, "udp", "off")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        rig.running(Far("carol", carol.port + 1), plain, carol, sipp),
    ):
        ear.bind((SIPP, sipp.media_port + 1))
        ear.settimeout(12)
        carol.dial(rig.number())
        carol.expect("CALL_ESTABLISHED")
        heard_rtcp = ear.recv(2048)
        carol.hangup()
        carol.expect("CALL_CLOSED")
        record = rig.record()
    assert heard_rtcp[1] in (200, 201)
    assert b"\xca" in heard_rtcp[28:] and b"\x01\x10" in heard_rtcp  # SDES with a CNAME of 16 characters
    assert b"carol" not in heard_rtcp and b"127.0.0.1" not in heard_rtcp
    assert record["downgraded"]
