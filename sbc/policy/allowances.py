"""What is left of the allowances of an hour or a day: calls that begin in it, or time that is talked in it.

Time counts while a call runs, from its answer on, by the monotonic clock: what is spent is what was, and the
time since then once for each call that runs. So nothing is kept for a call but its name, a call that goes on
over midnight counts for both days, and a wall clock that jumps changes no duration; it only says which day
it is. An hour or a day that a clock is set back into goes on with what was spent.

Calls that begin at the same time are asked one after the other, each against all that is spent by then. What
is spent can exceed an allowance by what those talk that run, and of a hard one by what they talk in a second.

Keys can be what a stranger writes into a From header, so there is room for ``MOST_KEYS``. When they are used
up, one goes that has lain idle longest and either is of a time that is over or has spent less than half;
where none can go, a new key is refused.
"""

from __future__ import annotations

from heapq import nlargest
from itertools import islice
from math import isfinite
from typing import Any, Final, NamedTuple

from dsl.decision import Limit, Window
from sbc.policy.windows import bounds

MOST_KEYS: Final = 100_000
#: How much of an allowance is spent when somebody is told.
WARNED_AT: Final = 0.8
# So many keys are looked at for one that may go, and so many are brought up to date in one turn.
_LOOKED_AT: Final = 64
_IN_A_TURN: Final = 2000
_UNITS: Final = {"calls": 1.0, "seconds": 1.0, "minutes": 60.0, "hours": 3600.0}
_FIELDS: Final = 9


class Told(NamedTuple):
    """What an operator is told of an allowance: ``warning``, ``refused`` (all is spent) or ``full``."""

    what: str
    key: str
    name: str
    text: str
    share: float


class SpentView(NamedTuple):
    """What is ``used`` of one allowance of ``most`` calls, or of so much time as ``limit`` says.

    ``running`` calls spend it now; it is given anew when it ``ends`` (POSIX seconds).
    """

    key: str
    limit: str
    used: float
    most: int
    running: int
    ends: float
    hard: bool

    @property
    def share(self) -> float:
        """How much of it is spent: 1.0 is all."""
        return self.used / self.most if self.most else 1.0


class Spent:
    """What is spent of one allowance: ``used`` are seconds, or calls, in the window that it is in."""

    __slots__ = (
        "brought", "ends", "key", "most", "name", "refused", "running", "starts", "used", "warned", "window",
    )  # fmt: skip

    def __init__(self, key: str, name: str, most: int, window: Window, starts: float, ends: float) -> None:
        self.key = key
        self.name = name
        self.most = most
        self.window = window
        self.starts = starts
        self.ends = ends
        self.used = 0.0
        self.brought = 0.0
        self.running: dict[str, None] = {}
        self.warned = self.refused = False

    @property
    def unit(self) -> float:
        """How much of ``used`` is one of what the limit is written in."""
        return _UNITS[self.window.of]

    @property
    def share(self) -> float:
        """How much of it is spent, 1.0 for all."""
        return self.used / (self.most * self.unit) if self.most else 1.0

    def bring_up(self, at: float, now: float) -> None:
        """Bring ``used`` up to the moment ``at``, which is the date ``now``."""
        elapsed, self.brought = max(0.0, at - self.brought), at
        if self.window.of != "calls":
            self.used += elapsed * len(self.running)
        if self.starts <= now < self.ends:
            return
        forward = now >= self.ends
        self.starts, self.ends = bounds(now, self.window)
        if forward:
            self.used = 0.0
            if self.window.of != "calls":
                self.used = min(elapsed, now - self.starts) * len(self.running)
            self.warned = self.refused = False

    def text(self) -> str:
        """As the limit is written."""
        return f"{self.most} {self.window.of} a {self.window.per}"


