"""A trace as pcapng: what Wireshark, tshark and sngrep open, though most of it was encrypted on the wire.

Each message is one packet, made up for the purpose: an IP and a UDP header with the addresses and ports that
it really had, and the message. Which transport it was, what TLS proved of the peer, and our name of the call
are in the packet's comment; so are the remarks between the messages, with the packet behind them. The link
type is RAW (101): a packet begins with its IP header (draft-ietf-opsawg-pcapng).
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

from sbc.base import Address
from sbc.observe.tap import Seen
from sbc.observe.text import printable
from sbc.observe.trace.telling import proved

LINKTYPE_RAW: Final = 101
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_COMMENT, _APPLICATION, _NAME = 1, 4, 2
_UDP: Final = 17
# What one packet of IPv4 can carry in UDP; of a longer message it has the beginning, and says so.
MOST: Final = 65535 - 20 - 8
MOST_COMMENT: Final = 4096


def beginning(application: str) -> bytes:
    """What a file begins with: whose it is, and of which kind its packets are."""
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options((_APPLICATION, application))
    interface = struct.pack("<HHI", LINKTYPE_RAW, 0, 0) + _options((_NAME, "Portcullis"))
    return _block(_SECTION, section) + _block(_INTERFACE, interface)


def packet(seen: Seen, remarks: tuple[str, ...] = ()) -> bytes:
    """The block of one message; ``remarks`` were made before it."""
    octets, path = seen.octets[:MOST], seen.path
    source, target = (path.local, path.remote) if seen.sent else (path.remote, path.local)
    whole = _datagram(source, target, octets)
    microseconds = round(seen.now * 1e6)
    missing = len(seen.octets) - len(octets)
    comment = comment_of(seen, remarks)
    head = struct.pack(
        "<IIIII", 0, microseconds >> 32, microseconds & 0xFFFFFFFF, len(whole), len(whole) + missing
    )
    return _block(_PACKET, head + _padded(whole) + _options((_COMMENT, comment)))


def comment_of(seen: Seen, remarks: tuple[str, ...] = ()) -> str:
    """What is said of a packet beside its message."""
    way = "to" if seen.sent else "from"
    said = [f"{way} {seen.path.trunk or '-'}: {proved(seen.path)}"]
    if seen.call:
        side = "caller" if seen.side == "a" else "callee"
        said.append(f"call {seen.call}, the {side}'s side")
    if seen.malformed:
        said.append(f"no SIP message: {seen.malformed}")
    if len(seen.octets) > MOST:
        said.append(f"only the first {MOST} of {len(seen.octets)} octets are here")
    return printable("; ".join((*said, *remarks)))[:MOST_COMMENT]


def _datagram(source: Address, target: Address, payload: bytes) -> bytes:
    length = 8 + len(payload)
    start, end = _ip(source.host), _ip(target.host)
    if start.version != end.version:  # an address of ours that is not known: nobody is there
        start, end = (each if each.version == 6 else ipaddress.IPv6Address("::") for each in (start, end))
    ends = start.packed + end.packed
    udp = struct.pack("!HHHH", source.port & 0xFFFF, target.port & 0xFFFF, length & 0xFFFF, 0)
    summed = _checksum(ends + struct.pack("!IBBH", length, 0, 0, _UDP) + udp + payload) or 0xFFFF
    udp = udp[:6] + struct.pack("!H", summed) + payload
    if start.version == 6:
        return struct.pack("!IHBB", 6 << 28, length & 0xFFFF, _UDP, 64) + ends + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, _UDP, 0)
    return head[:10] + struct.pack("!H", _checksum(head + ends)) + ends + udp


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ipaddress.IPv4Address(0)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _options(*options: tuple[int, str]) -> bytes:
    found = []
    for code, text in options:
        value = text.encode("utf-8", "replace")[:0xFFFF]
        found.append(struct.pack("<HH", code, len(value)) + _padded(value))
    return b"".join(found) + struct.pack("<HH", 0, 0)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length
