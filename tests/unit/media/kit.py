"""Descriptions, packets and peers for the media tests."""

from __future__ import annotations

import struct
from base64 import b64encode

from sbc.ids import Ids
from sbc.media.places import Networks, Place, PortPool
from sbc.media.policy import SUITES, MediaPolicy
from sbc.media.sdes import KEY_LENGTHS, CryptoLine, format_crypto, parse_crypto
from sbc.media.sdp import Media, parse_sdp
from sbc.media.session import MediaSession

SBC = "203.0.113.9"
ALICE, BOB = "192.0.2.10", "198.51.100.20"
OFF, ACCEPT, OSRTP, REQUIRED = (MediaPolicy(each) for each in ("off", "accept", "offer", "required"))
CODECS = "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"


class Counter:
    """Bytes that never repeat, instead of random ones."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, size: int) -> bytes:
        self.count += 1
        return struct.pack("!Q", self.count).rjust(size, b"\x5a")[-size:]


def session(ports: str = "20000-20099") -> tuple[MediaSession, PortPool]:
    pool = PortPool(ports)
    return session_on(pool), pool


def session_on(pool: PortPool, bound: str = "", address: str = SBC) -> MediaSession:
    return MediaSession("call-1", Ids(Counter()), Networks({"": (Place(address, pool, bound),)}))


def audio(port: int = 40000, profile: str = "RTP/AVP", *lines: str) -> str:
    return f"m=audio {port} {profile} 0 101\r\n{CODECS}" + "".join(f"a={each}\r\n" for each in lines)


def sdp(*sections: str, host: str = ALICE) -> bytes:
    head = f"v=0\r\no=alice 2890844526 7 IN IP4 {host}\r\ns=secret\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    return (head + "".join(sections)).encode()


def key(number: int, suite: str = SUITES[0], tag: int = 1) -> CryptoLine:
    return CryptoLine(tag, suite, bytes([number]) * KEY_LENGTHS[suite])


def crypto(number: int, suite: str = SUITES[0], tag: int = 1) -> str:
    return "crypto:" + format_crypto(key(number, suite, tag))


def first(data: bytes) -> Media:
    return parse_sdp(data).media[0]


def lines(data: bytes) -> list[CryptoLine]:
    return [parse_crypto(each) for each in first(data).values("crypto")]


def rtp(sequence: int, payload: bytes = b"voice" * 32, ssrc: int = 7, kind: int = 0) -> bytes:
    return struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc) + payload


def rtcp(ssrc: int = 7) -> bytes:
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, 1, 2, 3, 4)


def inline(data: bytes) -> str:
    return b64encode(data).decode()