class Allowances:
    """What is spent of every allowance; ``told`` is what has happened since somebody took it."""

    __slots__ = ("_changed", "_near", "_running", "_spent", "_turn", "most_keys", "told")

    def __init__(self) -> None:
        self._spent: dict[str, Spent] = {}  # what was used last is the last
        self._running: dict[str, Spent] = {}
        self._near: dict[str, Spent] = {}  # nearly spent, or it was
        self._turn: list[str] = []
        self._changed: dict[str, None] = {}
        self.told: list[Told] = []
        self.most_keys = MOST_KEYS

    def __len__(self) -> int:
        return len(self._spent)

    def take(self, limit: Limit, at: float, now: float) -> bool:
        """Whether one more call may begin under ``limit``; of a limit of calls it is counted."""
        spent = self._of(limit, at, now)
        if spent is None:
            return False
        spent.bring_up(at, now)
        if spent.used >= spent.most * spent.unit:
            self._refused(spent)
            return False
        if spent.window.of == "calls":
            spent.used += 1.0
            self._note(spent)
        return True

    def give_back(self, limit: Limit) -> None:
        """A call that was just counted does not begin."""
        spent = self._spent.get(limit.key)
        if spent is not None and spent.window.of == "calls" and spent.used >= 1.0:
            spent.used -= 1.0
            self._note(spent)

    def begin(self, limit: Limit, call: str, at: float, now: float) -> None:
        """``call`` talks from now on."""
        if limit.window is None or limit.window.of == "calls":
            return
        spent = self._of(limit, at, now, True)
        if spent is not None:
            spent.bring_up(at, now)
            spent.running[call] = None
            self._running[spent.key] = spent
            self._note(spent)

    def end(self, key: str, call: str, at: float, now: float) -> None:
        """``call`` is over."""
        spent = self._spent.get(key)
        if spent is None or call not in spent.running:
            return
        spent.bring_up(at, now)
        del spent.running[call]
        if not spent.running:
            self._running.pop(key, None)
        self._note(spent)

    def tick(self, at: float, now: float) -> list[tuple[Spent, tuple[str, ...]]]:
        """Count what runs, and say which calls a hard limit ends; to be called about once a second."""
        over: list[tuple[Spent, tuple[str, ...]]] = []
        if not self._running:
            return over
        if not self._turn:
            self._turn = list(self._running)
        turn, self._turn = self._turn[:_IN_A_TURN], self._turn[_IN_A_TURN:]
        for key in turn:
            spent = self._running.get(key)
            if spent is None:
                continue
            spent.bring_up(at, now)
            self._note(spent)
            if spent.window.hard and spent.used >= spent.most * spent.unit:
                self._refused(spent)
                over.append((spent, tuple(spent.running)))
        return over

    def take_told(self) -> list[Told]:
        """What has happened since this was asked last."""
        told, self.told = self.told, []
        return told

    def reset(self, key: str, at: float, now: float) -> bool:
        """Let the allowance of ``key`` be unspent; False where there is none. What runs counts on."""
        spent = self._spent.get(key)
        if spent is None:
            return False
        if spent.running:  # else the next call does, which knows the zone of what was saved
            spent.bring_up(at, now)
        spent.used, spent.warned, spent.refused = 0.0, False, False
        self._changed[key] = None
        return True

    def views(self, at: float, now: float, most: int) -> list[SpentView]:
        """What is spent of those ``most`` allowances that are nearest to their end, the nearest first."""
        found = []
        for spent in self._spent.values():
            if spent.running:
                spent.bring_up(at, now)
            if now < spent.ends and (spent.used or spent.running):
                found.append(spent)
        return [_view(each) for each in nlargest(most, found, _share)]

    def near(self, at: float, now: float) -> list[SpentView]:
        """The same of those of which somebody was told that they are nearly spent."""
        for key, spent in list(self._near.items()):
            if self._spent.get(key) is not spent or not spent.warned or now >= spent.ends:
                del self._near[key]
        return [_view(each) for each in sorted(self._near.values(), key=_share, reverse=True)]

    # Room

    def _of(self, limit: Limit, at: float, now: float, runs: bool = False) -> Spent | None:
        """What is spent under ``limit``, as that is written now; None where there is no room for its key."""
        window, key = limit.window, limit.key
        assert window is not None, "it is an allowance"
        former = self._spent.pop(key, None)
        if former is None and len(self._spent) >= self.most_keys and not self._make_room(now) and not runs:
            if not any([each.what == "full" and each.name == limit.name for each in self.told[-1:]]):
                self.told.append(Told("full", key, limit.name, limit.text, 0.0))
            return None
        if former is not None and _counts_alike(former.window, window):
            spent = former
        else:  # a new key, or a reload has made another rule of it
            spent = Spent(key, limit.name, limit.calls, window, *bounds(now, window))
            spent.brought = at
            if former is not None and window.of != "calls":
                spent.running = former.running
                if spent.running:
                    self._running[key] = spent
            else:
                self._running.pop(key, None)
        spent.window, spent.most, spent.name = window, limit.calls, limit.name
        self._spent[key] = spent
        return spent

    def _make_room(self, now: float) -> bool:
        """Let one go that says nothing, or little; who may not is looked at again last."""
        for key in list(islice(self._spent, _LOOKED_AT)):
            spent = self._spent.pop(key)
            if not spent.running and (now >= spent.ends or spent.share < 0.5):
                self._changed[key] = None
                return True
            self._spent[key] = spent
        return False

    # What is told

    def _note(self, spent: Spent) -> None:
        self._changed[spent.key] = None
        if not spent.warned and spent.share >= WARNED_AT:
            spent.warned = True
            self._near[spent.key] = spent
            self.told.append(Told("warning", spent.key, spent.name, spent.text(), spent.share))

    def _refused(self, spent: Spent) -> None:
        self._changed[spent.key] = None
        if not spent.refused:
            spent.refused = True
            self.told.append(Told("refused", spent.key, spent.name, spent.text(), spent.share))

    # What survives a restart

    def whole(self) -> dict[str, list[Any] | None]:
        """All that is spent, as JSON types by key, for ``restore``."""
        self._changed.update(dict.fromkeys(self._spent))
        return self.changes()

    def changes(self) -> dict[str, list[Any] | None]:
        """The same of what has changed since this was asked last; None for an allowance that is forgotten."""
        if not self._changed:
            return {}
        changed, self._changed = self._changed, {}
        found: dict[str, list[Any] | None] = {}
        for key in changed:
            spent = self._spent.get(key)
            found[key] = _row(spent) if spent is not None else None
        return found

    def restore(self, key: str, row: Any, at: float, now: float) -> bool:
        """Go on with what was spent of one before a restart, False where its time is over.

        ValueError where that is not what we save.
        """
        spent = _read(key, row)
        if spent is None:
            raise ValueError("it is no allowance")
        if now >= spent.ends or len(self._spent) >= self.most_keys:
            return False
        spent.brought = at
        self._spent[key] = spent
        if spent.warned:
            self._near[key] = spent
        return True


