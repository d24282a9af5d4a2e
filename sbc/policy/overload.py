"""Whether the process keeps up: how late its loop comes round, and how many transactions it holds.

Turns are short, and whoever has something to say gets one each time the loop comes round. So the time that a
round takes is what everybody waits for everything, whatever it is spent on. One late round is a hiccup of the
machine; several, one after the other, are more work than there is time for. Then nothing new is begun, before
anything of it is kept, until the loop has been punctual for a while; what is up goes on.
"""

from __future__ import annotations

from typing import Final

#: How often the loop is looked at, in seconds.
LOOK_EVERY: Final = 0.1
#: So many late looks in a row begin an overload, and so many punctual ones, half as late at most, end it.
LATE: Final = 3
PUNCTUAL: Final = 10


class Load:
    """How late the loop was at the last look, ``lag`` in seconds; one for the life of the process.

    ``since`` is the moment (monotonic) at which the overload began, None without one.
    """

    __slots__ = ("_in_a_row", "lag", "since", "worst")

    def __init__(self) -> None:
        self.lag = 0.0
        self.worst = 0.0
        self.since: float | None = None
        self._in_a_row = 0

    def look(self, lag: float, most: float, full: bool, at: float) -> bool:
        """Take in one look; ``most`` is the lag that is borne, ``full`` that there are too many transactions.

        True where an overload has begun or is over by it.
        """
        self.lag = lag
        if self.since is None:
            self._in_a_row = self._in_a_row + 1 if lag > most else 0
            if self._in_a_row < LATE and not full:
                return False
            self.since, self.worst = at, lag
        else:
            self.worst = max(self.worst, lag)
            self._in_a_row = self._in_a_row + 1 if lag <= most / 2 and not full else 0
            if self._in_a_row < PUNCTUAL:
                return False
            self.since = None
        self._in_a_row = 0
        return True
