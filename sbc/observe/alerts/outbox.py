"""What waits for one sink: bounded, and tried again with growing patience while it is not reached.

It is numbered, in its order, so that what waits can be written down notice by notice and outlives a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sbc.observe.alerts.notice import Notice, notice_of, written

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
        self._waiting: dict[int, Notice] = {}  # what has not arrived, the oldest first
        self._taken: list[int] = []
        self._last = 0
        self._changed: dict[int, None] = {}
        self._dropped = 0  # since the last message that arrived
        self._due = 0.0
        self._patience = AGAIN

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, notices: Iterable[Notice]) -> None:
        """They are to be sent."""
        for each in notices:
            if not self.urgent_only or each.urgency == "urgent":
                self._last += 1
                self._waiting[self._last] = each
                self._changed[self._last] = None
        taken = set(self._taken)
        spare = [each for each in self._waiting if each not in taken]
        for number in spare[: max(0, len(self) - MOST)]:
            self._let_go(number)
            self.lost += 1
            self._dropped += 1

    def hurry(self) -> None:
        """Its address is another one: what waits is tried at once."""
        self._due, self._patience = 0.0, AGAIN

    def take(self, at: float) -> tuple[list[Notice], int] | None:
        """All that waits, for one message, and how many are lost before it; None where nothing is due."""
        if self._taken or not self._waiting or at < self._due:
            return None
        self._taken = list(self._waiting)
        return list(self._waiting.values()), self._dropped

    def done(self, problem: str, at: float) -> None:
        """The message that was taken has arrived, or has not for ``problem``: then it is tried again."""
        if problem:
            self._due = at + self._patience
            self._patience = min(2 * self._patience, MOST_PATIENCE)
        else:
            self.sent += len(self._taken)
            for number in self._taken:
                self._let_go(number)
            self._dropped, self._patience, self._due = 0, AGAIN, at + GAP
        self.problem, self._taken = problem, []

    def _let_go(self, number: int) -> None:
        del self._waiting[number]
        self._changed[number] = None

    # What survives a restart

    def whole(self) -> dict[int, dict[str, Any]]:
        """All that waits, by number, as JSON types."""
        return {number: written(each) for number, each in self._waiting.items()}

    def changes(self) -> dict[int, dict[str, Any] | None]:
        """The same of what has changed since this was asked last; None for what waits no more."""
        changed, self._changed = self._changed, {}
        found = {number: self._waiting.get(number) for number in changed}
        return {number: written(each) if each is not None else None for number, each in found.items()}

    def restore(self, number: int, saved: Any) -> None:
        """Let one wait that did before a restart; ValueError where it is none."""
        self._waiting[number] = notice_of(saved)
        self._last = max(self._last, number)
