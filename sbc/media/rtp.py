"""What an RTP packet holds beside its header (RFC 3550 5.1).

A header may tell of more than there is. Compiled, a slice of bytes that ends before it begins is not empty,
but a SystemError: none is made here.
"""

from __future__ import annotations


def payload_of(data: bytes) -> bytes:
    """The payload of a packet of at least 12 octets, without contributing sources, extension and padding.

    Empty where the packet says that there is more of these than it has room for.
    """
    if data[0] == 0x80:
        return data[12:]
    start, end = bounds(data)
    return data[start:end] if start < end else b""


def bounds(data: bytes) -> tuple[int, int]:
    """Where its payload begins and ends, which may be before it begins."""
    head = data[0]
    start, end = 12 + 4 * (head & 0x0F), len(data)
    if head & 0x10:
        start += 4
        if start <= end:
            start += 4 * int.from_bytes(data[start - 2 : start], "big")
    if head & 0x20:
        end -= data[-1]
    return start, end
