"""Payload types that a sender was told and its receiver no longer expects.

Each side sends by the numbers that the other has named (RFC 3264 5.1), and those pass through us, so that as
a rule there is nothing to do. But a description is not always told to whoever sends by it: an offer of ours
is made before the caller has said anything; what a party answers that a transfer connects, or that changes in
a refresh of ours, the other side does not hear of. It goes on with the numbers that it has, and its packets
get those that are expected. As no call that needs none shall pay for it, this takes the place of what
protects the packets of a leg, in the clear too.
"""

from __future__ import annotations

from collections.abc import Sequence

from sbc.media.formats import Format, formats_of
from sbc.media.sdp import Media
from sbc.media.srtp import Protector, SrtpError


class Numbers:
    """By payload type the one that is expected for it; ``red`` are those whose payload names others."""

    __slots__ = ("expected", "red")

    def __init__(self, expected: dict[int, int], red: frozenset[int]) -> None:
        self.expected = bytes([expected.get(number, number) for number in range(128)])
        self.red = red


def numbers(told: Media, named: Media) -> Numbers | None:
    """How to renumber what is sent as ``told`` says for who has ``named`` others; None where they agree."""
    sent, wanted = formats_of(told, None), formats_of(named, None)
    expected = {}
    for number, form in sent.items():
        found = _number(number, form, wanted)
        if found is not None and found != number:
            expected[number] = found
    if not expected:
        return None
    return Numbers(expected, frozenset([number for number, form in sent.items() if form.codec == "RED"]))


def _number(number: int, form: Format, wanted: dict[int, Format]) -> int | None:
    """The number under which ``wanted`` has a format: the same one, else one with the same parameters."""
    alike = [
        each for each, other in wanted.items()
        if (other.codec, other.clock, other.channels) == (form.codec, form.clock, form.channels)
    ]  # fmt: skip
    if number in alike or not alike:
        return number
    same = [each for each in alike if wanted[each].fmtp == form.fmtp]
    return (same or alike)[0]


class Renumbered(Protector):
    """Gives each RTP packet the number that is expected, then protects it as ``inner`` does, if at all."""

    __slots__ = ("_inner", "_numbers")

    def __init__(self, inner: Protector | None, table: Numbers) -> None:
        self._inner = inner
        self._numbers = table

    def rtp(self, data: bytes) -> bytes:
        """Return the packet as it is sent; SrtpError where ``inner`` raises one, or the packet is no RTP."""
        expected, number = self._numbers.expected, data[1] & 0x7F
        head = bytes((data[0], data[1] & 0x80 | expected[number]))
        data = head + (self._blocks(data) if number in self._numbers.red else data[2:])
        return data if self._inner is None else self._inner.rtp(data)

    def rtcp(self, data: bytes) -> bytes:
        """Return the packet as it is sent: RTCP names no payload types."""
        return data if self._inner is None else self._inner.rtcp(data)

    def _blocks(self, data: bytes) -> bytes:
        """What follows the payload type, with that of each block renumbered (RFC 2198 3)."""
        changed, expected = bytearray(data), self._numbers.expected
        for at in _headers(data):
            changed[at] = changed[at] & 0x80 | expected[changed[at] & 0x7F]
        return bytes(changed[2:])


def _headers(data: bytes) -> Sequence[int]:
    """Where the headers of the blocks begin; SrtpError for one that ends before they do."""
    at = 12 + 4 * (data[0] & 0x0F)
    try:
        if data[0] & 0x10:
            at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        found = []
        while data[at] & 0x80:
            found.append(at)
            at += 4
        return [*found, at] if at < len(data) else found
    except IndexError:
        raise SrtpError("malformed") from None
