"""How evenly a leg's packets arrive: the interarrival jitter of RFC 3550 section 6.4.1, from samples.

Of two packets that follow each other, D is by how much the time between their arrivals differs from the time
between what they hold. RFC 3550 takes each packet and the one before it; here two packets in a row
are taken of every sixteen, for this is on the way of every packet. The mean of \\|D\\|, which the RFC's
running estimate floats around, is the same; it takes three seconds of speech instead of a fifth of one until
it is settled. The arrival is when the packet was read, which is every two milliseconds
(``sbc.net.media.sockets``): that alone is up to 0.7 ms of jitter where there is none.

Tones (RFC 4733) and comfort noise are not sampled: what lasts has one timestamp, and what pauses no rhythm.
Where two packets are more than a second apart in this sense the peer has begun to count anew.
"""

from __future__ import annotations

from typing import Final

from sbc.media.codecs import Coding, codings
from sbc.media.sdp import Media

#: Packets in a row of which the first two are looked at; a power of two.
EVERY: Final = 16
_ANEW: Final = 1.0


class Arrivals:
    """The jitter of one leg, in seconds: the sum over ``pairs``, the running estimate, and its highest.

    ``described`` is what the peer was told that it may send. ``coding`` is what it was last heard to send.
    """

    __slots__ = (
        "_at",
        "_codings",
        "_kind",
        "_stamp",
        "coding",
        "described",
        "estimate",
        "most",
        "pairs",
        "sum",
    )

    def __init__(self) -> None:
        self.described: Media | None = None
        self.coding: Coding | None = None
        self.pairs = 0
        self.sum = self.estimate = self.most = 0.0
        self._codings: dict[int, Coding] | None = None
        self._kind = -1
        self._stamp = 0
        self._at = 0.0

    @property
    def jitter(self) -> float | None:
        """The mean of all that was seen, in seconds; None before there was anything."""
        return self.sum / self.pairs if self.pairs else None

    def describe(self, described: Media) -> None:
        """From now on the peer sends what ``described`` names."""
        if described is not self.described:
            self.described, self._codings = described, None
            self._kind = -1

    def interrupt(self) -> None:
        """What comes next has no connection with what came last."""
        self._kind = -1

    def first(self, data: bytes, at: float) -> None:
        """The first RTP packet of a pair arrived at ``at``."""
        known = self._codings
        if known is None:
            if self.described is None:
                return
            known = self._codings = codings(self.described)
        kind = data[1] & 0x7F
        coding = known.get(kind)
        if coding is None:
            self._kind = -1
            return
        self.coding, self._kind = coding, kind
        self._stamp = int.from_bytes(data[4:8], "big")
        self._at = at

    def second(self, data: bytes, at: float) -> None:
        """The one behind it arrived at ``at``."""
        coding = self.coding
        if coding is None or data[1] & 0x7F != self._kind:
            return
        self._kind = -1
        step = ((int.from_bytes(data[4:8], "big") - self._stamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        away = abs(at - self._at - step / coding.rate)
        if away >= _ANEW:
            return
        self.pairs += 1
        self.sum += away
        self.estimate += (away - self.estimate) / 16.0
        self.most = max(self.most, self.estimate)
