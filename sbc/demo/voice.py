"""An agent's media: an offer or an answer, a tone sent every 20 ms, and what was heard.

Faults are part of it, because the tests of the SBC need peers that misbehave: an answer without
SRTP, with a broken key, with a suite or a tag that nobody offered, or with the offerer's own key,
and packets that are forged or sent twice.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import gevent
from gevent import socket

from sbc.base import Address, PeerError
from sbc.demo.tone import CODECS, FRAME, SILENCE, Heard, hear, tone
from sbc.media.sdes import KEY_LENGTHS, CryptoLine, format_crypto, parse_crypto
from sbc.media.srtp import Protector, SrtpError, Unprotector

AnswerFault = Literal[
    "", "plain", "no-crypto", "broken-key", "short-key", "unoffered-suite", "other-tag", "reflected-key"
]
PacketFault = Literal["", "forged", "replayed"]

CANDIDATES = range(300, 1500, 10)
_HOLDS = (
    (b"a=sendonly", b"a=recvonly"),
    (b"a=recvonly", b"a=sendonly"),
    (b"a=inactive", b"a=inactive"),
)
_HEADER = struct.Struct("!BBHII")
_key_start = re.compile(rb"inline:....").sub
_SUITES = ("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """How an agent speaks: its tone in Hz, payload type (0 or 8), SRTP suites (none: plain), faults."""

    hertz: int = 440
    payload_type: int = 8
    suites: tuple[str, ...] = _SUITES
    answer_fault: AnswerFault = ""
    packet_fault: PacketFault = ""


@dataclass(slots=True)
class VoiceReport:
    """What one agent sent and heard; ``suite`` is "" for plain RTP, ``refused`` counts by reason."""

    suite: str = ""
    codec: str = ""
    sent: int = 0
    received: int = 0
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    heard: Heard = SILENCE


@dataclass(frozen=True, slots=True)
class RemoteMedia:
    """What the first audio line of a peer's SDP says."""

    address: Address
    profile: str
    payload_types: tuple[int, ...]
    crypto: tuple[CryptoLine, ...]


