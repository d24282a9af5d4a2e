"""The file of a trace, block by block, as the pcapng draft and RFC 768, 791, 1071 and 8200 have it."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from sbc.base import Address
from sbc.flow import Path
from sbc.observe.tap import Seen
from sbc.observe.trace.pcapng import MOST, beginning, packet

FOUR = Path(1, "udp", Address("192.0.2.1", 5060), Address("198.51.100.7", 40112), "office")
SIX = Path(2, "tcp", Address("2001:db8::1", 5060), Address("2001:db8::7", 40112), "office")
MIXED = Path(3, "udp", Address("0.0.0.0", 5060), Address("2001:db8::7", 70000), "office")
NAMED = Path(4, "udp", Address("somewhere", 0), Address("198.51.100.7", 5060), "office")
NOW = 1801474200.123456


def seen(path: Path, octets: bytes, sent: bool = False, **more: str) -> Seen:
    return Seen(0.0, NOW, sent, path, octets, "id", **more)


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """The blocks of a file: kind and content."""
    found = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0 and struct.unpack_from("<I", data, length - 4) == (length,)
        found.append((kind, data[8 : length - 4]))
        data = data[length:]
    return found


def datagram(block: bytes) -> tuple[bytes, int, float, bytes]:
    """The packet of a block, how long it was, when, and the options behind it."""
    interface, high, low, kept, whole = struct.unpack_from("<IIIII", block)
    assert interface == 0
    after = 20 + kept + -kept % 4
    return block[20 : 20 + kept], whole, ((high << 32) + low) / 1e6, block[after:]


def summed(data: bytes) -> int:
    """The one's complement sum of 16-bit words: 0xffff where a checksum within is right (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_file_begins_with_a_section_and_an_interface_of_raw_packets() -> None:
    (section, first), (interface, second) = blocks(beginning("Portcullis"))
    assert section == 0x0A0D0D0A and first[:8] == struct.pack("<IHH", 0x1A2B3C4D, 1, 0)
    assert interface == 1 and struct.unpack_from("<H", second) == (101,)


@pytest.mark.parametrize("octets", [b"INVITE odd", b"INVITE even", b""])
@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("path", [FOUR, SIX])
def test_a_message_is_one_whole_packet_between_its_two_addresses(
    path: Path, sent: bool, octets: bytes
) -> None:
    ((kind, block),) = blocks(packet(seen(path, octets, sent)))
    whole, length, at, _ = datagram(block)
    assert (kind, length, round(at, 6)) == (6, len(whole), NOW)
    source, target = (path.local, path.remote) if sent else (path.remote, path.local)
    if path is FOUR:
        assert whole[0] == 0x45 and summed(whole[:20]) == 0xFFFF and whole[9] == 17
        assert struct.unpack_from("!H", whole, 2) == (len(whole),)
        ends, udp = whole[12:20], whole[20:]
    else:
        assert whole[0] >> 4 == 6 and whole[6] == 17
        assert struct.unpack_from("!H", whole, 4) == (len(whole) - 40,)
        ends, udp = whole[8:40], whole[40:]
    assert ends == ipaddress.ip_address(source.host).packed + ipaddress.ip_address(target.host).packed
    assert struct.unpack_from("!HHH", udp) == (source.port, target.port, len(udp)) and udp[8:] == octets
    assert summed(ends + struct.pack("!II", len(udp), 17) + udp) == 0xFFFF


@pytest.mark.parametrize("path", [MIXED, NAMED])
def test_addresses_that_are_none_make_a_packet_all_the_same(path: Path) -> None:
    ((_, block),) = blocks(packet(seen(path, b"x")))
    assert datagram(block)[0].endswith(b"x")


def test_of_a_message_that_no_packet_holds_the_beginning_is_there_and_it_is_said() -> None:
    octets = b"x" * (MOST + 5)
    ((_, block),) = blocks(packet(seen(FOUR, octets)))
    whole, length, _, options = datagram(block)
    assert len(whole) == 65535 and length == 65540
    assert f"only the first {MOST} of {MOST + 5} octets".encode() in options


def test_the_comment_says_whose_it_is_and_nothing_in_it_leaves_its_line() -> None:
    told = seen(FOUR, b"x", call="6f1e", side="b", trunk="office")
    ((_, block),) = blocks(packet(told, ("route carrier, by out\x1b[2J\n",)))
    options = datagram(block)[3]
    code, length = struct.unpack_from("<HH", options)
    assert (code, options[4 + length + -length % 4 :]) == (1, b"\0\0\0\0")
    text = options[4 : 4 + length].decode()
    assert text.startswith("from office: udp, plain") and text.isprintable()
    assert "call 6f1e, the callee's side" in text and "route carrier, by out\\x1b[2J" in text


def test_a_comment_is_bounded() -> None:
    ((_, block),) = blocks(packet(seen(FOUR, b"x"), tuple(["a remark" * 100] * 100)))
    assert len(block) < 5000
