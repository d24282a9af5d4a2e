"""What became of calls, by trunk and direction: how many were answered, after how long, how long they were.

Inbound is an INVITE that a trunk sent us and that became a call; its outcome is the final status that we
gave. Outbound is each try of ours to reach a peer of the trunk; its outcome is the final status that the peer
gave, or where it gave none one of these words:

* ``unreachable``: no connection could be had, or it broke;
* ``timeout``: it was silent, or rang for too long;
* ``cancelled``: we took it back, for the caller gave up;
* ``unusable``: it answered, but not so that the call could go on.

What is sent again with a password, or for a longer session, is one try; and who is asked for a password has
not called yet. All is since the start: a reload forgets nothing, and no count falls.
"""

from __future__ import annotations

from typing import Final, Literal

from sbc.histogram import Histogram

Direction = Literal["inbound", "outbound"]
#: Bounds of the post-dial delay in seconds.
DELAYS: Final[tuple[float, ...]] = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0, 20.0, 30.0)
_CHALLENGES: Final = (401, 407)


class Outcome:
    """One trunk, one direction: ``codes`` counts final statuses, ``seconds`` are those of ``ended`` calls.

    ``delays`` are from the INVITE to the first 18x or 2xx.
    """

    __slots__ = ("codes", "delays", "ended", "seconds")

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.delays = Histogram(DELAYS)
        self.ended = 0
        self.seconds = 0.0

    def count(self, code: str) -> None:
        """One call, or try, has come to ``code``."""
        self.codes[code] = self.codes.get(code, 0) + 1

    def talked(self, seconds: float) -> None:
        """One answered call is over."""
        self.ended += 1
        self.seconds += seconds


class Outcomes:
    """The outcomes of every trunk there has been since the start."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, Direction], Outcome] = {}

    def of(self, trunk: str, direction: Direction) -> Outcome:
        """Where what happens on ``trunk`` is counted."""
        found = self._known.get((trunk, direction))
        if found is None:
            found = self._known[trunk, direction] = Outcome()
        return found

    def known(self, trunk: str) -> list[tuple[Direction, Outcome]]:
        """What has happened on ``trunk``, in each direction that anything has."""
        both: tuple[Direction, Direction] = ("inbound", "outbound")
        return [(way, self._known[trunk, way]) for way in both if (trunk, way) in self._known]

    def refused(self, trunk: str, status: int) -> None:
        """A caller on ``trunk`` was given a final status that is no answer."""
        if status not in _CHALLENGES:
            self.of(trunk, "inbound").count(str(status))