class Voice:
    """The media of one call of an agent: one UDP socket, one stream each way."""

    def __init__(self, host: str, settings: VoiceSettings) -> None:
        self.settings = settings
        self.payload_type = settings.payload_type
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.address = Address(*self._socket.getsockname())
        self._offered = [
            CryptoLine(tag, suite, os.urandom(KEY_LENGTHS[suite]))
            for tag, suite in enumerate(settings.suites, 1)
        ]
        self._report = VoiceReport()
        self._protector: Protector | None = None
        self._unprotector: Unprotector | None = None
        self._remote: Address | None = None
        self._greenlets: list[Any] = []
        self._heard: deque[bytes] = deque(maxlen=20)
        self._sequence = Sequence()
        self._answer: bytes | None = None

    def offer(self) -> bytes:
        """Our offer: RTP/SAVP with every suite of ours, or RTP/AVP where we have none."""
        profile = "RTP/SAVP" if self._offered else "RTP/AVP"
        return self._describe(profile, self._offered)

    def answer(self, sdp: bytes) -> bytes:
        """Our answer to an offer, with the faults asked for; PeerError(488) where we cannot.

        An offer that repeats in the call is answered with the same keys, a hold with a hold (RFC 3264 6.1).
        """
        if self._answer is not None:
            direction = next((answer for offer, answer in _HOLDS if offer in sdp), b"a=sendrecv")
            return self._answer.replace(b"a=sendrecv", direction)
        remote = read_sdp(sdp)
        self._choose(remote)
        theirs = next((each for each in remote.crypto if each.suite in self.settings.suites), None)
        if theirs is None and self.settings.suites:
            raise PeerError("the offer has no SRTP key that we can use", 488)
        ours = [replace(theirs, key=os.urandom(len(theirs.key)), mki=b"")] if theirs else []
        if theirs is not None:
            self._secure(ours[0], theirs)
        self._answer = self._faulty_answer(remote.profile, ours, theirs)
        return self._answer

    def accept(self, sdp: bytes) -> None:
        """Take the answer to our offer; PeerError(488) where it does not fit."""
        remote = read_sdp(sdp)
        self._choose(remote)
        if not self._offered:
            return
        theirs = remote.crypto[0] if remote.crypto else None
        ours = next((each for each in self._offered if theirs and each.tag == theirs.tag), None)
        if theirs is None or ours is None or ours.suite != theirs.suite:
            raise PeerError("the answer has no SRTP key for what we offered", 488)
        self._secure(ours, theirs)

    def start(self) -> None:
        """Begin to send and to listen."""
        if not self._greenlets:
            self._greenlets = [gevent.spawn(self._send_tone), gevent.spawn(self._listen)]

    def stop(self) -> VoiceReport:
        """End both streams and say what was heard; may be called again."""
        gevent.killall(self._greenlets)
        self._socket.close()
        report = self._report
        report.codec = CODECS[self.payload_type]
        report.lost = self._sequence.lost()
        if self._heard:
            report.heard = hear(self._heard, self.payload_type, CANDIDATES)
            self._heard.clear()
        return report

    def inject(self, packet: bytes) -> None:
        """Send ``packet`` as it is from our own port, as an attacker who has taken it over would."""
        if self._remote is not None:
            self._socket.sendto(packet, self._remote)

    def packets(self) -> tuple[int, int]:
        """How many packets have been sent and received so far."""
        return self._report.sent, self._report.received

    def _choose(self, remote: RemoteMedia) -> None:
        wanted = [each for each in remote.payload_types if each in CODECS]
        if not wanted:
            raise PeerError("no codec in common", 488)
        if self.payload_type not in wanted:
            self.payload_type = wanted[0]
        self._remote = remote.address

    def _secure(self, ours: CryptoLine, theirs: CryptoLine) -> None:
        self._protector, self._unprotector = Protector(ours), Unprotector(theirs)
        self._report.suite = ours.suite

    def _faulty_answer(self, profile: str, ours: list[CryptoLine], theirs: CryptoLine | None) -> bytes:
        match self.settings.answer_fault:
            case "plain":
                self._protector = self._unprotector = None
                return self._describe("RTP/AVP", [])
            case "no-crypto":
                return self._describe(profile, [])
            case "broken-key":
                return self._describe(profile, ours).replace(b"inline:", b"inline:!")
            case "short-key":
                return _key_start(b"inline:", self._describe(profile, ours))
            case "unoffered-suite":
                tag = theirs.tag if theirs else 1
                return self._describe(profile, [CryptoLine(tag, "AEAD_AES_256_GCM", os.urandom(44))])
            case "other-tag":
                return self._describe(profile, [replace(each, tag=each.tag + 50) for each in ours])
            case "reflected-key" if theirs is not None:
                return self._describe(profile, [theirs])
        return self._describe(profile, ours)

    def _describe(self, profile: str, crypto: list[CryptoLine]) -> bytes:
        host, port = self.address
        kind = self.payload_type
        lines = [
            "v=0", f"o=- {port} 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0",
            f"m=audio {port} {profile} {kind}", f"a=rtpmap:{kind} {CODECS[kind]}/8000",
            *(f"a=crypto:{format_crypto(each)}" for each in crypto), "a=ptime:20", "a=sendrecv",
        ]  # fmt: skip
        return ("\r\n".join(lines) + "\r\n").encode()

    def _send_tone(self) -> None:
        payloads = tone(self.settings.hertz, self.payload_type)
        ssrc = int.from_bytes(os.urandom(4))
        begun, at = time.monotonic(), 0
        while True:
            packet = _HEADER.pack(0x80, self.payload_type, at & 0xFFFF, at * FRAME & 0xFFFFFFFF, ssrc)
            self._send(packet + payloads[at % len(payloads)])
            at += 1
            gevent.sleep(max(0.0, begun + at * 0.02 - time.monotonic()))

    def _send(self, packet: bytes) -> None:
        assert self._remote is not None, "media starts after offer and answer"
        if self._protector is not None:
            packet = self._protector.rtp(packet)
        if self.settings.packet_fault == "forged":
            packet = packet[:-1] + bytes([packet[-1] ^ 0xFF])
        for _ in range(2 if self.settings.packet_fault == "replayed" else 1):
            try:
                self._socket.sendto(packet, self._remote)
                self._report.sent += 1
            except OSError:
                self._report.refused["not sent"] += 1

    def _listen(self) -> None:
        while True:
            try:
                packet = self._socket.recv(2048)
            except OSError:
                continue  # an ICMP error of an earlier packet
            self._hear(packet)

    def _hear(self, packet: bytes) -> None:
        if len(packet) < 12 or 64 <= packet[1] & 0x7F <= 95:
            return  # too short, or RTCP on the same port (RFC 5761 section 4)
        if self._unprotector is not None:
            try:
                packet = self._unprotector.rtp(packet)
            except SrtpError as error:
                self._report.refused[error.reason] += 1
                return
        if packet[1] & 0x7F != self.payload_type:
            self._report.refused["payload type"] += 1
            return
        self._report.received += 1
        self._sequence.saw(int.from_bytes(packet[2:4]))
        self._heard.append(packet[12:])


class Sequence:
    """Counts losses by sequence number, over wraps (RFC 3550 A.3)."""

    def __init__(self) -> None:
        self._first = self._highest = -1
        self._received = 0

    def saw(self, number: int) -> None:
        """A packet with this 16-bit sequence number arrived."""
        if self._first < 0:
            self._first = self._highest = number
        step = (number - self._highest) & 0xFFFF
        if step < 0x8000:
            self._highest += step
        self._received += 1

    def lost(self) -> int:
        """Packets that were due and did not arrive."""
        return max(0, self._highest - self._first + 1 - self._received) if self._first >= 0 else 0


def read_sdp(sdp: bytes) -> RemoteMedia:
    """The first audio line of ``sdp``; PeerError(488) where there is none. Unusable keys are left out."""
    host = profile = ""
    port = 0
    kinds: tuple[int, ...] = ()
    crypto: list[CryptoLine] = []
    for line in sdp.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        if name == "c":
            host = value.split()[-1]
        elif name == "m" and profile:
            break
        elif name == "m" and value.startswith("audio "):
            _, port_text, profile, *formats = value.split()
            port, kinds = int(port_text), tuple(int(each) for each in formats if each.isdigit())
        elif name == "a" and value.startswith("crypto:"):
            _keep_usable(value.removeprefix("crypto:"), crypto)
    if not host or not port:
        raise PeerError("no audio in the SDP", 488)
    return RemoteMedia(Address(host, port), profile, kinds, tuple(crypto))


def _keep_usable(value: str, crypto: list[CryptoLine]) -> None:
    try:
        crypto.append(parse_crypto(value))
    except PeerError:
        return
