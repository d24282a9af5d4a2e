"""The registrar's memory: who is registered, and where (RFC 3261 10.3).

What is kept is bounded by the users of the operator's file and the contacts that each may have: nobody gets a
binding before a password has proved who it is.
"""

from __future__ import annotations

from sbc.registrar.binding import Binding


class Registrar:
    """All bindings of one process; the user is named as the users file has it."""

    __slots__ = ("_users",)

    def __init__(self) -> None:
        self._users: dict[str, list[Binding]] = {}

    def contacts(self, user: str, now: float) -> list[Binding]:
        """The bindings of ``user`` at ``now`` (POSIX): by q, the highest first, then the newest."""
        found = [each for each in self._users.get(user, ()) if each.expires_at > now]
        found.sort(key=_order)
        return found

    def is_registered(self, user: str, now: float) -> bool:
        """Whether ``user`` has a binding at ``now`` (POSIX)."""
        return any([each.expires_at > now for each in self._users.get(user, ())])

    def put(self, user: str, bindings: list[Binding]) -> None:
        """Let ``user`` have these bindings and no others."""
        if bindings:
            self._users[user] = bindings
        else:
            self._users.pop(user, None)


def _order(binding: Binding) -> tuple[float, float]:
    return -binding.q, -binding.registered_at
