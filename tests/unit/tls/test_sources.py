"""The access list: longest prefix, every spelling of an address, closed in doubt."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.tls.sources import _RECENT, SourceIndex

TABLE = [
    ("10.0.0.0/8", "office"),
    ("10.1.2.3", "guest"),
    ("10.1.0.0/16", "branch"),
    ("2001:db8::/32", "six"),
    ("192.0.2.7", "one"),
]


@pytest.mark.parametrize(
    ("host", "trunk"),
    [
        ("10.9.9.9", "office"),
        ("10.1.9.9", "branch"),
        ("10.1.2.3", "guest"),
        ("10.1.2.4", "branch"),
        ("192.0.2.7", "one"),
        ("192.0.2.8", None),
        ("11.0.0.1", None),
        ("2001:db8::1", "six"),
        ("2001:DB8:0:0::1", "six"),
        ("2001:db9::1", None),
        ("::ffff:10.1.2.3", "guest"),
        ("2001:db8::1%eth0", "six"),
        ("::1", None),
        ("", None),
        ("sip.example.com", None),
        ("10.1.2", None),
        ("010.1.2.3", None),
    ],
)
def test_the_longest_prefix_wins(host: str, trunk: str | None) -> None:
    table = SourceIndex(TABLE)
    assert table.first(host) == trunk
    assert table.first(host) == trunk, "the cached answer differs"


def test_a_prefix_of_no_bits_is_everybody() -> None:
    table = SourceIndex([("0.0.0.0/0", "all"), ("::/0", "all6")])
    assert (table.first("203.0.113.1"), table.first("2001:db8::1")) == ("all", "all6")


def test_without_sources_nobody_is_admitted() -> None:
    assert SourceIndex([]).first("127.0.0.1") is None


def test_what_is_not_a_network_is_refused() -> None:
    with pytest.raises(ValueError, match="sip"):
        SourceIndex([("sip.example.com", "a")])


def test_a_flood_of_strangers_does_not_grow_the_cache_without_bound() -> None:
    table = SourceIndex(TABLE)
    for number in range(3 * _RECENT):
        assert table.first(f"172.16.{number >> 8}.{number & 255}") is None
    assert len(table._recent) <= _RECENT
    assert table.first("10.1.2.3") == "guest"


NEAR = SourceIndex(
    [
        ("198.51.100.0/24", "carrier"),
        ("203.0.113.7", "office"),
        ("203.0.113.64/28", "branch"),
        ("10.0.0.0/8", "inside"),
        ("2001:db8:7::/48", "six"),
    ]
)


@pytest.mark.parametrize(
    ("source", "nearest"),
    [
        ("198.51.101.9", ("198.51.100.0/24", "carrier")),
        ("203.0.113.8", ("203.0.113.7", "office")),
        ("203.0.113.81", ("203.0.113.64/28", "branch")),
        ("::ffff:203.0.113.8", ("203.0.113.7", "office")),
        ("2001:db8:8::1", ("2001:db8:7::/48", "six")),
        ("203.99.0.1", None),
        ("11.0.0.1", None),
        ("2001:dbf::1", None),
        ("no address", None),
    ],
)
def test_a_stranger_may_resemble_a_trunk(source: str, nearest: tuple[str, str] | None) -> None:
    assert NEAR.nearest(source) == nearest
    assert NEAR.lookup(source) == ()


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_the_nearest_is_the_one_with_the_longest_prefix_in_common(source: int, hosts: list[int]) -> None:
    index = SourceIndex((str(ipaddress.IPv4Address(host)), "t") for host in hosts)
    found = index.nearest(str(ipaddress.IPv4Address(source)))
    longest = max(32 - (host ^ source).bit_length() for host in hosts)
    if longest < 16:
        assert found is None
    else:
        assert found is not None
        assert 32 - (int(ipaddress.IPv4Address(found[0])) ^ source).bit_length() == longest
