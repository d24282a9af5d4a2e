"""Carries out the steps of rotations in the running SBC.

What may be done when is decided in ``sbc.tls.lifetime.rotation``; the files are moved by
``sbc.config.staging``. Here is what lies between: every step is taken under the lock of the reload,
written down first, and then put in force by a reload, the one door. A reload that refuses takes the
step back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent

from sbc.base import LocalError
from sbc.config import staging
from sbc.config.snapshot import SnapshotStore
from sbc.flow import Flow
from sbc.net.handler import Edge
from sbc.net.rotation.progress import Progress, Say, life_of
from sbc.net.rotation.readiness import users
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.tls.ledger import Ledger
from sbc.tls.lifetime.rotation import Key
from sbc.tls.lifetime.staged import OLD

_DRAIN = 10.0


class Rotator:
    """The rotations of a running SBC; ``reload`` is its one door and ``lock`` what guards that door.

    ``progress`` is how far they are, ``edges`` have the connections.
    """

    def __init__(
        self, snapshots: SnapshotStore, saved: Store, clock: Clock, say: Say,
        reload: Callable[[], dict[str, Any]], lock: AbstractContextManager[Any], ledger: Ledger,
        edges: Sequence[Edge] = (),
    ) -> None:  # fmt: skip
        self._snapshots = snapshots
        self._clock = clock
        self._door = reload
        self._lock = lock
        self._edges = edges
        self.progress = Progress(snapshots, saved, clock, say, ledger)
        for name, files in snapshots.current.settings.identities.items():
            if staging.finish(files, snapshots.current.directory, clock.now()):
                self.progress.tell(("identities", name), "the interrupted move was finished")

    # The steps

    def staged(self, name: str, until: float | None = None) -> dict[str, Any]:
        """Note what was put beside the files of ``name``; ``until`` (POSIX seconds) ends its window."""
        with self._lock:
            self._reload()
            key = self._find(name, self.progress.rotation.entries)
            if until is not None:
                self.progress.rotation.entries[key].until = until
                self.progress.write_down()
        return self.ready(name)

    def bind(self, name: str, trunk: str = "", every: bool = False) -> dict[str, Any]:
        """Show what is staged for the identity ``name`` to ``trunk``, or to every trunk that has it."""
        with self._lock:
            self._reload()
            key = self._find(name, self.progress.rotation.entries)
            if key[0] == "trust":
                raise LocalError(f"{name} is a trust entry: what is staged for it is trusted already")
            chosen = self._chosen(key[1], trunk, every)
            self._change(lambda: self.progress.rotation.bind(key[1], chosen, self._clock.now()))
            self.progress.tell(key, "bound", trunk=",".join(chosen))
        return self.ready(name)

    def ready(self, name: str) -> dict[str, Any]:
        """How far each trunk is with the rotation of ``name``; LocalError where nothing is staged."""
        key = self._find(name, self.progress.rotation.entries)
        entry, rows = self.progress.rotation.entries[key], self.progress.rows(key)
        return {
            "section": key[0], "name": key[1], "staged": entry.staged, "until": entry.until,
            "days_left": entry.days_left(self._clock.now()), "ready": all(each.ready for each in rows),
            "trunks": [asdict(each) for each in rows],
        }  # fmt: skip

    def retire(self, name: str, force: bool = False) -> dict[str, Any]:
        """Let what is staged take the old one's place; LocalError while a peer needs the old one."""
        with self._lock:
            self._reload()
            key = self._find(name, self.progress.rotation.entries)
            if not force:
                self._object(key)
            paths = self._paths(key)
            self._off_hub(staging.retire, paths)
            self.progress.rotation.retire(key)
            self.progress.write_down()
            try:
                self._reload()
            except LocalError:
                self._off_hub(staging.roll_back, paths)
                material = self.progress.rotation.retired[key].material
                life = life_of(self._snapshots.current, key, material)
                self.progress.rotation.restore(key, material, self._clock.now(), life)
                self.progress.write_down()
                self._door()
                raise
            self.progress.tell(key, "retired", forced=force or None)
        return {"section": key[0], "name": key[1], "kept": [f"{each}{OLD}" for each in map(str, paths)]}

    def rollback(self, name: str, trunk: str = "") -> dict[str, Any]:
        """One step back: unbind ``trunk`` (or all); where nothing is staged, the old one comes back."""
        with self._lock:
            self._reload()
            current = self._snapshots.current
            old = staging.returnable(current.settings, current.directory)
            key = self._find(name, {**self.progress.rotation.entries, **dict.fromkeys(old)})
            entry = self.progress.rotation.entries.get(key)
            if entry is None:
                self._bring_back(key)
            elif entry.bound:
                trunks = [trunk] if trunk else sorted(entry.bound)
                if trunk and trunk not in entry.bound:
                    raise LocalError(f"trunk {trunk!r} is not bound to it; {', '.join(trunks)} would be")
                self._change(lambda: self.progress.rotation.unbind(key[1], trunks))
                self.progress.tell(key, "unbound", trunk=",".join(trunks))
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
        self.progress.rotation.restore(key, material, self._clock.now(), life_of(current, key, material))
        self.progress.write_down()
        try:
            self._reload()
        except LocalError:
            self._off_hub(staging.retire, paths)
            self._door()
            raise
        self.progress.tell(key, "rolled back")

    def _object(self, key: Key) -> None:
        """LocalError while a peer needs the old one; what still stands on it is recycled meanwhile."""
        standing = self._standing(key) if key[0] == "trust" else []
        for edge, flow in standing:
            edge.recycle(flow, f"the trust entry {key[1]} is rolled over")
        behind = [each for each in self.progress.rows(key) if not each.ready]
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
        return [each for each in flows if not self.progress.without.good_flow(snapshot, key, each[1])]

    # Everyday matters

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
        before = self.progress.rotation.to_json()
        step()
        self.progress.write_down()
        try:
            self._reload()
        except LocalError:
            self.progress.restore(before)
            raise

    def _reload(self) -> None:
        answer = self._door()
        if not answer["changed"]:
            raise LocalError("; ".join(["the configuration is refused as it is now", *answer["lines"]]))

    def _off_hub(self, function: Callable[[list[Path]], None], paths: list[Path]) -> None:
        failed = gevent.get_hub().threadpool.apply(_attempt, (function, paths))
        if failed:
            raise LocalError(failed)


def _attempt(function: Callable[[list[Path]], None], paths: list[Path]) -> str:
    # What is raised in the pool would be printed there.
    try:
        function(paths)
    except LocalError as error:
        return str(error)
    return ""
