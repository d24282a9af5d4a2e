"""What is known of a domain's servers, for how long, and when they are asked for again.

They are asked for ahead of their end, so that no call waits for it. Where nobody answers, what was known
holds on: a DNS server that is down must not take the trunks with it. Where the answer is that there are
none, there are none.
"""

from __future__ import annotations

from typing import Final

from sbc.dns.search import Outcome, Target

# Seconds. Servers that are named for no time at all are asked for so seldom all the same; nothing is believed
# for longer than a day; and a part of the time before its end, at most so much, is for asking again.
SHORTEST: Final = 5.0
LONGEST: Final = 86400.0
AHEAD: Final = 10.0
# After a failure, doubled with each.
FIRST_RETRY: Final = 1.0
LAST_RETRY: Final = 15.0


class Known:
    """What one domain gave, for one transport; times are of the monotonic clock.

    ``until`` is how long ``targets`` are good, ``due`` when they are asked for again. ``failure`` is why the
    last time came to nothing, ``answered`` whether any time ever came to something.
    """

    __slots__ = ("answered", "due", "failure", "failures", "remarks", "targets", "until")

    def __init__(self) -> None:
        self.targets: tuple[Target, ...] = ()
        self.remarks: tuple[str, ...] = ()
        self.until = self.due = 0.0
        self.failure = ""
        self.failures = 0
        self.answered = False

    def learn(self, outcome: Outcome, at: float) -> bool:
        """Take what a search came to; True where the servers are others than before, or known at last."""
        if outcome.failure:
            self.failure = outcome.failure
            self.due = at + min(LAST_RETRY, FIRST_RETRY * (1 << min(self.failures, 10)))
            self.failures += 1
            return False
        ttl = min(max(outcome.ttl, SHORTEST), LONGEST)
        # Most servers give the same records in another order each time, which says nothing.
        fresh = not self.answered or set(self.targets) != set(outcome.targets)
        if fresh:
            self.targets = outcome.targets
        self.remarks = outcome.remarks
        self.until, self.due = at + ttl, at + ttl - min(AHEAD, ttl / 10)
        self.failure, self.failures, self.answered = "", 0, True
        return fresh

    def stale(self, at: float) -> bool:
        """Whether what it knows has ended and nobody has said what holds now."""
        return self.answered and self.until <= at
