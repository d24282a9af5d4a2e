"""Who hears a call beside those who speak: a recording, or an operator's hook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from sbc.media.formats import Formats
from sbc.media.tone import Tone


class Hearing(ABC):
    """Takes the packets of one audio stream of one side. A class, as calling one is cheap where compiled."""

    __slots__ = ()

    @abstractmethod
    def hear(self, data: bytes, at: float) -> None:
        """An RTP packet came at ``at``; this must neither block nor raise, and be over at once."""


class Both(Hearing):
    """Shows each packet to one and to another."""

    __slots__ = ("_one", "_other")

    def __init__(self, one: Hearing, other: Hearing) -> None:
        self._one = one
        self._other = other

    def hear(self, data: bytes, at: float) -> None:
        """An RTP packet came at ``at``."""
        self._one.hear(data, at)
        self._other.hear(data, at)


class Audience(Protocol):
    """Hears both sides of a call."""

    @property
    def tone(self) -> Tone | None:
        """By which they hear that they are heard, if they do."""

    def ear(self, side: str) -> Hearing:
        """One more audio stream of ``side`` is to be heard."""

    def describe(self, a: Formats, b: Formats) -> None:
        """From now on the sides send by these payload types."""
