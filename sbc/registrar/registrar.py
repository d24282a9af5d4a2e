"""The registrar's memory: who is registered, and where (RFC 3261 10.3).

What is kept is bounded by the users of the operator's file and the contacts that each may have: nobody gets a
binding before a password has proved who it is.

``expires_at`` is a date, for it has to survive a restart. A wall clock that is set moves all of them
(``shift``), so that nobody's binding ends sooner or later than it was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from sbc.flow import Flow
from sbc.registrar.binding import Binding

# In how many looks all users are gone through; what has expired counts for nothing in between.
LOOKS: Final = 10
LEAST: Final = 100


class Registrar:
    """All bindings of one process; the user is named as rules see it (``dsl.addresses.Party.user``).

    ``now`` is the date of the last look.
    """

    __slots__ = ("_flows", "_looked", "_users", "now")

    def __init__(self) -> None:
        self._users: dict[str, list[Binding]] = {}
        self._flows: dict[Flow, set[str]] = {}
        self._looked: list[str] = []
        self.now = 0.0

    def __len__(self) -> int:
        return sum([len(each) for each in self._users.values()])

    def __iter__(self) -> Iterator[Binding]:
        return iter([binding for user in sorted(self._users) for binding in self._users[user]])

    def contacts(self, user: str, now: float) -> list[Binding]:
        """The bindings of ``user`` at ``now`` (POSIX): by q, the highest first, then the newest."""
        found = [each for each in self._users.get(user, ()) if each.expires_at > now]
        found.sort(key=_order)
        return found

    def is_registered(self, user: str, now: float) -> bool:
        """Whether ``user`` has a binding at ``now`` (POSIX)."""
        return any([each.expires_at > now for each in self._users.get(user, ())])

    def registered(self, user: str) -> bool:
        """Whether ``user`` has a binding by the last look: what rules ask."""
        return user in self._users and self.is_registered(user, self.now)

    def known(self, user: str) -> list[Binding]:
        """The bindings of ``user`` in the order in which they were made, expired ones too."""
        return list(self._users.get(user, ()))

    def users_on(self, flow: Flow, now: float) -> list[str]:
        """Who is registered on ``flow`` at ``now`` (POSIX), and so has proved a password there."""
        found = self._flows.get(flow)
        if found is None:
            return []
        return [user for user in found if any([each.flow is flow for each in self.contacts(user, now)])]

    @property
    def flows(self) -> list[Flow]:
        """The connections that somebody is registered on."""
        return [each for each in self._flows if each.reliable]

    @property
    def proven(self) -> list[Flow]:
        """The same, and the senders of datagrams at which somebody is registered."""
        return list(self._flows)

    def put(self, user: str, bindings: list[Binding]) -> None:
        """Let ``user`` have these bindings and no others."""
        for each in self._users.pop(user, ()):
            if each.flow is not None:
                self._leave(each.flow, user)
        if bindings:
            self._users[user] = bindings
        for each in bindings:
            if each.flow is not None:
                self._flows.setdefault(each.flow, set()).add(user)

    def _leave(self, flow: Flow, user: str) -> None:
        users = self._flows.get(flow)
        if users is not None:
            users.discard(user)
            if not users:
                del self._flows[flow]

    def restore(self, bindings: list[Binding]) -> None:
        """Take up what was kept over a restart."""
        users: dict[str, list[Binding]] = {}
        for each in bindings:
            users.setdefault(each.user, []).append(each)
        for user, some in users.items():
            self.put(user, some)

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone: who registered on it is registered still, and cannot be reached there."""
        for user in self._flows.pop(flow, ()):
            for each in self._users.get(user, ()):
                if each.flow is flow:
                    each.flow = None

    def shift(self, seconds: float) -> None:
        """The wall clock was set by so many seconds: every binding ends when it would have."""
        for bindings in self._users.values():
            for each in bindings:
                each.expires_at += seconds
                each.registered_at += seconds

    def expired(self, now: float) -> list[Binding]:
        """Take out what has expired at ``now`` (POSIX) of a tenth of the users, the next at each call."""
        self.now = now
        if not self._looked:
            self._looked = list(self._users)
        many = max(LEAST, len(self._users) // LOOKS)
        looked, self._looked = self._looked[-many:], self._looked[:-many]
        return self._without(looked, lambda each: each.expires_at <= now)

    def drop(self, unwanted: Callable[[Binding], bool]) -> list[Binding]:
        """Take out what the configuration allows no more."""
        return self._without(list(self._users), unwanted)

    def _without(self, users: list[str], unwanted: Callable[[Binding], bool]) -> list[Binding]:
        gone: list[Binding] = []
        for user in users:
            bindings = self._users.get(user, [])
            ended = [each for each in bindings if unwanted(each)]
            if ended:
                gone += ended
                self.put(user, [each for each in bindings if each not in ended])
        return gone


def _order(binding: Binding) -> tuple[float, float]:
    return -binding.q, -binding.registered_at
