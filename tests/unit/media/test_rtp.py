"""Where the payload of an RTP packet is (RFC 3550 5.1), also where its header lies about it."""

from __future__ import annotations

import struct

import pytest

from sbc.media.rtp import bounds, payload_of


def head(first: int) -> bytes:
    return struct.pack("!BBHII", first, 0, 1, 160, 7)


def test_sources_extension_and_padding_are_no_payload() -> None:
    extension = struct.pack("!HH", 0xBEDE, 2) + bytes(8)
    assert payload_of(head(0x80) + b"sound") == b"sound"
    assert payload_of(head(0x82) + bytes(8) + b"sound") == b"sound"
    assert payload_of(head(0x90) + extension + b"sound") == b"sound"
    assert payload_of(head(0xA0) + b"sound" + b"\0\0\x03") == b"sound"
    assert payload_of(head(0xB1) + bytes(4) + extension + b"sound" + b"\0\x02") == b"sound"


@pytest.mark.parametrize("first", range(0x80, 0xC0))
def test_a_header_that_tells_of_more_than_there_is_has_no_payload_and_breaks_nothing(first: int) -> None:
    for length in (0, 1, 2, 3, 4, 5, 8, 16, 60, 64):
        for filling in (b"\0", b"\xff", b"\x07"):
            data = head(first) + filling * length
            start, end = bounds(data)
            assert end <= len(data)
            assert payload_of(data) == b"".join(data[at : at + 1] for at in range(start, end))
            words = 4 * (first & 0x0F) + (4 if first & 0x10 else 0)
            assert end <= start or 12 + words <= len(data), "no part of a header is payload"
