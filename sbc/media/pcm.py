"""Sound as 16-bit samples: G.711 (ITU-T) and L16 (RFC 3551 4.5) decoded, a whole stretch at a time.

A sample of G.711 is one octet, so each half of what it means is a table of 256, and ``bytes.translate`` does
a second of sound in a few microseconds. What stands in a file or is told to a hook is little-endian.
"""

from __future__ import annotations

from typing import Final

from sbc.media.formats import Format

#: Samples a second of all that is decoded.
RATE: Final = 8000


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


_MU_LOW, _MU_HIGH = _halves([decode_ulaw(code) for code in range(256)])
_A_LOW, _A_HIGH = _halves([decode_alaw(code) for code in range(256)])


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
