"""RTCP as it may leave on the other leg (RFC 3550 section 6): reports pass, what names a peer does not.

A CNAME is often ``user@address``, the address being one behind us, and SDES has items for names,
places and software besides. So of SDES only the CNAME passes, under an alias; of BYE the sources
pass without the reason; APP and types that we do not know stay on the leg that they came from.

An alias is a keyed digest: the same CNAME has the same alias throughout a call, so that a
receiver still knows which streams belong together (RFC 7022 section 4.2), and without the key
nobody can try addresses until one fits.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import blake2b

_SDES, _BYE = 202, 203
#: SR, RR, RTPFB, PSFB (RFC 4585), XR (RFC 3611): numbers about streams, and nothing else.
_PASSED = frozenset((200, 201, 205, 206, 207))
_CNAME = 1


def conceal(compound: bytes, key: bytes) -> bytes | None:
    """Return what of a compound packet may leave, maybe nothing; None when it is malformed.

    ``key`` is the call's, of 16 to 64 random bytes; where it is empty no CNAME passes.
    """
    kept, at, size = [], 0, len(compound)
    while at < size:
        end = at + 4 * (1 + int.from_bytes(compound[at + 2 : at + 4], "big"))
        if end > size or compound[at] & 0xC0 != 0x80:
            return None
        kind = compound[at + 1]
        if kind in _PASSED:
            kept.append(compound[at:end])
        elif kind in (_SDES, _BYE):
            rewritten = (_sdes if kind == _SDES else _bye)(compound[at:end], key)
            if rewritten is None:
                return None
            kept.append(rewritten)
        at = end
    return b"".join(kept)


def _bye(packet: bytes, key: bytes) -> bytes | None:
    """Goodbye without a reason (6.6)."""
    count = packet[0] & 0x1F
    sources = packet[4 : 4 + 4 * count]
    return None if len(sources) != 4 * count else _packet(_BYE, count, sources)


def _sdes(packet: bytes, key: bytes) -> bytes | None:
    """Source descriptions with an alias of the CNAME and nothing else (6.5)."""
    count, at = packet[0] & 0x1F, 4
    chunks = b""
    for _ in range(count):
        found = _chunk(packet, at)
        if found is None:
            return None
        cname, end = found
        text = packet[at : at + 4]
        if cname is not None and key:
            alias = b64encode(blake2b(cname, digest_size=12, key=key).digest())
            text += bytes((_CNAME, len(alias))) + alias
        chunks += text + bytes(4 - len(text) % 4)
        at = end
    return _packet(_SDES, count, chunks)


def _chunk(packet: bytes, start: int) -> tuple[bytes | None, int] | None:
    """Read a chunk: its CNAME if it has one, and where the next chunk begins; None when it is cut off."""
    cname, at = None, start + 4
    while at < len(packet) and packet[at]:
        if at + 1 >= len(packet):
            return None
        after = at + 2 + packet[at + 1]
        if packet[at] == _CNAME:
            cname = packet[at + 2 : after]
        at = after
    if at >= len(packet):
        return None
    return cname, (at | 3) + 1


def _packet(kind: int, count: int, content: bytes) -> bytes:
    return bytes((0x80 | count, kind)) + (len(content) // 4).to_bytes(2, "big") + content
