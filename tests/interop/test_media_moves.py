"""Media that moves while packets are in flight (RFC 3264 8.3.1): rtpengine and PJSIP say what is right.

rtpengine and our relay get the same commands and the same packets, and must both deliver what the address
of the SDP sends and send to it. A PJSIP moves its media port in mid-call while somebody goes on
sending from the old one, address and port, as a network that was slow would. And a call gets the ports of
one that has just ended, whose far end has not noticed.
"""

from __future__ import annotations

import base64
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pylibsrtp
import pytest

from bench.ng import NgClient
from bench.relay import PROXIES
from tests.interop.rig import SBC, Far, Rig, hears_lately, messages, rtp_received, talk
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.tone import heard, listen
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop]

LOW, HIGH = 440.0, 1000.0
ALICE, BOB = "127.0.0.2", "127.0.0.3"
KEY, NEW_KEY = bytes(range(30)), bytes(range(40, 70))
SUITE = "AES_CM_128_HMAC_SHA1_80"
_SDP = (
    "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} {profile} 0\r\n{crypto}"
)
_MEDIA = re.compile(rb"m=audio (\d+) ")
_CRYPTO = re.compile(rb"a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80 inline:([A-Za-z0-9+/=]+)")


class Phone:
    """A UDP socket on the loopback."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(1)
        self.port = int(self.socket.getsockname()[1])

    def hears(self, read: Callable[[bytes], bytes], wanted: bytes) -> bool:
        """Whether ``wanted`` comes, whatever comes before it; False after a second of nothing."""
        try:
            while read(self.socket.recv(2048)) != wanted:
                continue
        except TimeoutError:
            return False
        return True


class Call:
    """A call through a media proxy: ``a`` is plain, the other leg is plain or has one key for good."""

    def __init__(self, port: int, secure: bool) -> None:
        self.client = NgClient(port)
        self.secure = secure
        self.version = 0
        self.sequence = 0
        self.a = Phone()
        self.phones = [self.a]
        self.crypto = ""
        self.protect: Callable[[bytes], bytes] = bytes
        self.read: Callable[[bytes], bytes] = bytes
        self.to_a = self.to_b = 0

    def phone(self) -> Phone:
        self.phones.append(Phone())
        return self.phones[-1]

    def close(self) -> None:
        self.client.ask("delete", call_id="moves", from_tag="a")
        self.client.close()
        for each in self.phones:
            each.socket.close()

    def describe(self, phone: Phone) -> str:
        self.version += 1
        far = phone is not self.a
        profile = "RTP/SAVP" if far and self.secure else "RTP/AVP"
        crypto = self.crypto if far else ""
        return _SDP.format(version=self.version, port=phone.port, profile=profile, crypto=crypto)

    def ask(self, command: str, sdp: str, tags: tuple[str, str], profile: str = "") -> bytes:
        options: dict[str, Any] = {"transport_protocol": profile} if profile else {}
        if command == "answer" or self.version > 1:
            options["to_tag"] = tags[1]
        reply = self.client.ask(
            command, call_id="moves", from_tag=tags[0], sdp=sdp, ICE="remove", DTLS="off", **options
        )
        return bytes(reply["sdp"])

    def connect(self, b: Phone) -> None:
        profile = "RTP/SAVP" if self.secure else "RTP/AVP"
        offered = self.ask("offer", self.describe(self.a), ("a", "b"), profile)
        if self.secure:
            line = _CRYPTO.search(offered)
            assert line is not None, offered
            self.crypto = f"a=crypto:{int(line[1])} {SUITE} inline:{base64.b64encode(KEY).decode()}\r\n"
            self.protect = _session(KEY, pylibsrtp.Policy.SSRC_ANY_OUTBOUND).protect
            self.read = _session(base64.b64decode(line[2]), pylibsrtp.Policy.SSRC_ANY_INBOUND).unprotect
        self.to_b = _port(offered)
        self.to_a = _port(self.ask("answer", self.describe(b), ("a", "b")))

    def move(self, b: Phone) -> None:
        """The far side's re-INVITE names another phone; our port stays."""
        self.ask("offer", self.describe(b), ("b", "a"), "RTP/AVP")
        assert _port(self.ask("answer", self.describe(self.a), ("b", "a"))) == self.to_b

    def packet(self, ssrc: int, sequence: int = 0) -> bytes:
        if not sequence:
            self.sequence += 1
        at = (sequence or self.sequence) & 0xFFFF
        return struct.pack("!BBHII", 0x80, 0, at, at * 160, ssrc) + bytes(160)

    def from_b(self, b: Phone) -> bytes:
        """Send the next packet of the far side's one stream, from ``b``."""
        data = self.packet(2)
        b.socket.sendto(self.protect(data), ("127.0.0.1", self.to_b))
        return data

    def talk(self, b: Phone) -> None:
        """Each hears the other, ``b`` within a few packets: rtpengine's threads overtake each other."""
        for _ in range(5):
            assert self.a.hears(bytes, self.from_b(b))
            data = self.packet(1)
            self.a.socket.sendto(data, ("127.0.0.1", self.to_a))
            if b.hears(self.read, data):
                return
        raise AssertionError("what is sent to the far side does not reach it")


