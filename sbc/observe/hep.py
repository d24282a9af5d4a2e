"""HEP version 3, by which a collector is told of SIP messages: a header and chunks, each with its length.

    HEP3 length | vendor type length value | vendor type length value | ...

All numbers are in network order, vendor 0 is what everybody knows. The correlation id is one for both legs of
a call, whose Call-IDs differ: ours. TLS is told as TCP, for the message is what came out of it.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from sbc.base import Address

_HEAD: Final = struct.Struct("!4sH")
_CHUNK: Final = struct.Struct("!HHH")
_U8, _U16, _U32 = (struct.Struct(form) for form in ("!B", "!H", "!I"))

_IPV4, _IPV6 = 2, 10  # the collector's AF_INET and AF_INET6, which are those of Linux
_TCP, _UDP = 6, 17
_SIP = 1
# Octets of a Call-ID, by which what belongs to no call is told.
_LONGEST: Final = 255
#: The longest packet: its length has 16 bits, and a datagram of IPv4 has room for this much.
MOST: Final = 65507


def packet(
    octets: bytes, transport: str, source: Address, target: Address, now: float, agent: int,
    correlation: str = "", password: bytes = b"",
) -> bytes:  # fmt: skip
    """A message that went from ``source`` to ``target`` at ``now`` (POSIX seconds), as ``agent`` tells of it.

    Of a message that is too long only the beginning is told.
    """
    second = int(now // 1)
    near, far = _ip(source.host), _ip(target.host)
    old = near.version == far.version == 4
    chunks = [
        _chunk(1, _U8.pack(_IPV4 if old else _IPV6)),
        _chunk(2, _U8.pack(_UDP if transport == "udp" else _TCP)),
        _chunk(3 if old else 5, near.packed if old else _wide(near.packed)),
        _chunk(4 if old else 6, far.packed if old else _wide(far.packed)),
        _chunk(7, _U16.pack(source.port)),
        _chunk(8, _U16.pack(target.port)),
        _chunk(9, _U32.pack(second & 0xFFFFFFFF)),
        _chunk(10, _U32.pack(min(999_999, int((now - second) * 1e6)))),
        _chunk(11, _U8.pack(_SIP)),
        _chunk(12, _U32.pack(agent)),
    ]
    if password:
        chunks.append(_chunk(14, password))
    if correlation:
        chunks.append(_chunk(17, correlation.encode("ascii", "replace")[:_LONGEST]))
    before = b"".join(chunks)
    room = MOST - _HEAD.size - len(before) - _CHUNK.size
    payload = _chunk(15, octets[:room])
    return _HEAD.pack(b"HEP3", _HEAD.size + len(before) + len(payload)) + before + payload


def _ip(host: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return IPv4Address(0)  # a message is told all the same


def _chunk(kind: int, value: bytes) -> bytes:
    return _CHUNK.pack(0, kind, _CHUNK.size + len(value)) + value


def _wide(packed: bytes) -> bytes:
    """An address of IPv6; of IPv4 the one that stands for it (RFC 4291 2.5.5.2)."""
    return packed if len(packed) == 16 else b"\0" * 10 + b"\xff\xff" + packed
