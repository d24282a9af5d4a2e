"""The files of packets that rtptools' ``rtpdump`` writes: their head, and where one is torn."""

from __future__ import annotations

import struct
from typing import Final

_MAGIC: Final = b"#!rtpplay1.0 0.0.0.0/0\n"
_REST: Final = struct.Struct("!IIIHH")
#: Octets before the first packet.
HEADER: Final = len(_MAGIC) + _REST.size


def header(now: float) -> bytes:
    """The head of a file that was begun at ``now`` (POSIX seconds); it names no address."""
    return _MAGIC + _REST.pack(int(now) & 0xFFFFFFFF, int(now % 1 * 1e6), 0, 0, 0)


def whole(data: bytes) -> int:
    """How many octets of ``data``, which begins with a packet's entry, are whole entries."""
    at, size = 0, len(data)
    while at + 8 <= size:
        length = data[at] << 8 | data[at + 1]
        if length < 8 or at + length > size:
            break
        at += length
    return at
