"""Whom no list of ours may shut out: exactly the machine's own, private and link-local addresses."""

from __future__ import annotations

import ipaddress

import pytest

from sbc.policy.exempt import exempt

# The first and last address of each network, and the neighbours on either side.
EDGES = [
    ("127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"),
    ("10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
    ("172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"),
    ("192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"),
    ("169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"),
    ("::1", "::1", "::", "::2"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe7f:ffff::", "fec0::"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fbff:ffff::", "fe00::"),
]


@pytest.mark.parametrize(("first", "last", "before", "behind"), EDGES)
def test_a_network_is_exempt_to_its_last_address_and_no_further(
    first: str, last: str, before: str, behind: str
) -> None:
    assert exempt(first) and exempt(last)
    assert not exempt(before) and not exempt(behind)


@pytest.mark.parametrize(("first", "last", "before", "behind"), EDGES[:5])
def test_ipv4_mapped_forms_are_the_address_in_them(first: str, last: str, before: str, behind: str) -> None:
    for host in (first, last, before, behind):
        number = int(ipaddress.IPv4Address(host))
        hexadecimal = f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}"
        for mapped in (f"::ffff:{host}", hexadecimal, f"0:0:0:0:0:FFFF:{host}"):
            assert exempt(mapped) is exempt(host)


@pytest.mark.parametrize(
    "host",
    [
        "198.51.100.7", "203.0.113.9", "192.0.2.1", "2001:db8::1",  # documentation: ours in every test
        "100.64.0.1", "100.127.255.255",  # shared address space, where a carrier's customers are
        "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "8.8.8.8", "2a00:1450::1", "ff02::1",
        "64:ff9b::a00:1", "2002:a00:1::", "::10.0.0.1",  # an IPv4 address in them, but not mapped
        "", "localhost", "10.0.0", "10.0.0.1.2", "010.0.0.1", "10.0.0.1:5060", "[::1]", "::ffff:10.0.0.256",
    ],
)  # fmt: skip
def test_all_others_are_not(host: str) -> None:
    assert not exempt(host)


def test_a_scope_does_not_hide_the_link() -> None:
    assert exempt("fe80::1%eth0") and not exempt("2001:db8::1%eth0")