def _port(sdp: bytes) -> int:
    found = _MEDIA.search(sdp)
    assert found is not None, sdp
    return int(found[1])


def _session(key: bytes, direction: int) -> pylibsrtp.Session:
    return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=direction))


@pytest.fixture(params=list(PROXIES))
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    needs("taskset", *(["rtpengine"] if request.param == "rtpengine" else []))
    with PROXIES[request.param](tmp_path) as running:
        yield running.port


SECURE = pytest.mark.parametrize("secure", [False, True], ids=["plain", "srtp"])


@SECURE
def test_what_the_address_of_the_sdp_sends_is_delivered_after_what_is_in_flight(
    proxy: int, secure: bool
) -> None:
    call = Call(proxy, secure)
    try:
        old, new, third = call.phone(), call.phone(), call.phone()
        call.connect(old)
        call.talk(old)
        for before, now in ((old, new), (new, third), (third, old)):
            call.move(now)
            for _ in range(10):
                call.from_b(before)
            for _ in range(3):
                call.talk(now)
    finally:
        call.close()


@SECURE
def test_the_address_of_the_sdp_wins_from_whoever_was_first(proxy: int, secure: bool) -> None:
    call = Call(proxy, secure)
    try:
        named, first = call.phone(), call.phone()
        call.connect(named)
        assert call.a.hears(bytes, call.from_b(first))
        call.talk(named)
    finally:
        call.close()


def test_an_srtp_peer_whose_nat_changes_its_port_is_followed(proxy: int) -> None:
    call = Call(proxy, True)
    try:
        named, nat, later = call.phone(), call.phone(), call.phone()
        call.connect(named)
        call.talk(nat)
        call.talk(later)
        call.move(named)  # a re-INVITE that changes nothing
        call.talk(later)
    finally:
        call.close()


