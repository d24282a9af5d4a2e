"""The tone by which both sides of a call hear that it is recorded: 1400 Hz, a fifth of a second long.

It is mixed into the sound of G.711 as that passes, so that nothing waits, there is no packet more or less,
and what is said beside it is heard. What is sent in another codec goes on as it is, and that is told: whoever
wants a tone lets only G.711 through. A side that sends nothing for a while, such as one on hold, carries
none; the tone is then in what it sends next.
"""

from __future__ import annotations

from math import pi, sin
from typing import Final

from sbc.media.formats import Formats
from sbc.media.pcm import LEVELS, RATE, octets
from sbc.media.rtp import bounds

HERTZ: Final = 1400
#: Samples of one tone, of its rise and of its fall.
LENGTH: Final = RATE // 5
_SLOPE: Final = RATE // 100
#: The amplitude; 32768 would be the loudest that there is.
_LEVEL: Final = 8000
#: Codecs that a tone is mixed into.
G711: Final = ("PCMU", "PCMA")
_SILENT: Final = ("CN", "TELEPHONE-EVENT")
# A sum of two samples is turned into an octet by its upper bits: sums reach from -_LOWEST to _LOWEST.
_LOWEST: Final = 32768 + _LEVEL
_BITS: Final = 2


def _shape() -> list[int]:
    rising = [min(1.0, at / _SLOPE, (LENGTH - at) / _SLOPE) for at in range(LENGTH)]
    return [round(_LEVEL * share * sin(2 * pi * HERTZ * at / RATE)) for at, share in enumerate(rising)]


_TONE: Final = _shape()
_BETWEEN: Final = 1 << _BITS - 1
_SUMS: Final = range(-_LOWEST + _BETWEEN, _LOWEST + _BETWEEN, 1 << _BITS)
_OCTETS: Final = {codec: octets(codec, _SUMS) for codec in G711}


def mixed(codec: str, payload: bytes, at: int) -> bytes:
    """G.711 with the tone from its sample ``at`` on, as far as it goes; both are heard."""
    levels, nearest, tone = LEVELS[codec], _OCTETS[codec], _TONE[at : at + len(payload)]
    # As long as the tone goes, for it ends before the payload does.
    heard = [
        nearest[levels[each] + more + _LOWEST >> _BITS] for each, more in zip(payload, tone, strict=False)
    ]
    return bytes(heard) + payload[len(heard) :]


class Tone:
    """The tone of one recording, which is heard every ``every`` seconds from its beginning on.

    ``heard`` says how often each side did, ``without`` in which codec a side sent what no tone could be mixed
    into, or "". Once it is ``over`` nothing is recorded any more, and none is heard.
    """

    __slots__ = ("_formats", "every", "heard", "over", "without")

    def __init__(self, every: float) -> None:
        self.every = every
        self.heard = {"a": 0, "b": 0}
        self.without = ""
        self.over = False
        self._formats: dict[str, Formats] = {"a": {}, "b": {}}

    def beside(self, side: str) -> Beside:
        """Mix it into one stream of ``side``, for the other one."""
        return Beside(self, side)

    def describe(self, a: Formats, b: Formats) -> None:
        """From now on these payload types, too: a number keeps its meaning (RFC 3264 8.3.2)."""
        self._formats = {"a": {**self._formats["a"], **a}, "b": {**self._formats["b"], **b}}

    def codec(self, side: str, number: int) -> str:
        """What ``side`` says by this payload type; "" where it is no sound, or unknown."""
        form = self._formats[side].get(number)
        if form is None or form.codec in _SILENT:
            return ""
        return form.codec if form.clock == RATE or form.codec not in G711 else f"{form.codec}/{form.clock}"


class Beside:
    """The tone in one stream of one side."""

    __slots__ = ("_at", "_due", "_other", "_side", "_tone")

    def __init__(self, tone: Tone, side: str) -> None:
        self._tone = tone
        self._side = side
        self._other = "b" if side == "a" else "a"
        self._due = 0.0
        self._at = 0

    def mix(self, data: bytes, now: float) -> bytes:
        """An RTP packet that came at ``now``, with the tone in it where that is due."""
        tone = self._tone
        if now < self._due or tone.over:
            return data
        codec = tone.codec(self._side, data[1] & 0x7F)
        if codec not in G711:
            tone.without = tone.without or codec
            return data
        start, end = bounds(data)
        if end <= start:
            return data
        made = data[:start] + mixed(codec, data[start:end], self._at) + data[end:]
        self._at += end - start
        if self._at >= LENGTH:
            self._at = 0
            self._due = now + tone.every
            tone.heard[self._other] += 1
        return made
