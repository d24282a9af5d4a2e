"""The pool of media ports: even for RTP, the odd one above it for RTCP (RFC 3550 section 11).

Pairs are taken in rotation and given back at the end of the queue, so that a port rests as long
as possible before another call gets it and late packets of the former call find nobody.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from sbc.base import LocalError


class Ports(Protocol):
    """Where a media session takes its ports from."""

    def take(self) -> int:
        """Return the even port of a free pair; LocalError when there is none."""

    def give(self, port: int) -> None:
        """Give the pair of the even ``port`` back."""


class PortPool:
    """The pairs within ``FIRST-LAST``, such as ``20000-29999``; ValueError when it holds none."""

    __slots__ = ("_free", "_taken", "text")

    def __init__(self, text: str) -> None:
        first, dash, last = text.partition("-")
        if not (dash and first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) < 65536):
            raise ValueError(f"{text!r} is not a port range: write FIRST-LAST, such as 20000-29999")
        self.text = text
        self._free = deque(range(int(first) + int(first) % 2, int(last), 2))
        self._taken: set[int] = set()
        if not self._free:
            raise ValueError(f"{text!r} holds no pair of an even and the next odd port")

    def take(self) -> int:
        """Return the even port of the pair that has rested longest; LocalError when all are in use."""
        if not self._free:
            raise LocalError(f"all media ports of {self.text} are in use: widen media.ports in sbc.yaml")
        port = self._free.popleft()
        self._taken.add(port)
        return port

    def give(self, port: int) -> None:
        """Give a pair back; ValueError when it was not taken, because two calls would share it later."""
        if port not in self._taken:
            raise ValueError(f"media port {port} is given back but was not taken")
        self._taken.remove(port)
        self._free.append(port)

    def __len__(self) -> int:
        return len(self._free)