@pytest.mark.parametrize("kept", [True, False])
def test_a_new_key_after_a_wrap_is_heard_whether_the_counter_was_kept_or_not(proxy: int, kept: bool) -> None:
    call = Call(proxy, True)
    try:
        b = call.phone()
        call.connect(b)
        for call.sequence in (20000, 50000, 65536 + 100):
            call.talk(b)
        call.crypto = call.crypto.replace(base64.b64encode(KEY).decode(), base64.b64encode(NEW_KEY).decode())
        call.move(b)
        sender = _session(NEW_KEY, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        call.protect = sender.protect
        if kept:
            for sequence in (1, 20000, 40000, 60000):
                sender.protect(call.packet(2, sequence))
        call.sequence = 65536 + 200
        call.talk(b)
        call.talk(b)
    finally:
        call.close()


class Straggler:
    """Sends plain RTP with an address and port of somebody else, every 5 ms from ``start`` on."""

    def __init__(self, source: tuple[str, int], target: tuple[str, int]) -> None:
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        self._raw.bind((source[0], 0))
        self._source, self._target = source, target
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Straggler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._raw.close()

    def _run(self) -> None:
        sequence = 0
        while not self._end.is_set():
            sequence += 1
            data = struct.pack("!BBHII", 0x80, 0, sequence, sequence * 160, 0xDEAD) + b"\xff" * 160
            head = struct.pack("!HHHH", self._source[1], self._target[1], 8 + len(data), 0)
            self._raw.sendto(head + data, (self._target[0], 0))
            time.sleep(0.005)


def audio_ports(agent: Pjsip, way: Any) -> list[int]:
    """The ports of all m=audio lines that a PJSIP sent or received, in order."""
    return [int(port) for port in re.findall(r"^m=audio (\d+) ", messages(agent, way), re.MULTILINE)]


def test_a_pjsip_that_moves_its_port_is_heard_and_hears(tmp_path: Path) -> None:
    needs("pjsua2")
    rig = Rig(tmp_path)
    plain = {"transport": "udp", "srtp": "off", "secure_signalling": 0}
    alice = rig.pjsip("alice", ALICE, HIGH, **plain)
    bob = rig.pjsip("bob", BOB, LOW, **plain)
    caller, callee = Far("alice", alice.port, ALICE, "udp", "off"), Far("bob", bob.port, BOB, "udp", "off")
    with rig.running(caller, callee, alice, bob):
        call = alice.call(rig.number(transport="udp"))
        there = bob.expect("incoming")["call"]
        alice.expect_state(call, "CONFIRMED")
        bob.expect_state(there, "CONFIRMED")
        talk((alice, call), (bob, there))
        before, ours = audio_ports(alice, "TX")[-1], audio_ports(alice, "RX")[-1]
        try:
            straggler = Straggler((ALICE, before), (SBC, ours))
        except PermissionError:
            pytest.skip("packets with another's port need a raw socket: run this as root")
        with straggler:
            alice.expect("media", call=call)
            alice.reinvite(call, move=True)
            alice.expect("media", call=call)
            assert audio_ports(alice, "TX")[-1] != before and audio_ports(alice, "RX")[-1] == ours
            talk((alice, call), (bob, there))
        alice.hangup(call)
        bob.expect_state(there, "DISCONNECTED")
        record = rig.record()
        assert record["a"]["media"]["remote"] == f"{ALICE}:{audio_ports(alice, 'TX')[-1]}"
        assert record["a"]["media"]["refused"]["source"] > 0
        assert hears_lately(alice.recording(call), LOW) and hears_lately(bob.recording(there), HIGH)


#: What the former far end says: a square wave of 500 Hz in PCMU, 20 ms of it.
_FORMER_HZ, _FORMER = 500.0, (b"\x80" * 8 + b"\x00" * 8) * 10


class FormerPeer:
    """A gateway that has not noticed its call's end: it sends from where it did, every 5 ms."""

    def __init__(self, source: tuple[str, int], target: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(source)
        self.sent = 0
        self._target = target
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FormerPeer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.socket.close()

    def _run(self) -> None:
        while not self._end.wait(0.005):
            head = struct.pack("!BBHII", 0x80, 0, self.sent & 0xFFFF, self.sent * 160, 0xDEAD)
            self.socket.sendto(head + _FORMER, self._target)
            self.sent += 1

    def got(self) -> bytes:
        """The first datagram that was sent to it, or nothing."""
        try:
            return self.socket.recv(2048, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""


@pytest.mark.parametrize("speaks", [True, False])
def test_a_pjsip_hears_nothing_of_the_call_that_had_its_ports(tmp_path: Path, speaks: bool) -> None:
    """The next callee of the same gateway echoes or is silent; the former one never stops."""
    needs("pjsua2", "sipp")
    rig = Rig(tmp_path, pairs=2)
    alice = rig.pjsip("alice", ALICE, HIGH, transport="udp", srtp="off", secure_signalling=0)
    settings = SippSettings("callee", port=free_port(), address=BOB, echo=True, trace=True)
    former = Sipp("former", tmp_path / "former", settings)
    callee = Sipp("callee", tmp_path / "callee", replace(settings, echo=speaks))
    assert former.media_port != callee.media_port
    caller = Far("alice", alice.port, ALICE, "udp", "off")
    gateway = Far("bob", settings.port, BOB, "udp", "off")
    with rig.running(caller, gateway, alice):
        with former:
            first = call_for_a_while(rig, alice, partial(rtp_received, alice, 1))
        assert first["b"]["media"]["remote"] == f"{BOB}:{former.media_port}"
        ours = offered_port(former)
        with FormerPeer((BOB, former.media_port), (SBC, ours)) as late, callee:
            until(lambda: late.sent, "late packets", holds=lambda sent: sent > 20)
            heard_by = partial(rtp_received, alice, 2) if speaks else lambda: late.sent
            second = call_for_a_while(rig, alice, heard_by)
            assert late.got() == b"", "the former peer gets what is said in the next call"
    assert offered_port(callee) == ours
    assert second["b"]["media"]["remote"] == f"{BOB}:{callee.media_port}"
    assert second["b"]["media"]["refused"]["source"] > 0
    hearing = listen(alice.recording(2), HIGH)
    assert listen(alice.recording(2), _FORMER_HZ).tone == 0
    if speaks:
        assert heard(alice.recording(2), HIGH), "the callee echoes Alice's own tone"
    else:
        assert second["b"]["media"]["packets_in"] == 0 and hearing.sound == 0


def offered_port(callee: Sipp) -> int:
    """Our media port, by the INVITE that a SIPp got: the first message that it logged."""
    return _port(callee.messages.read_bytes())


def call_for_a_while(rig: Rig, alice: Pjsip, packets: Callable[[], int]) -> dict[str, Any]:
    """Alice calls, and hangs up when there are many more ``packets``; the record."""
    call = alice.call(rig.number(transport="udp"))
    alice.expect_state(call, "CONFIRMED")
    until(packets, "packets", holds=(packets() + 100).__le__)
    alice.hangup(call)
    alice.expect_state(call, "DISCONNECTED")
    return rig.record()
