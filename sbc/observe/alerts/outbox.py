"""What waits for one sink: bounded, and tried again with growing patience while it is not reached."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from sbc.observe.alerts.notice import Notice

#: So many notices wait; of more the oldest are lost, and counted.
MOST: Final = 500
#: Seconds between two messages, and until a failed one is tried again: doubled each time, up to the most.
GAP: Final = 5.0
AGAIN: Final = 10.0
MOST_PATIENCE: Final = 300.0


class Outbox:
    """One sink's notices; ``at`` is a moment of the monotonic clock."""

    def __init__(self, urgent_only: bool = False) -> None:
        self.urgent_only = urgent_only
        self.sent = self.lost = 0
        self.problem = ""
        self._waiting: deque[Notice] = deque()
        self._taken: list[Notice] = []
        self._dropped = 0  # since the last message that arrived
        self._due = 0.0
        self._patience = AGAIN

    def __len__(self) -> int:
        return len(self._waiting) + len(self._taken)

    def put(self, notices: Iterable[Notice]) -> None:
        """They are to be sent."""
        for each in notices:
            if not self.urgent_only or each.urgency == "urgent":
                self._waiting.append(each)
        while len(self) > MOST and self._waiting:
            self._waiting.popleft()
            self._drop(1)

    def hurry(self) -> None:
        """Its address is another one: what waits is tried at once."""
        self._due, self._patience = 0.0, AGAIN

    def take(self, at: float) -> tuple[list[Notice], int] | None:
        """All that waits, for one message, and how many are lost before it; None where nothing is due."""
        if self._taken or not self._waiting or at < self._due:
            return None
        self._taken = list(self._waiting)
        self._waiting.clear()
        return self._taken, self._dropped

    def done(self, problem: str, at: float) -> None:
        """The message that was taken has arrived, or has not for ``problem``: then it is tried again."""
        if problem:
            self._waiting.extendleft(reversed(self._taken))
            self._due = at + self._patience
            self._patience = min(2 * self._patience, MOST_PATIENCE)
        else:
            self.sent += len(self._taken)
            self._dropped, self._patience, self._due = 0, AGAIN, at + GAP
        self.problem, self._taken = problem, []

    def _drop(self, count: int) -> None:
        self.lost += count
        self._dropped += count
