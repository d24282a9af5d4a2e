"""What speaks against an address, counted over a sliding window: who comes with too much of it is a scanner.

Each piece of evidence weighs so much that a scanner is known after a few messages, and somebody who mistypes
a password is not. What a wrong password weighs does not depend on whether its user exists: else being blocked
sooner would tell.

Exact and bounded: of each source the moments within the window are kept, and no more of them than make the
sum too great. Of the sources there may be any number, a million of /64s say; those with one piece of evidence
are kept apart, so that a flood of them pushes out nobody of whom more is known.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal, NamedTuple

Kind = Literal["handshake", "password", "another", "domain", "malformed", "scanner"]

#: What each piece of evidence counts for; ``scanner`` is enough by itself.
WEIGHTS: Final[dict[str, int]] = {"handshake": 1, "password": 1, "another": 2, "domain": 1, "malformed": 1}
_WORDS: Final[dict[str, str]] = {
    "handshake": "failed TLS handshakes",
    "password": "wrong passwords",
    "another": "wrong passwords for yet another user",
    "domain": "registrations at a domain that is none of ours",
    "malformed": "malformed messages",
}
MOST: Final = 16384  # sources that are remembered, of whom there is one piece of evidence, and of the others


class Terms(NamedTuple):
    """More than ``failures`` within ``within`` seconds are too much, for ``lasts`` seconds."""

    failures: int
    within: float
    lasts: float


class _Seen:
    __slots__ = ("kinds", "moments", "score", "user")

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.kinds: list[str] = []
        self.score = 0
        self.user = 0


class Suspicions:
    """The evidence of the last while against every source."""

    __slots__ = ("_often", "_once")

    def __init__(self) -> None:
        self._once: OrderedDict[str, _Seen] = OrderedDict()
        self._often: OrderedDict[str, _Seen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._once) + len(self._often)

    def note(self, source: str, kind: Kind, user: str, terms: Terms, at: float) -> str:
        """Count one piece of evidence at ``at`` (monotonic); what is too much by now, in words, else "".

        ``user`` is whose password was tried, "" where that is not the question. What was told is forgotten.
        """
        seen = self._often.pop(source, None) or self._once.pop(source, None) or _Seen()
        named: str = kind
        if user:
            tried = hash(user)  # a name may be as long as a message, and only has to be told from others
            if seen.user and tried != seen.user:
                named = "another"
            seen.user = tried
        _forget(seen, at - terms.within)
        seen.moments.append(at)
        seen.kinds.append(named)
        seen.score += WEIGHTS[named]
        if seen.score > terms.failures:
            return _told(seen, at)
        table = self._once if len(seen.moments) == 1 else self._often
        table[source] = seen
        if len(table) > MOST:
            table.popitem(last=False)
        return ""

    def forget(self, source: str) -> None:
        """Nothing speaks against ``source`` any more."""
        self._once.pop(source, None)
        self._often.pop(source, None)


def _forget(seen: _Seen, until: float) -> None:
    """Leave out what happened at ``until`` or before."""
    over = 0
    for moment in seen.moments:
        if moment > until:
            break
        seen.score -= WEIGHTS[seen.kinds[over]]
        over += 1
    if over:
        del seen.moments[:over]
        del seen.kinds[:over]


def _told(seen: _Seen, at: float) -> str:
    counts: dict[str, int] = {}
    for kind in seen.kinds:
        counts[kind] = counts.get(kind, 0) + 1
    parts = [f"{count} {_WORDS[kind]}" for kind, count in counts.items()]
    return f"{', '.join(parts)} within {max(1, round(at - seen.moments[0]))} s"
