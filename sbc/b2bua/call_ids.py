"""Which call a Call-ID is of: what tells of messages asks it, and nothing that decides.

A request within a call is found by its whole dialog (``dialogs``). A message that came or went is told of
with the call that it belongs to, also when that is over: the answer to a BYE comes afterwards.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from sbc.b2bua.leg import Side

# Call-IDs of calls that are over: those of the last seconds, where many end at once.
LATE: Final = 1000
_FEW: Final = 4 * LATE

#: Our name of the call, the leg's trunk, its side of the call.
Named = tuple[str, str, Side]


class CallIds:
    """The Call-IDs of both legs of all calls, ``alive`` those that are not over, and of the last that are.

    ``found`` is which call each is of; it is for reading.
    """

    __slots__ = ("_alive", "_full", "found")

    def __init__(self, alive: Container[str]) -> None:
        self._alive = alive
        self.found: dict[str, Named] = {}
        self._full = _FEW

    def __len__(self) -> int:
        return len(self.found)

    def add(self, call_id: str, call: str, trunk: str, side: Side) -> None:
        """``call_id`` is that of the leg to ``trunk``, on ``side`` of ``call``; a later call takes it."""
        found = self.found
        found[call_id] = (call, trunk, side)
        if len(found) > self._full:
            over = [each for each, named in found.items() if named[0] not in self._alive]
            for each in over[:-LATE]:
                del found[each]
            self._full = 2 * len(found) + _FEW
