"""How much counters have risen lately."""

from __future__ import annotations

from collections import deque


class Rises:
    """Counters by key, looked at now and then; ``at`` is a moment of the monotonic clock.

    They began at 0 at ``begun``, when the process did.
    """

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._known: dict[str, deque[tuple[float, int]]] = {}
        self._seen: set[str] = set()
        self._first = True

    def of(self, key: str, count: int, at: float, within: float, lasting: bool = False) -> int:
        """How much the counter has risen ``within`` so many seconds; one that is new has risen from 0.

        A ``lasting`` one was counted before a restart too.
        """
        self._seen.add(key)
        samples = self._known.get(key)
        if samples is None:
            # What was counted long before anybody looked is no news.
            old = self._first and (lasting or at - self._begun >= within)
            samples = self._known[key] = deque([(at, count if old else 0)])
        while len(samples) > 1 and samples[1][0] <= at - within:
            samples.popleft()
        if samples[-1][1] > count:  # it was begun anew
            samples.clear()
            samples.append((at, 0))
        if samples[-1][1] != count:
            samples.append((at, count))
        return count - samples[0][1]

    def looked(self) -> None:
        """All were looked at: what was not is forgotten."""
        self._known = {key: found for key, found in self._known.items() if key in self._seen}
        self._seen = set()
        self._first = False
