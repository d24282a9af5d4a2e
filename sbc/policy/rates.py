"""How many requests a second a trunk, its tenant, one address or one user may begin something with.

Each rate is a token bucket that holds one second's worth: a burst up to the rate passes, and the average
never exceeds it. Where several rates hold for a request it takes a token of each, or of none if one has none.

Addresses may be forged, so only so many of them are remembered, the one that was heard of last the longest.
Who is forgotten begins anew with a full bucket; the rate of the trunk holds all the same. Trunks and users
have buckets of their own, which no flood of addresses pushes out.

What is over a rate is answered, at the price of one message and nothing kept. Over UDP no more answers are
given than requests would pass: a source that is forged must not have us flood whoever it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

#: Buckets of addresses, and of users, that are remembered.
MOST: Final = 8192
#: What all methods share that a mapping of rates does not name.
OTHER: Final = "other"
#: The cap on what an address has answered without a password, as a refusal names it.
CHALLENGES: Final = "caps.challenges_per_source"
#: Seconds; the longest that somebody is told to wait.
LONGEST: Final = 60
# Of a token: so much is lost when tenths of seconds are added up as floating point.
_ROUNDING: Final = 1e-9

Rates = Mapping[str, float]


class Bucket:
    """Tokens that come back at a rate, up to one second's worth; at a rate under one a second up to one."""

    __slots__ = ("filled_at", "refusals", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.filled_at = at
        self.refusals: Bucket | None = None

    def fill(self, rate: float, at: float) -> bool:
        """Add the tokens of the time that has passed (monotonic seconds); whether there is one."""
        elapsed = at - self.filled_at
        if elapsed > 0.0:
            self.tokens += elapsed * rate
        most = depth(rate)
        if self.tokens > most:
            self.tokens = most
        self.filled_at = at
        return self.tokens >= 1.0 - _ROUNDING

    def wait(self, rate: float) -> int:
        """In how many whole seconds there is a token, from 1 to ``LONGEST``."""
        missing = 1.0 - self.tokens
        if missing <= rate:
            return 1
        return min(LONGEST, int(missing / rate) + 1) if rate else LONGEST

    def answers(self, rate: float, at: float) -> bool:
        """Whether one more refusal may go to where nobody has shown to be: as many as the rate, or one."""
        most = max(1.0, rate)
        if self.refusals is None:
            self.refusals = Bucket(most, at)
        if not self.refusals.fill(most, at):
            return False
        self.refusals.tokens -= 1.0
        return True


def depth(rate: float | None) -> float:
    """A bucket holds one second's worth, but a whole token where the rate is under one a second."""
    return max(1.0, rate) if rate else 0.0


class Rated(NamedTuple):
    """The rates that hold for a trunk: its own, those of each of its addresses, those of its tenant."""

    trunk: str
    own: Rates
    of_source: Rates
    tenant: str
    of_tenant: Rates


class Over(NamedTuple):
    """A request is over a rate: the key of the configuration, whose it is in words, and the rate.

    ``wait`` is in how many seconds it may come again; ``answered``: it is told so, also over UDP.
    """

    cap: str
    whose: str
    rate: float
    wait: int
    answered: bool

    @property
    def why(self) -> str:
        """The same as a sentence."""
        return f"{self.whose} is over {self.cap}, {self.rate:g} a second"


class RateLimits:
    """The buckets of all trunks, tenants, addresses and users; one for the life of the process."""

    __slots__ = ("_of_sources", "_of_trunks", "_of_users")

    def __init__(self) -> None:
        self._of_trunks: dict[tuple[str, str, str], Bucket] = {}
        self._of_sources: dict[tuple[str, str, str], Bucket] = {}
        self._of_users: dict[tuple[str, str, str], Bucket] = {}

    def __len__(self) -> int:
        return len(self._of_trunks) + len(self._of_sources) + len(self._of_users)

    def admit(self, rated: Rated, source: str, method: str, at: float) -> Over | None:
        """Let one request of ``method`` pass that came from ``source`` at ``at``, or say what it is over."""
        taken: list[Bucket] = []
        if rated.own:
            over = _look(self._of_trunks, rated.own, "trunk", rated.trunk, "", "rates", method, at, taken)
            if over is not None:
                return over
        if rated.of_tenant:
            over = _look(
                self._of_trunks, rated.of_tenant, "tenant", rated.tenant, "", "rates", method, at, taken
            )
            if over is not None:
                return over
        if rated.of_source:
            over = _look(
                self._of_sources, rated.of_source, "trunk", rated.trunk, source, "rates_per_source", method,
                at, taken,
            )  # fmt: skip
            if over is not None:
                return over
        for each in taken:
            each.tokens -= 1.0
        return None

    def strange(self, source: str, rate: float, at: float) -> Over | None:
        """What ``source`` is over that was answered so often without a password; None: it may come once more.

        Beyond it one a second is answered.
        """
        bucket = self._stranger(source, rate, at)
        if bucket.fill(rate, at):
            return None
        return Over(CHALLENGES, source, rate, bucket.wait(rate), bucket.answers(1.0, at))

    def challenged(self, source: str, rate: float, at: float) -> None:
        """``source`` was answered without a password."""
        self._stranger(source, rate, at).tokens -= 1.0

    def _stranger(self, source: str, rate: float, at: float) -> Bucket:
        return _bucket(self._of_sources, (CHALLENGES, source, ""), rate, at)

    def admit_user(self, rates: Rates, trunk: str, user: str, method: str, at: float) -> Over | None:
        """The same for what ``user`` has proved to have sent."""
        taken: list[Bucket] = []
        over = _look(self._of_users, rates, "trunk", trunk, user, "rates_per_user", method, at, taken)
        if over is None:
            for each in taken:
                each.tokens -= 1.0
        return over


def _bucket(
    kept: dict[tuple[str, str, str], Bucket], place: tuple[str, str, str], rate: float, at: float
) -> Bucket:
    """The bucket that is kept for ``place``; of addresses and users the last that came is forgotten last."""
    if not place[1]:
        bucket = kept.get(place)
        if bucket is None:
            bucket = kept[place] = Bucket(depth(rate), at)
        return bucket
    bucket = kept.pop(place, None)
    if bucket is None:
        if len(kept) >= MOST:
            del kept[next(iter(kept))]
        bucket = Bucket(depth(rate), at)
    kept[place] = bucket
    return bucket


def _look(
    kept: dict[tuple[str, str, str], Bucket], rates: Rates, kind: str, name: str, who: str, key: str,
    method: str, at: float, taken: list[Bucket],
) -> Over | None:  # fmt: skip
    """Add the bucket that a request takes from to ``taken``, if one holds for it; or say what it is over."""
    word = method.lower()
    rate = rates.get(word)
    if rate is None:
        word = OTHER
        rate = rates.get(OTHER)
        if rate is None:
            return None
    place = (f"{kind} {name}", who, word)
    bucket = _bucket(kept, place, rate, at)
    if bucket.fill(rate, at):
        taken.append(bucket)
        return None
    whose = f"{who} of {kind} {name}" if who else f"{kind} {name}"
    cap = f"tenant.limits.{key}.{word}" if kind == "tenant" else f"limits.{key}.{word}"
    return Over(cap, whose, rate, bucket.wait(rate), bucket.answers(rate, at))
