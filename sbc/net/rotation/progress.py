"""How far the rotations of a running SBC are: what is staged and bound, and what handshakes tell of peers.

What that means for a step is decided in ``sbc.tls.lifetime.rotation``; the steps are the rotator's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.net.rotation.readiness import readiness
from sbc.net.rotation.without import Without
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.tls.events import Handshake, HandshakeFailed
from sbc.tls.failure import alert_name
from sbc.tls.ledger import Ledger
from sbc.tls.lifetime.rotation import STATE, WINDOW, Key, Readiness, Rotation
from sbc.tls.lifetime.staged import staged_name
from sbc.tls.material.problems import day

# The alerts by which a peer says that it does not take our certificate (RFC 8446 6.2).
_OURS = frozenset((42, 43, 44, 45, 46, 48))
Say = Callable[[str, str, dict[str, Any]], object]


class Progress:
    """The rotations and what is known of them, kept over a restart.

    ``ledger`` knows what the trunks' peers accept and presented.
    """

    def __init__(
        self, snapshots: SnapshotStore, saved: Store, clock: Clock, say: Say, ledger: Ledger
    ) -> None:
        self.rotation = Rotation()
        self._shelf = saved.shelf(STATE, self.rotation.restore_entry, lambda: self.rotation.to_json())
        self.without = Without(clock)
        self._snapshots = snapshots
        self._clock = clock
        self._say = say
        self._ledger = ledger
        self._before: dict[str, Any] = {}

    def adopt(self, fresh: Snapshot) -> Snapshot:
        """A snapshot just built, with what is staged in it noted and the bindings in force."""
        before = set(self.rotation.entries)
        self._before = self.rotation.to_json()
        staged: dict[Key, Collection[str]] = {
            ("identities", name): (fresh.identities[staged_name(name)].thumbprint,)
            for name in fresh.settings.identities
            if staged_name(name) in fresh.identities
        }
        for name, anchor in fresh.anchors.items():
            if anchor.coming is not None:
                staged["trust", name] = anchor.coming.thumbprints
        lives = {key: life_of(fresh, key, set(each)) for key, each in staged.items()}
        new = self.rotation.notice(staged, self._clock.now(), lives)
        for key in new:
            self.tell(key, "staged", until=day(self.rotation.entries[key].until))
            if key[0] == "trust":
                self._recall(fresh, key)
        if new or before != set(self.rotation.entries):
            self.save()
        return fresh.binding(self.rotation.bindings())

    def take_back(self) -> None:
        """The snapshot adopted last does not come into force: the rotations are as they were."""
        self.restore(self._before)

    def _recall(self, fresh: Snapshot, key: Key) -> None:
        """What peers presented before the staging: who has not come back since needs the old one too."""
        recent = self._clock.now() - WINDOW
        for trunk, found in fresh.trunks.items():
            if found.tls is None or key[1] not in found.tls.trust:
                continue
            for shown in self._ledger.presented(trunk):
                if shown.last >= recent:
                    good = self.without.good_shown(fresh, key, trunk, shown)
                    self.rotation.hear(key, trunk, shown.direction, shown.host, good, shown.last)

    # What handshakes tell

    def handshake(self, event: Handshake) -> None:
        """A good handshake: the peer took what it was shown, and showed what it has."""
        worth = False
        for key, entry in self.rotation.entries.items():
            section, name = key
            if section == "identities":
                if event.facts.identity not in (name, staged_name(name)):
                    continue
                # By what was shown, not by its name: that changes when it is retired or comes back.
                good = event.facts.own in entry.material
            elif event.chain and name in self._snapshots.current.trusted_by(event.trunk):
                good = self.without.good(self._snapshots.current, key, event)
            else:
                continue
            sni = event.facts.sni if event.direction == "outbound" else ""
            host = sni or event.remote.host
            worth |= self.rotation.hear(key, event.trunk, event.direction, host, good, event.at)
        if worth:
            self.save()

    def handshake_failed(self, event: HandshakeFailed) -> None:
        """A failed handshake: perhaps the peer refused what it was shown."""
        if event.alert_received not in _OURS:
            return
        for key, entry in self.rotation.entries.items():
            shown = set(event.candidates) & set(self._snapshots.current.users(key[1]))
            if key[0] == "identities" and shown and shown <= entry.bound.keys():
                for trunk in shown:
                    why = f"{event.direction} {event.remote.host}: alert {alert_name(event.alert_received)}"
                    self.rotation.hear_refusal(key, trunk, why, event.at)
                self.save()

    # What the steps ask

    def rows(self, key: Key) -> list[Readiness]:
        """How far each trunk is that the entry matters to."""
        return readiness(self.rotation, self._snapshots.current, self._ledger, key)

    def restore(self, before: dict[str, Any]) -> None:
        """Go back to what ``rotation.to_json`` gave."""
        self.rotation = Rotation.from_json(before)
        self.save()

    def save(self) -> None:
        """Write down what has changed, soon."""
        self._shelf.changed()

    def write_down(self) -> None:
        """Write down what has changed, and come back when it is on the disk."""
        self._shelf.changed()
        self._shelf.wait()

    def tell(self, key: Key, event: str, **more: object) -> None:
        """Say in the journal what became of a rotation."""
        self._say("INF", "[rotation]", {"entry": "/".join(key), "event": event, **more})


def life_of(snapshot: Snapshot, key: Key, material: Collection[str]) -> float:
    """How long the certificates with these thumbprints last, the shortest-lived of them; seconds."""
    section, name = key
    if section == "trust":
        anchor = snapshot.anchors.get(name)
        known = [each.identity for each in anchor.facts] if anchor is not None else []
        lives = [each.not_after - each.not_before for each in known if each.thumbprint in material]
    else:
        shown = (snapshot.identities.get(each) for each in (name, staged_name(name)))
        ours = [each for each in shown if each is not None and each.thumbprint in material]
        lives = [each.not_after - each.not_before for each in ours]
    return min(lives, default=3 * WINDOW)