def _counts_alike(one: Window, other: Window) -> bool:
    """Whether what is spent is of the same kind: calls or time, in whatever unit that is written."""
    return one.per == other.per and (one.of == "calls") == (other.of == "calls")


def _share(spent: Spent) -> float:
    return spent.share


def _view(each: Spent) -> SpentView:
    return SpentView(
        each.key, each.text(), each.used / each.unit, each.most, len(each.running), each.ends,
        each.window.hard,
    )  # fmt: skip


def _row(spent: Spent) -> list[Any]:
    window = spent.window
    return [
        spent.name, spent.most, window.of, window.per, window.hard, spent.starts, spent.ends,
        round(spent.used, 3), [spent.warned, spent.refused],
    ]  # fmt: skip


def _is_amount(each: Any) -> bool:
    return (type(each) is int or type(each) is float) and isfinite(each) and each >= 0


def _read(key: str, row: Any) -> Spent | None:
    """One allowance as it was saved; its zone is known again with the next call."""
    if not isinstance(row, list) or len(row) != _FIELDS:
        return None
    name, most, of, per, hard, starts, ends, used, said = row
    numbers = (most, starts, ends, used)
    good = all([_is_amount(each) for each in numbers])
    if not good or type(name) is not str or not isinstance(said, list) or len(said) != 2:
        return None
    if of == "calls" or of == "seconds" or of == "minutes" or of == "hours":
        if per == "hour" or per == "day":
            spent = Spent(key, name, int(most), Window(of, per, None, bool(hard)), float(starts), float(ends))
            spent.used, (spent.warned, spent.refused) = float(used), (bool(said[0]), bool(said[1]))
            return spent
    return None
