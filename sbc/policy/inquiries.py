"""What is asked of one service: which answers are kept, which questions share one, and when nobody asks.

A service is asked from the path of calls, so what it does badly must cost little. An answer is used
again as long as the operator says; equal questions at the same time wait for one answer; there is an end
to how many are under way, and nobody has more of these than are left to all others. A service that fails
so many times in a row is left alone for a while (its breaker is open); then one question goes first, and
as it ends so it goes on. Only what says that the service is ill counts there: an answer that is none,
such as a 404, hurts the call that asked and nobody else.

Everything is a matter of ``at``, seconds of the monotonic clock. Whoever asks gets an ``Inquiry``: it is over
already, or to be carried out by the one who has ``begun`` it and waited for by all others.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import Final, Literal

from dsl.services import Answer

BreakerState = Literal["closed", "open", "probing"]

#: Answers that are kept of one service; the oldest goes first.
MOST_KEPT: Final = 10_000
#: How a question ends. The first three are answers, of those that follow the last four say that it is ill.
ANSWERED: Final = "answered"
KEPT: Final = "kept"
SHARED: Final = "shared"
BUSY: Final = "busy"
OPEN: Final = "open"
NO_ANSWER: Final = "no-answer"
TIMEOUT: Final = "timeout"
UNREACHABLE: Final = "unreachable"
BROKEN_OFF: Final = "broken-off"
SERVER_ERROR: Final = "server-error"
ENDINGS: Final = (
    ANSWERED, KEPT, SHARED, BUSY, OPEN, NO_ANSWER, TIMEOUT, UNREACHABLE, BROKEN_OFF, SERVER_ERROR,
)  # fmt: skip
GOOD: Final = (ANSWERED, KEPT, SHARED)
_ILL: Final = (TIMEOUT, UNREACHABLE, BROKEN_OFF, SERVER_ERROR)


class Inquiry:
    """One question; where it is ``over``, ``answer`` has what was answered, None where nothing was.

    ``ending`` says how it came to its end, ``who`` began it, and so many ``others`` wait for the same.
    """

    __slots__ = ("answer", "begun", "ending", "key", "others", "over", "probe", "who")

    def __init__(self, key: bytes, who: str = "", answer: Answer | None = None, ending: str = "") -> None:
        self.key = key
        self.who = who
        self.others = 0
        self.answer = answer
        self.ending = ending
        self.over = bool(ending)
        self.begun = False
        self.probe = False


class Inquiries:
    """All that is asked of one service.

    ``keep`` is how many seconds an answer is used again, ``most`` how many questions may be under way;
    after ``failures`` in a row the service is left alone for ``pause`` seconds.
    """

    __slots__ = (
        "_failures", "_in_a_row", "_keep", "_kept", "_most", "_of", "_pause", "_probing", "_under_way",
        "_until", "counts",
    )  # fmt: skip

    def __init__(self, keep: float, most: int, failures: int, pause: float) -> None:
        self._keep = keep
        self._most = most
        self._failures = failures
        self._pause = pause
        self._kept: OrderedDict[bytes, tuple[float, Answer]] = OrderedDict()
        # By a hash: a caller may have long headers, and ten thousand of them are not to be kept.
        self._under_way: dict[bytes, Inquiry] = {}
        self._of: dict[str, int] = {}  # how many of those are whose
        self._in_a_row = 0
        self._until = 0.0
        self._probing = False
        self.counts: dict[str, int] = dict.fromkeys(ENDINGS, 0)

    def ask(self, question: bytes, who: str, at: float) -> Inquiry:
        """Ask ``question`` for ``who``: what comes back is over, under way, or to be begun by who asked."""
        key = sha256(question).digest()
        kept = self._kept.get(key)
        if kept is not None:
            if at < kept[0]:
                return self._at_once(key, kept[1], KEPT)
            del self._kept[key]
        shared = self._under_way.get(key)
        if shared is not None:
            shared.others += 1
            return shared
        if self.state(at) != "closed" and (self._probing or at < self._until):
            return self._at_once(key, None, OPEN)
        free, own = self._most - len(self._under_way), self._of.get(who, 0)
        if free <= 0 or own > free:
            return self._at_once(key, None, BUSY)
        fresh = self._under_way[key] = Inquiry(key, who)
        self._of[who] = own + 1
        if self._in_a_row >= self._failures:
            fresh.probe = self._probing = True
        return fresh

    def _at_once(self, key: bytes, answer: Answer | None, ending: str) -> Inquiry:
        self.counts[ending] += 1
        return Inquiry(key, "", answer, ending)

    def end(self, inquiry: Inquiry, answer: Answer | None, ending: str, at: float) -> BreakerState | None:
        """A question is answered, or never will be; the state of the breaker where it opens or closes."""
        before = self.state(at)
        inquiry.answer, inquiry.ending, inquiry.over = answer, ending, True
        if self._under_way.get(inquiry.key) is inquiry:
            del self._under_way[inquiry.key]
            left = self._of.pop(inquiry.who) - 1
            if left:
                self._of[inquiry.who] = left
        self.counts[ending] += 1
        self.counts[SHARED if answer is not None else ending] += inquiry.others
        if inquiry.probe:
            self._probing = False
        if ending in _ILL:
            self._in_a_row += 1
            if self._in_a_row >= self._failures and (inquiry.probe or before == "closed"):
                self._until = at + self._pause
        elif before == "closed" or inquiry.probe:
            self._in_a_row = 0
        if answer is not None and self._keep:
            self._keep_it(inquiry.key, answer, at)
        after = self.state(at)
        if (before == "closed") == (after == "closed"):
            return None
        return after

    def _keep_it(self, key: bytes, answer: Answer, at: float) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.popitem(last=False)
        self._kept.pop(key, None)
        self._kept[key] = (at + self._keep, answer)

    def state(self, at: float) -> BreakerState:
        """Whether the service is asked, is left alone, or is asked one question first."""
        if self._in_a_row < self._failures:
            return "closed"
        return "open" if at < self._until else "probing"

    def retry_in(self, at: float) -> float:
        """How many seconds it is left alone from ``at`` on."""
        return max(0.0, self._until - at) if self.state(at) == "open" else 0.0

    @property
    def under_way(self) -> int:
        """How many questions wait for their answer."""
        return len(self._under_way)

    @property
    def kept(self) -> int:
        """How many answers are kept."""
        return len(self._kept)


#: Why nothing was asked, in words.
UNASKED: Final = {
    BUSY: "as many questions as may be are under way, or of this trunk as are left to all others",
    OPEN: "it has failed too often and is left alone",
}
