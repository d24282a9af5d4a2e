"""The registrations of all trunks: which there are, as the snapshot in force says."""

from __future__ import annotations

from sbc.b2bua.commands import Command
from sbc.b2bua.desk import Desk
from sbc.b2bua.registration import Registration
from sbc.config.snapshot import Snapshot


class Registrations:
    """One for the engine; ``leaving`` have taken their binding back and are not answered yet."""

    __slots__ = ("_desk", "_of", "_seen", "leaving")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen = desk.store.current
        self._of: dict[str, Registration] = {}
        self.leaving: list[Registration] = []

    def of(self, trunk: str) -> Registration | None:
        """The registration of a trunk, if it has one."""
        return self._of.get(trunk)

    @property
    def unfinished(self) -> bool:
        """Whether a registrar still owes the answer to a binding that was taken back."""
        return any(each.busy for each in self.leaving)

    def tick(self, at: float, out: list[Command]) -> None:
        """Look after each, about every second."""
        self.follow(at, out)
        if not self._desk.leaving:
            for each in self._of.values():
                if not self.leaving or not self._is_leaving(each):
                    each.tick(at, out)

    def _is_leaving(self, registration: Registration) -> bool:
        """Whether the same binding is being taken back: what comes late of that would take the new one."""
        listener, address = registration.trunk.listener, registration.address
        return any([each.trunk.listener == listener and each.address == address for each in self.leaving])

    def follow(self, at: float, out: list[Command]) -> None:
        """Do what the snapshot in force says: leave where a trunk is gone, register again what was saved."""
        self.leaving = [each for each in self.leaving if each.busy]
        snapshot = self._desk.store.current
        if self._desk.leaving:
            return
        for name, each in list(self._of.items()):
            self._compare(name, each, snapshot, at, out)
        self._seen = snapshot
        for name, trunk in snapshot.trunks.items():
            if name in self._of or name in snapshot.disabled:
                continue
            if trunk.registration is not None and trunk.peers:
                self._of[name] = Registration(self._desk, trunk, trunk.registration)

    def _compare(
        self, name: str, each: Registration, snapshot: Snapshot, at: float, out: list[Command]
    ) -> None:
        trunk = snapshot.trunks.get(name)
        serves = trunk is not None and bool(trunk.peers) and name not in snapshot.disabled
        terms = trunk.registration if trunk is not None and serves else None
        if trunk is None or terms is None or not each.same_binding(trunk, terms):
            self._leave(name, at, out)
        elif trunk is not each.trunk or snapshot.accounts.get(name) != each.secret:
            each.follow(trunk, terms)
        elif snapshot is not self._seen and _is_of_before(each, snapshot):
            each.hurry()

    def leave(self, at: float, out: list[Command]) -> None:
        """We stop: take every binding back."""
        for name in list(self._of):
            self._leave(name, at, out)

    def _leave(self, name: str, at: float, out: list[Command]) -> None:
        gone = self._of.pop(name)
        if gone.leave(at, out):
            self.leaving.append(gone)


def _is_of_before(each: Registration, snapshot: Snapshot) -> bool:
    """Whether what has changed may mend it, or closes its connection as soon as no call is on that."""
    return each.state == "failed" or each.generation != snapshot.trust_generations[each.trunk.trunk]
