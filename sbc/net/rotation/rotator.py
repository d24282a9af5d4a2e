"""Carries out the steps of rotations in the running SBC, and hears in handshakes how far each peer is.

What may be done when is decided in ``sbc.tls.lifetime.rotation``; the files are moved by
``sbc.config.staging``. Here is what lies between: every step is taken under the lock of the reload,
written down first, and then put in force by a reload, the one door. A reload that refuses takes the
step back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import gevent

from sbc.base import LocalError
from sbc.config import staging
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.flow import Flow
from sbc.net.handler import Edge
from sbc.net.rotation.readiness import readiness, users
from sbc.net.rotation.without import Without
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.tls.events import Handshake, HandshakeFailed
from sbc.tls.failure import alert_name
from sbc.tls.ledger import Ledger
from sbc.tls.lifetime.rotation import STATE, WINDOW, Key, Readiness, Rotation
from sbc.tls.lifetime.staged import OLD, staged_name
from sbc.tls.material.problems import day

_DRAIN = 10.0
# The alerts by which a peer says that it does not take our certificate (RFC 8446 6.2).
_OURS = frozenset((42, 43, 44, 45, 46, 48))
Say = Callable[[str, str, dict[str, Any]], object]
T = TypeVar("T")


class Rotator:
    """The rotations of a running SBC; ``reload`` is its one door and ``lock`` what guards that door.

    ``ledger`` knows what the trunks' peers accept and presented, ``edges`` have the connections.
    """

    def __init__(
        self, snapshots: SnapshotStore, saved: Store, clock: Clock, say: Say,
        reload: Callable[[], dict[str, Any]], lock: AbstractContextManager[Any], ledger: Ledger,
        edges: Sequence[Edge] = (),
    ) -> None:  # fmt: skip
        self._snapshots = snapshots
        self._saved = saved
        self._clock = clock
        self._say = say
        self._door = reload
        self._lock = lock
        self._ledger = ledger
        self._edges = edges
        self._without = Without(clock)
        self.rotation = Rotation.from_json(saved.load(STATE))
        self._before: dict[str, Any] = {}
        for name, files in snapshots.current.settings.identities.items():
            if staging.finish(files, snapshots.current.directory, clock.now()):
                self._tell(("identities", name), "the interrupted move was finished")

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
        lives = {key: _life(fresh, key, set(each)) for key, each in staged.items()}
        new = self.rotation.notice(staged, self._clock.now(), lives)
        for key in new:
            self._tell(key, "staged", until=day(self.rotation.entries[key].until))
            if key[0] == "trust":
                self._recall(fresh, key)
        if new or before != set(self.rotation.entries):
            self._save()
        return fresh.binding(self.rotation.bindings())

    def take_back(self) -> None:
        """The snapshot adopted last does not come into force: the rotations are as they were."""
        self.rotation = Rotation.from_json(self._before)
        self._save()

    def _recall(self, fresh: Snapshot, key: Key) -> None:
        """What peers presented before the staging: who has not come back since needs the old one too."""
        recent = self._clock.now() - WINDOW
        for trunk, found in fresh.trunks.items():
            if found.tls is None or key[1] not in found.tls.trust:
                continue
            for shown in self._ledger.presented(trunk):
                if shown.last >= recent:
                    good = self._without.good_shown(fresh, key, trunk, shown)
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
                good = self._without.good(self._snapshots.current, key, event)
            else:
                continue
            sni = event.facts.sni if event.direction == "outbound" else ""
            host = sni or event.remote.host
            worth |= self.rotation.hear(key, event.trunk, event.direction, host, good, event.at)
        if worth:
            self._save()

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
                self._save()

    # The steps

    def staged(self, name: str, until: float | None = None) -> dict[str, Any]:
        """Note what was put beside the files of ``name``; ``until`` (POSIX seconds) ends its window."""
        with self._lock:
            self._reload()
            key = self._find(name, self.rotation.entries)
            if until is not None:
                self.rotation.entries[key].until = until
                self._save()
        return self.ready(name)

    def bind(self, name: str, trunk: str = "", every: bool = False) -> dict[str, Any]:
        """Show what is staged for the identity ``name`` to ``trunk``, or to every trunk that has it."""
        with self._lock:
            self._reload()
            key = self._find(name, self.rotation.entries)
            if key[0] == "trust":
                raise LocalError(f"{name} is a trust entry: what is staged for it is trusted already")
            chosen = self._chosen(key[1], trunk, every)
            self._change(lambda: self.rotation.bind(key[1], chosen, self._clock.now()))
            self._tell(key, "bound", trunk=",".join(chosen))
        return self.ready(name)

    def ready(self, name: str) -> dict[str, Any]:
        """How far each trunk is with the rotation of ``name``; LocalError where nothing is staged."""
        key = self._find(name, self.rotation.entries)
        entry, rows = self.rotation.entries[key], self._rows(key)
        return {
            "section": key[0], "name": key[1], "staged": entry.staged, "until": entry.until,
            "days_left": entry.days_left(self._clock.now()), "ready": all(each.ready for each in rows),
            "trunks": [asdict(each) for each in rows],
        }  # fmt: skip

    def retire(self, name: str, force: bool = False) -> dict[str, Any]:
        """Let what is staged take the old one's place; LocalError while a peer needs the old one."""
        with self._lock:
            self._reload()
            key = self._find(name, self.rotation.entries)
            if not force:
                self._object(key)
            paths = self._paths(key)
            self._off_hub(staging.retire, paths)
            self.rotation.retire(key)
            self._save()
            try:
                self._reload()
            except LocalError:
                self._off_hub(staging.roll_back, paths)
                material = self.rotation.retired[key].material
                life = _life(self._snapshots.current, key, material)
                self.rotation.restore(key, material, self._clock.now(), life)
                self._save()
                self._door()
                raise
            self._tell(key, "retired", forced=force or None)
        return {"section": key[0], "name": key[1], "kept": [f"{each}{OLD}" for each in map(str, paths)]}

    def rollback(self, name: str, trunk: str = "") -> dict[str, Any]:
        """One step back: unbind ``trunk`` (or all); where nothing is staged, the old one comes back."""
        with self._lock:
            self._reload()
            current = self._snapshots.current
            old = staging.returnable(current.settings, current.directory)
            key = self._find(name, {**self.rotation.entries, **dict.fromkeys(old)})
            entry = self.rotation.entries.get(key)
            if entry is None:
                self._bring_back(key)
            elif entry.bound:
                trunks = [trunk] if trunk else sorted(entry.bound)
                if trunk and trunk not in entry.bound:
                    raise LocalError(f"trunk {trunk!r} is not bound to it; {', '.join(trunks)} would be")
                self._change(lambda: self.rotation.unbind(key[1], trunks))
                self._tell(key, "unbound", trunk=",".join(trunks))
            else:
                files = ", ".join(f"{each}.next" for each in self._paths(key))
                raise LocalError(f"{name} is only staged: delete {files} to withdraw it")
        return self.ready(name)

    def _bring_back(self, key: Key) -> None:
        current = self._snapshots.current
        section, name = key
        if section == "identities":
            material = {current.identities[name].thumbprint} if name in current.identities else set()
        else:
            material = set(current.anchors[name].thumbprints) if name in current.anchors else set()
        paths = self._paths(key)
        self._off_hub(staging.roll_back, paths)
        self.rotation.restore(key, material, self._clock.now(), _life(current, key, material))
        self._save()
        try:
            self._reload()
        except LocalError:
            self._off_hub(staging.retire, paths)
            self._door()
            raise
        self._tell(key, "rolled back")

    def _object(self, key: Key) -> None:
        """LocalError while a peer needs the old one; what still stands on it is recycled meanwhile."""
        standing = self._standing(key) if key[0] == "trust" else []
        for edge, flow in standing:
            edge.recycle(flow, f"the trust entry {key[1]} is rolled over")
        behind = [each for each in self._rows(key) if not each.ready]
        if behind:
            who = "; ".join(f"{each.trunk}: {each.state}: {each.detail}" for each in behind)
            again = ", whose connections are renewed now: say the same again in a moment" if standing else ""
            raise LocalError(f"not ready: {who}{again}. --force retires the old one all the same")
        deadline = self._clock.monotonic() + _DRAIN
        while any(flow.alive for _, flow in standing) and self._clock.monotonic() < deadline:
            gevent.sleep(0.1)
        left = sum(flow.alive for _, flow in standing)
        if left:
            what = f"{left} connections still stand on the old one and close between transactions"
            raise LocalError(f"{what}: say the same again in a moment, or --force to cut them")

    def _standing(self, key: Key) -> list[tuple[Edge, Flow]]:
        """The connections that only the old material vouches for."""
        snapshot = self._snapshots.current
        trunks = users(snapshot, key)
        flows = [(edge, flow) for edge in self._edges for flow in edge.flows if flow.trunk in trunks]
        return [each for each in flows if not self._without.good_flow(snapshot, key, each[1])]

    # Everyday matters

    def _rows(self, key: Key) -> list[Readiness]:
        return readiness(self.rotation, self._snapshots.current, self._ledger, key)

    def _chosen(self, name: str, trunk: str, every: bool) -> tuple[str, ...]:
        users = self._snapshots.current.users(name)
        if every:
            return users
        if trunk not in users:
            shown = ", ".join(users) or "nobody"
            raise LocalError(f"trunk {trunk!r} is not shown {name}; it is shown to {shown}")
        return (trunk,)

    def _find(self, name: str, among: Iterable[Key]) -> Key:
        found = [key for key in among if name in (key[1], "/".join(key))]
        if len(found) == 1:
            return found[0]
        if found:
            both = " or ".join(map("/".join, found))
            raise LocalError(f"an identity and a trust entry are called {name}: say {both}")
        raise LocalError(f"nothing is staged for {name!r}; `sbc certs` shows what is")

    def _paths(self, key: Key) -> list[Path]:
        snapshot = self._snapshots.current
        return staging.paths_of(snapshot.settings, snapshot.directory, key)

    def _change(self, step: Callable[[], object]) -> None:
        before = self.rotation.to_json()
        step()
        self._save()
        try:
            self._reload()
        except LocalError:
            self.rotation = Rotation.from_json(before)
            self._save()
            raise

    def _reload(self) -> None:
        answer = self._door()
        if not answer["changed"]:
            raise LocalError("; ".join(["the configuration is refused as it is now", *answer["lines"]]))

    def _off_hub(self, function: Callable[[list[Path]], None], paths: list[Path]) -> None:
        failed = gevent.get_hub().threadpool.apply(_attempt, (function, paths))
        if failed:
            raise LocalError(failed)

    def _save(self) -> None:
        self._saved.save(STATE, self.rotation.to_json())

    def _tell(self, key: Key, event: str, **more: object) -> None:
        self._say("INF", "[rotation]", {"entry": "/".join(key), "event": event, **more})


def _life(snapshot: Snapshot, key: Key, material: Collection[str]) -> float:
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


def _attempt(function: Callable[[list[Path]], None], paths: list[Path]) -> str:
    # What is raised in the pool would be printed there.
    try:
        function(paths)
    except LocalError as error:
        return str(error)
    return ""
