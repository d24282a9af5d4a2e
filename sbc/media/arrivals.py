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

from sbc.media.codecs import COMPANIONS
from sbc.media.formats import Formats, formats_of
from sbc.media.sdp import Media

#: Packets in a row of which the first two are looked at; a power of two.
EVERY: Final = 16
_ANEW: Final = 1.0


class Arrivals:
    """The jitter of one leg, in seconds: the sum over ``pairs``, the running estimate, and its highest.

    ``rate`` are the ticks a second of what the peer was last heard to send, 0 before it was.
    """

    __slots__ = (
        "_at", "_formats", "_heard", "_kind", "_named", "_own", "_rates", "_stamp", "estimate", "most",
        "pairs", "rate", "sum",
    )  # fmt: skip

    def __init__(self) -> None:
        self.pairs = self.rate = 0
        self.sum = self.estimate = self.most = 0.0
        self._named: Media | None = None
        self._own: Media | None = None
        self._formats: Formats = {}
        self._rates: dict[int, int] | None = None
        self._heard = self._kind = -1
        self._stamp = 0
        self._at = 0.0

    @property
    def codec(self) -> str:
        """What the peer was last heard to send, in capitals; "" before it was."""
        found = self._formats.get(self._heard)
        return found.codec if found is not None else ""

    @property
    def jitter(self) -> float | None:
        """The mean of all that was seen, in seconds; None before there was anything."""
        return self.sum / self.pairs if self.pairs else None

    def describe(self, named: Media, own: Media) -> None:
        """From now on the peer sends by what the other side has ``named``, and by its ``own`` description."""
        self._named, self._own = named, own
        self._rates = None
        self._kind = -1

    def interrupt(self) -> None:
        """What comes next has no connection with what came last."""
        self._kind = -1

    def first(self, data: bytes, at: float) -> None:
        """The first RTP packet of a pair arrived at ``at``."""
        rates = self._rates
        if rates is None:
            rates = self._rates = self._learn()
        kind = data[1] & 0x7F
        rate = rates.get(kind)
        if rate is None:
            self._kind = -1
            return
        self.rate = rate
        self._heard = self._kind = kind
        self._stamp = int.from_bytes(data[4:8], "big")
        self._at = at

    def second(self, data: bytes, at: float) -> None:
        """The one behind it arrived at ``at``."""
        if data[1] & 0x7F != self._kind:
            return
        self._kind = -1
        step = ((int.from_bytes(data[4:8], "big") - self._stamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        away = abs(at - self._at - step / self.rate)
        if away >= _ANEW:
            return
        self.pairs += 1
        self.sum += away
        self.estimate += (away - self.estimate) / 16.0
        self.most = max(self.most, self.estimate)

    def _learn(self) -> dict[int, int]:
        """The clock of each payload type that is a codec's."""
        self._formats = formats_of(self._named, self._own)
        found = self._formats.items()
        return {kind: each.clock for kind, each in found if each.clock and each.codec not in COMPANIONS}
