"""Two plain legs that talk, and RTCP as their peers write it."""

from __future__ import annotations

import struct

from sbc.media.relay import Leg, packet, pair
from sbc.media.sdp import Media
from tests.unit.media.kit import audio, first, sdp

A, B = ("192.0.2.10", 40000), ("198.51.100.20", 50000)
LSR = 0x0102_0304
PCMU = first(sdp(audio()))


def legs(described: Media = PCMU) -> tuple[Leg, Leg]:
    a, b = pair()
    for leg, (host, port) in ((a, A), (b, B)):
        leg.agreed, leg.hosts = True, (host,)
        leg.port_rtp.aim((host, port), False)
        leg.port_rtcp.aim((host, port + 1), False)
        leg.timing().describe(described, described)
    return a, b


def voice(sequence: int, stamp: int | None = None, ssrc: int = 7, kind: int = 0) -> bytes:
    stamp = sequence * 160 if stamp is None else stamp
    return struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, stamp & 0xFFFFFFFF, ssrc) + b"voice" * 32


def speak(leg: Leg, sequences: range | list[int], ssrc: int = 7, late: float = 0.0) -> None:
    """A packet every 20 ms, each second one ``late``."""
    for turn, each in enumerate(sequences):
        packet(
            leg.port_rtp,
            voice(each, ssrc=ssrc),
            A if leg.side == "a" else B,
            100 + 0.02 * turn + late * (turn % 2),
        )


def sender_report(lsr: int = LSR, blocks: bytes = b"", ssrc: int = 7) -> bytes:
    count = len(blocks) // 24
    head = struct.pack("!BBHIQIII", 0x80 | count, 200, 6 + 6 * count, ssrc, lsr << 16, 0, 1, 160)
    return head + blocks


def block(
    lost: int = 0, jitter: int = 0, lsr: int = 0, dlsr: int = 0, ssrc: int = 7, fraction: int = 0
) -> bytes:
    return struct.pack("!IIIIII", ssrc, fraction << 24 | lost & 0xFFFFFF, 0, jitter, lsr, dlsr)


def receiver_report(blocks: bytes, ssrc: int = 8) -> bytes:
    count = len(blocks) // 24
    return struct.pack("!BBHI", 0x80 | count, 201, 1 + 6 * count, ssrc) + blocks


def voip_metrics(listening: int, talking: int, ssrc: int = 7) -> bytes:
    """An extended report with the VoIP metrics block (RFC 3611 4.7)."""
    scores = struct.pack("!BBBB", 127, 127, listening, talking)
    body = struct.pack("!BBHI", 7, 0, 8, ssrc) + bytes(16) + scores + bytes(8)
    return struct.pack("!BBHI", 0x80, 207, 1 + len(body) // 4, 8) + body
