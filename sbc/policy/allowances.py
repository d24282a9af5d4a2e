"""The allowance of every peer: what one address brings for one trunk counts together.

A peer that opens a second connection gets no second allowance, nor does one that closes its connection and
comes again. Of what addresses may be forged only so much is remembered.
"""

from __future__ import annotations

from typing import Final

from sbc.flow import Allowance
from sbc.policy.shares import source_of

MOST: Final = 8192


class Allowances:
    """One for the life of the process; ``rate`` is that of each, in messages a second."""

    __slots__ = ("_of", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._of: dict[tuple[str, str], Allowance] = {}

    def __len__(self) -> int:
        return len(self._of)

    def of(self, trunk: str, host: str, at: float) -> Allowance:
        """That of who brings messages of ``trunk`` from ``host``; ``at`` is a moment (monotonic)."""
        key = (trunk, source_of(host))
        known = self._of.get(key)
        if known is None:
            if len(self._of) >= MOST:
                self._forget(at)
            known = self._of[key] = Allowance(self._rate, at)
        return known

    def apply(self, rate: float) -> None:
        """Let everybody have ``rate`` from now on."""
        self._rate = rate
        for each in self._of.values():
            each.rate = rate

    def _forget(self, at: float) -> None:
        self._of = {key: each for key, each in self._of.items() if not each.idle(at)}
        if len(self._of) > MOST // 2:
            self._of = {}
