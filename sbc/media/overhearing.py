"""What both sides of a call say, decoded as it comes, for an operator's hook that listens."""

from __future__ import annotations

from sbc.hookapi.arguments import Frame
from sbc.media.formats import Format, Formats
from sbc.media.listening import Hearing
from sbc.media.pcm import samples, width
from sbc.media.rtp import payload_of

#: Packets of a call that wait to be heard: some ten seconds of both sides.
MOST_WAITING = 1000
_UNKNOWN = Format("", 0)


class _Ear(Hearing):
    """One audio stream of one side."""

    __slots__ = ("_heard", "_side")

    def __init__(self, heard: Overhearing, side: str) -> None:
        self._heard = heard
        self._side = side

    def hear(self, data: bytes, at: float) -> None:
        """Keep an RTP packet that came at ``at``: the tap of a leg."""
        heard = self._heard
        if len(heard.waiting) >= MOST_WAITING or heard.over:
            if not heard.over:
                heard.missed += 1
            return
        heard.waiting.append((self._side, data, at))


class Overhearing:
    """One call, heard from ``began`` on; ``missed`` are packets that nobody took in time."""

    __slots__ = ("_began", "_formats", "missed", "over", "tone", "waiting")

    def __init__(self, began: float) -> None:
        self._began = began
        self.tone = None  # nothing is kept
        self._formats: dict[str, Formats] = {"a": {}, "b": {}}
        self.waiting: list[tuple[str, bytes, float]] = []
        self.missed = 0
        self.over = False

    def ear(self, side: str) -> _Ear:
        """Listen to one more stream of a side."""
        return _Ear(self, side)

    def describe(self, a: Formats, b: Formats) -> None:
        """From now on these payload types, too: a number keeps its meaning (RFC 3264 8.3.2)."""
        self._formats = {"a": {**self._formats["a"], **a}, "b": {**self._formats["b"], **b}}

    def stop(self) -> None:
        """Nobody listens any more."""
        self.over = True
        self.waiting = []

    def take(self) -> tuple[Frame, ...]:
        """What has come since, in its order."""
        waiting, self.waiting = self.waiting, []
        return tuple([self._frame(side, data, at) for side, data, at in waiting])

    def _frame(self, side: str, data: bytes, at: float) -> Frame:
        form = self._formats[side].get(data[1] & 0x7F, _UNKNOWN)
        payload = payload_of(data)
        return Frame(
            leg="a" if side == "a" else "b", codec=form.codec, clock=form.clock,
            sequence=data[2] << 8 | data[3], timestamp=int.from_bytes(data[4:8], "big"),
            seconds=max(0.0, at - self._began), payload=payload,
            samples=samples(form.codec, payload) if width(form) else b"",
        )  # fmt: skip
