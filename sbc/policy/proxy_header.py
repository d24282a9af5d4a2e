"""The header of the PROXY protocol, version 2: where a connection comes from that a load balancer passes on.

It stands before the first octet of TLS or SIP, and is believed of whom the listener names, and of nobody
else. Who is named sends one on every connection; what is no header, or one that names no address, ends it.
Version 1 is refused: its end is only found by reading on, and every balancer of today can send version 2.

    octets  0-11  the signature
            12    version 2, and the command: 0 LOCAL (of the balancer itself), 1 PROXY
            13    family and transport: 0x11 is TCP over IPv4, 0x21 over IPv6
            14-15 how many octets follow: the addresses and ports, and whatever else the balancer tells

https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from sbc.base import Address

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
#: How long what every header has is, and what may follow at most: a balancer may tell of its own TLS there.
HEAD: Final = 16
LONGEST: Final = 4096
_VERSION_2: Final = 0x20
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_OF_TCP4, _OF_TCP6 = 12, 36


class HeaderError(ValueError):
    """What came is no header that can be believed; its text says why, and what to do."""


def wanted(taken: bytes) -> int:
    """How many more octets of a header are to be read after ``taken``, all so far; 0 when it is whole.

    HeaderError as soon as it cannot become one.
    """
    if taken[: len(SIGNATURE)] != SIGNATURE[: len(taken)]:
        if taken.startswith(b"PROXY"[: len(taken)]):
            raise HeaderError(
                "its PROXY header is of version 1: let the balancer send version 2 (haproxy: send-proxy-v2)"
            )
        raise HeaderError(
            "it sent no PROXY header: let the balancer send version 2 (haproxy: send-proxy-v2), or take"
            " it out of the listener's `proxy_protocol`"
        )
    if len(taken) > 12 and taken[12] & 0xF0 != _VERSION_2:
        raise HeaderError(
            f"its PROXY header is of version {taken[12] >> 4}: version 2 is the one that is read"
        )
    if len(taken) < HEAD:
        return HEAD - len(taken)
    following = int.from_bytes(taken[14:HEAD], "big")
    if following > LONGEST:
        raise HeaderError(
            f"its PROXY header tells {following} octets: {LONGEST} are the most that are read; let the"
            " balancer send no certificates with it"
        )
    return HEAD + following - len(taken)


def source(header: bytes) -> Address | None:
    """Who connected, of a whole header; None where that is the balancer itself (LOCAL). HeaderError."""
    command, kind = header[12], header[13]
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise HeaderError(f"its PROXY header has a command {command & 15} that nobody knows")
    following = header[HEAD:]
    host: IPv4Address | IPv6Address
    if kind == _TCP4 and len(following) >= _OF_TCP4:
        host, port = IPv4Address(following[:4]), int.from_bytes(following[8:10], "big")
    elif kind == _TCP6 and len(following) >= _OF_TCP6:
        six, port = IPv6Address(following[:16]), int.from_bytes(following[32:34], "big")
        host = six.ipv4_mapped or six
    else:
        raise HeaderError(
            "its PROXY header names no address of TCP: let the balancer pass on TCP connections alone here"
        )
    if host.is_unspecified or host.is_multicast:
        raise HeaderError(f"its PROXY header names {host}, which is nobody's address")
    return Address(str(host), port)
