"""The PROXY header of version 2: what it says, that its end is known, nothing else is taken for it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.base import Address
from sbc.policy.proxy_header import HEAD, LONGEST, SIGNATURE, HeaderError, source, wanted

# Section 2.2: the signature, version and command, family and transport, length, and 12 or 36 octets.
TCP4 = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c cb007109 c6336405 115c 13c5")
TCP6 = bytes.fromhex(
    "0d0a0d0a000d0a515549540a 21 21 0024 20010db8000000000000000000000009"
    " 20010db8000000000000000000000005 115c 13c5"
)
LOCAL = bytes.fromhex("0d0a0d0a000d0a515549540a 20 00 0000")


def made(command: int = 0x21, kind: int = 0x11, following: bytes = TCP4[HEAD:]) -> bytes:
    return SIGNATURE + bytes((command, kind)) + len(following).to_bytes(2, "big") + following


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (TCP4, Address("203.0.113.9", 4444)),
        (TCP6, Address("2001:db8::9", 4444)),
        (LOCAL, None),
        (made(0x20), None),
        (made(0x20, 0x31, b"\0" * 216), None),
        (made(following=TCP4[HEAD:] + b"\x04\x00\x02\x00\x00"), Address("203.0.113.9", 4444)),
        (
            made(kind=0x21, following=bytes(10) + b"\xff\xff\xcb\x00\x71\x09" + bytes(16) + TCP6[-4:]),
            Address("203.0.113.9", 4444),
        ),
    ],
)
def test_a_whole_header_says_who_connected(header: bytes, said: Address | None) -> None:
    assert wanted(header) == 0 and source(header) == said


@pytest.mark.parametrize("header", [TCP4, TCP6, LOCAL, made(following=TCP4[HEAD:] + bytes(LONGEST - 12))])
def test_every_beginning_asks_for_what_is_missing_and_for_no_octet_more(header: bytes) -> None:
    for at in range(len(header)):
        missing = wanted(header[:at])
        assert 0 < missing <= len(header) - at
    assert wanted(header) == 0


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (b"PROXY TCP4 203.0.113.9 198.51.100.5 4444 5061\r\n", "version 1: let the balancer send version 2"),
        (b"PROXY UNKNOWN\r\n", "version 1"), (b"P", "version 1"),
        (b"\x16\x03\x01\x02\x00", "no PROXY header"), (b"\x16", "no PROXY header"),
        (b"OPTIONS sip:a SIP/2.0\r\n", "no PROXY header"), (b"\r\n\r\n\r\n", "no PROXY header"),
        (SIGNATURE[:11] + b"\r", "no PROXY header"),
        (SIGNATURE + b"\x11", "of version 1: version 2 is"),
        (SIGNATURE + b"\x31\x11\x00\x0c", "of version 3"),
        (SIGNATURE + b"\x21\x11\xff\xff", "65535 octets"), (SIGNATURE + b"\x21\x11\x10\x01", "4097 octets"),
    ],
)  # fmt: skip
def test_what_cannot_become_a_header_is_known_at_once(taken: bytes, said: str) -> None:
    with pytest.raises(HeaderError, match=said):
        wanted(taken)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (made(0x22), "command 2"), (made(0x2F), "command 15"),
        (made(kind=0x00), "no address of TCP"), (made(kind=0x12), "no address of TCP"),
        (made(kind=0x22, following=TCP6[HEAD:]), "no address of TCP"),
        (made(kind=0x31, following=b"\0" * 216), "no address of TCP"),
        (made(following=TCP4[HEAD:-1]), "no address of TCP"),
        (made(kind=0x21, following=TCP6[HEAD:-1]), "no address of TCP"),
        (made(following=bytes(12)), "0.0.0.0, which is nobody's"),
        (made(following=b"\xe0\0\0\x01" + bytes(8)), "224.0.0.1, which is nobody's"),
        (made(kind=0x21, following=bytes(36)), "::, which is nobody's"),
    ],
)  # fmt: skip
def test_a_header_that_names_nobody_is_refused(header: bytes, said: str) -> None:
    assert wanted(header) == 0
    with pytest.raises(HeaderError, match=said):
        source(header)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(SIGNATURE.__add__)))
def test_whatever_comes_is_a_header_or_a_header_error(data: bytes) -> None:
    with contextlib.suppress(HeaderError):
        missing = wanted(data)
        assert missing <= HEAD + LONGEST
        if missing == 0:
            found = source(data)
            assert found is None or 0 <= found.port <= 65535
