"""HEP version 3: a packet is read by a reader that is written from the draft."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.base import Address
from sbc.observe.hep import MOST, packet

NOW = 1777630000.25
NEAR, FAR = Address("192.0.2.1", 5061), Address("198.51.100.7", 40000)
MESSAGE = b"OPTIONS sip:a SIP/2.0\r\n\r\n"


def chunks(data: bytes) -> dict[int, bytes]:
    """The values by the types of their chunks; each comes once."""
    assert data[:4] == b"HEP3" and struct.unpack("!H", data[4:6])[0] == len(data)
    found: dict[int, bytes] = {}
    at = 6
    while at < len(data):
        vendor, kind, length = struct.unpack("!HHH", data[at : at + 6])
        assert vendor == 0 and length >= 6 and kind not in found
        found[kind] = data[at + 6 : at + length]
        at += length
    assert at == len(data)
    return found


def number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def test_a_message_over_tls_between_addresses_of_ipv4() -> None:
    found = chunks(packet(MESSAGE, "tls", FAR, NEAR, NOW, 2001, "9f3a11", b"hush"))
    assert (number(found[1]), number(found[2]), number(found[11])) == (2, 6, 1)
    assert ipaddress.ip_address(found[3]) == ipaddress.ip_address(FAR.host)
    assert ipaddress.ip_address(found[4]) == ipaddress.ip_address(NEAR.host)
    assert (number(found[7]), number(found[8])) == (40000, 5061)
    assert (number(found[9]), number(found[10])) == (1777630000, 250000)
    assert number(found[12]) == 2001
    assert (found[14], found[15], found[17]) == (b"hush", MESSAGE, b"9f3a11")
    lengths = {kind: len(found[kind]) for kind in (1, 2, 7, 8, 9, 10, 11, 12)}
    assert lengths == {1: 1, 2: 1, 7: 2, 8: 2, 9: 4, 10: 4, 11: 1, 12: 4}


@pytest.mark.parametrize("host", ["2001:db8::1", "fe80::1%eth0"])
def test_ipv6_has_chunks_of_its_own(host: str) -> None:
    found = chunks(packet(MESSAGE, "udp", Address(host, 1), Address("2001:db8::2", 2), NOW, 1))
    assert (number(found[1]), number(found[2])) == (10, 17)
    assert ipaddress.ip_address(found[6]) == ipaddress.ip_address("2001:db8::2")
    assert 3 not in found and 4 not in found and 14 not in found and 17 not in found


def test_addresses_of_both_kinds_are_told_as_ipv6() -> None:
    found = chunks(packet(MESSAGE, "udp", Address("2001:db8::1", 1), NEAR, NOW, 1))
    mapped = ipaddress.ip_address(found[6])
    assert isinstance(mapped, ipaddress.IPv6Address) and str(mapped.ipv4_mapped) == NEAR.host


@given(st.binary(max_size=200), st.text(max_size=20), st.floats(0, 4e9), st.integers(1, 0xFFFFFFFF))
def test_whatever_it_holds_a_packet_can_be_read(octets: bytes, call: str, now: float, agent: int) -> None:
    found = chunks(packet(octets, "tcp", FAR, NEAR, now, agent, call))
    assert found[15] == octets and number(found[12]) == agent and number(found[10]) < 1_000_000


def test_a_call_id_takes_no_room_from_the_message() -> None:
    found = chunks(packet(b"x" * 60_000, "tcp", FAR, NEAR, NOW, 1, "c" * 60_000))
    assert found[15] == b"x" * 60_000 and found[17] == b"c" * 255


def test_of_a_message_that_is_too_long_the_beginning_is_told() -> None:
    data = packet(b"x" * 70_000, "tcp", FAR, NEAR, NOW, 1, "c1", b"hush")
    assert len(data) == MOST and chunks(data)[15] == b"x" * (MOST - len(data) + len(chunks(data)[15]))
