"""To which of our addresses a datagram came, and from which one leaves (RFC 3542 6.1, ip(7)).

A socket on ``0.0.0.0`` or ``::`` receives for all of them, and the kernel would answer from the one that it
prefers on the way back. A peer that wrote to another, and any firewall between, waits for that one
(RFC 3581 4).
"""

from __future__ import annotations

import _socket
import struct
from typing import Any, Final

from sbc.net.system.sockets import normal_host

Ancillary = list[tuple[int, int, bytes]]

_IP_PKTINFO: Final = getattr(_socket, "IP_PKTINFO", 8)  # Linux
_FOUR: Final = struct.Struct("@i4s4s")  # interface, our address, the one in the header
_SIX: Final = struct.Struct("@16si")
_ROOM: Final = _socket.CMSG_SPACE(_FOUR.size) + _socket.CMSG_SPACE(_SIX.size)
_MAPPED: Final = bytes(10) + b"\xff\xff"


def ask_where(sock: Any) -> None:
    """Let the kernel say with each datagram where it came to; OSError where it cannot."""
    if sock.family == _socket.AF_INET6:
        sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(_socket.IPPROTO_IP, _IP_PKTINFO, 1)


def receive(raw: Any, size: int) -> tuple[bytes, Any, str]:
    """A datagram, its sender, and which of our addresses it came to, "" if nobody says; OSError."""
    data, said, _, peer = raw.recvmsg(size, _ROOM)
    for level, kind, value in said:
        if level == _socket.IPPROTO_IP and kind == _IP_PKTINFO and len(value) == _FOUR.size:
            return data, peer, _socket.inet_ntop(_socket.AF_INET, _FOUR.unpack(value)[1])
        if level == _socket.IPPROTO_IPV6 and kind == _socket.IPV6_PKTINFO and len(value) == _SIX.size:
            if value[0] != 0xFF:  # a group's address is nobody's own
                return data, peer, normal_host(_socket.inet_ntop(_socket.AF_INET6, value[:16]))
    return data, peer, ""


def leaving(host: str, six: bool) -> Ancillary:
    """What makes a datagram of a socket, of IPv6 where ``six``, leave from our address ``host``."""
    if not six:
        return [(_socket.IPPROTO_IP, _IP_PKTINFO, _FOUR.pack(0, _socket.inet_aton(host), bytes(4)))]
    if ":" in host:
        address = _socket.inet_pton(_socket.AF_INET6, host)
    else:
        address = _MAPPED + _socket.inet_aton(host)
    return [(_socket.IPPROTO_IPV6, _socket.IPV6_PKTINFO, _SIX.pack(address, 0))]
