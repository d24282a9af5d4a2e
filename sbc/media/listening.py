"""Who hears a call beside those who speak: a recording, or an operator's hook."""

from __future__ import annotations

from typing import Protocol

from sbc.media.formats import Formats
from sbc.media.relay import Tap
from sbc.media.tone import Tone


class Hearing(Protocol):
    """Takes the packets of one audio stream of one side."""

    def hear(self, data: bytes, at: float) -> None:
        """An RTP packet came at ``at``; this must neither block nor raise, and be over at once."""


class Audience(Protocol):
    """Hears both sides of a call."""

    @property
    def tone(self) -> Tone | None:
        """By which they hear that they are heard, if they do."""

    def ear(self, side: str) -> Hearing:
        """One more audio stream of ``side`` is to be heard."""

    def describe(self, a: Formats, b: Formats) -> None:
        """From now on the sides send by these payload types."""


def tap_of(former: Tap | None, tap: Tap) -> Tap:
    """A tap that shows each packet to both."""
    if former is None:
        return tap
    before = former

    def both(data: bytes, at: float) -> None:
        before(data, at)
        tap(data, at)

    return both
