"""DER, element by element (X.690 8.1): where one begins and ends, for what no library hands out as it is."""

from __future__ import annotations

from collections.abc import Iterator

SEQUENCE = 0x30


def element(data: bytes, at: int, limit: int) -> tuple[int, int, int]:
    """Tag, first byte and end of the element at ``at``; IndexError or ValueError where it is not within."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise ValueError("length")
        start += size
        length = int.from_bytes(data[at + 2 : start], "big")
    end = start + length
    if end > limit:
        raise ValueError("too long")
    return tag, start, end


def within(whole: bytes) -> bytes:
    """The content of one element; IndexError or ValueError where it is none."""
    _, start, end = element(whole, 0, len(whole))
    return whole[start:end]


def elements(content: bytes) -> Iterator[bytes]:
    """The elements one after the other, each whole; IndexError or ValueError at one that is none."""
    at = 0
    while at < len(content):
        begun = at
        _, _, at = element(content, at, len(content))
        yield content[begun:at]


def sequence(content: bytes) -> bytes:
    """The SEQUENCE of this content."""
    return tagged(SEQUENCE, content)


def tagged(tag: int, content: bytes) -> bytes:
    """The element of this content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
