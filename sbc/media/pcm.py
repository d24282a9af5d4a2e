"""Sound as 16-bit samples: G.711 (ITU-T) and L16 (RFC 3551 4.5) decoded, and as G.711, a stretch at a time.

A sample of G.711 is one octet, so each half of what it means is a table of 256, and ``bytes.translate`` does
a second of sound in a few microseconds. What stands in a file or is told to a hook is little-endian.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from itertools import pairwise
from typing import Final

from sbc.media.formats import Format

#: Samples a second of all that is decoded.
RATE: Final = 8000
#: Silence in each law of G.711.
QUIET: Final = {"PCMU": b"\xff", "PCMA": b"\xd5"}


def decode_ulaw(code: int) -> int:
    """One mu-law octet as a 16-bit sample."""
    code = ~code & 0xFF
    size = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return -size if code & 0x80 else size


def decode_alaw(code: int) -> int:
    """One A-law octet as a 16-bit sample."""
    code ^= 0x55
    size, segment = (code & 0x0F) << 4, (code & 0x70) >> 4
    size += 0x108 if segment else 8
    if segment > 1:
        size <<= segment - 1
    return size if code & 0x80 else -size


def _halves(samples: list[int]) -> tuple[bytes, bytes]:
    return bytes([each & 0xFF for each in samples]), bytes([each >> 8 & 0xFF for each in samples])


def octets(codec: str, values: range) -> bytes:
    """For each of these rising values the octet of G.711 whose sample is nearest."""
    known = sorted({level: code for code, level in enumerate(LEVELS[codec])}.items())
    between = [(low + high) // 2 for (low, _), (high, _) in pairwise(known)]
    ends = [*[bisect_left(values, each) for each in between], len(values)]
    starts = [0, *ends[:-1]]
    return b"".join([
        bytes([code]) * (end - start) for (_, code), start, end in zip(known, starts, ends, strict=True)
    ])  # fmt: skip


#: The samples of the 256 octets of each law.
LEVELS: Final = {
    "PCMU": [decode_ulaw(code) for code in range(256)], "PCMA": [decode_alaw(code) for code in range(256)],
}  # fmt: skip
_MIDDLE: Final = 1 << 15
# The octet of each 16-bit sample, from the lowest on, and from this what an octet of the other law is.
_NEAREST: Final = {law: octets(law, range(-_MIDDLE, _MIDDLE)) for law in LEVELS}
_INTO: Final = {
    "PCMU": bytes([_NEAREST["PCMU"][each + _MIDDLE] for each in LEVELS["PCMA"]]),
    "PCMA": bytes([_NEAREST["PCMA"][each + _MIDDLE] for each in LEVELS["PCMU"]]),
}  # fmt: skip
_MU_LOW, _MU_HIGH = _halves(LEVELS["PCMU"])
_A_LOW, _A_HIGH = _halves(LEVELS["PCMA"])


def width(form: Format) -> int:
    """Octets of one sample of what can be decoded here; 0 for any other codec."""
    if form.clock != RATE or form.channels != 1:
        return 0
    codec = form.codec
    return 1 if codec in ("PCMU", "PCMA") else 2 if codec == "L16" else 0


def halves(codec: str, payload: bytes) -> tuple[bytes, bytes]:
    """The lower and the upper octets of the samples of a payload that ``width`` knows."""
    if codec == "PCMU":
        return payload.translate(_MU_LOW), payload.translate(_MU_HIGH)
    if codec == "PCMA":
        return payload.translate(_A_LOW), payload.translate(_A_HIGH)
    whole = len(payload) & ~1
    return payload[1:whole:2], payload[0:whole:2]


def samples(codec: str, payload: bytes) -> bytes:
    """The samples of a payload that ``width`` knows, 16 bit, little-endian."""
    low, high = halves(codec, payload)
    found = bytearray(2 * len(low))
    found[0::2] = low
    found[1::2] = high
    return bytes(found)


def companded(law: str, codec: str, payload: bytes) -> bytes:
    """The samples of a payload that ``width`` knows as octets of this law, each the nearest there is."""
    if codec == law:
        return payload
    if codec != "L16":
        return payload.translate(_INTO[law])
    nearest, count = _NEAREST[law], len(payload) // 2
    return bytes([nearest[each + _MIDDLE] for each in struct.unpack(f"!{count}h", payload[: 2 * count])])
