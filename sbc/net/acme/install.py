"""How an ordered certificate comes into force: by rotation, with a step back, where there is one already.

A renewed one is staged beside the one in use, bound to every trunk at once, and takes the old one's
place when every peer has been seen to accept it. Where one has not come by, the old one is retired
all the same when a sixth of its lifetime is left: no peer is still shown it, and its days would be
alarms about nothing. The first one has no predecessor and is put in place at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import gevent

from sbc.base import LocalError
from sbc.config.model import Identity
from sbc.config.snapshot import SnapshotStore
from sbc.config.staging import put_pair
from sbc.net.rotation.rotator import Rotator
from sbc.net.system.clock import Clock
from sbc.net.system.whole_file import write_whole
from sbc.tls.lifetime.renewal import retire_at
from sbc.tls.lifetime.staged import load_staged, staged_name
from sbc.tls.material.identity import IdentityMaterial, load_identity


class Installer:
    """Puts certificates in force; ``reload`` is the one door and ``lock`` what guards it."""

    def __init__(
        self, snapshots: SnapshotStore, clock: Clock, rotator: Rotator,
        reload: Callable[[], dict[str, Any]], lock: AbstractContextManager[Any],
    ) -> None:  # fmt: skip
        self._snapshots = snapshots
        self._clock = clock
        self._rotator = rotator
        self._reload = reload
        self._lock = lock

    def newest(self, name: str) -> IdentityMaterial | None:
        """The certificate of identity ``name`` that was issued last and is good; None for none.

        It is on disk: where the configuration is refused for another reason, it need not be in force.
        """
        snapshot, now = self._snapshots.current, self._clock.now()
        files = snapshot.settings.identities[name]
        coming = snapshot.identities.get(staged_name(name))
        if coming is None:
            coming, _ = load_staged(name, files, snapshot.directory, now)
        if coming is not None:
            return coming
        if not all(os.path.exists(snapshot.directory / each) for each in (files.chain, files.key)):
            return None
        known = snapshot.identities.get(name)
        return known if known is not None else load_identity(name, files, snapshot.directory, now)[0]

    def install(self, name: str, key_pem: bytes, chain_pem: bytes) -> None:
        """Put a new key and chain of identity ``name`` in force; LocalError."""
        with self._lock:
            snapshot = self._snapshots.current
            files = snapshot.settings.identities[name]
            if name in snapshot.identities and self.newest(name) is not None:
                _off_hub(_stage, files, snapshot.directory, key_pem, chain_pem)
                self._rotator.staged(f"identities/{name}")
                self.bind(name)
                self.retire_when_due(name)
            else:
                _off_hub(_put, files, snapshot.directory, key_pem, chain_pem)
                self._reload()

    def staged(self, name: str) -> tuple[str, ...]:
        """The thumbprint of what is staged for ``name`` and not in its place yet; () for nothing."""
        entry = self._rotator.progress.rotation.entries.get(("identities", name))
        return entry.material if entry is not None else ()

    def bind(self, name: str) -> None:
        """Let every trunk be shown what is staged; LocalError."""
        self._rotator.bind(f"identities/{name}", every=True)

    def retire_when_due(self, name: str) -> None:
        """Let what is staged take the old one's place if it is time; LocalError."""
        latest = self.retires(name)
        if latest is None:
            return
        ready = self._rotator.ready(f"identities/{name}")["ready"]
        if ready or self._clock.now() >= latest:
            self._rotator.retire(f"identities/{name}", force=not ready)

    def retires(self, name: str) -> float | None:
        """When the old one is retired at the latest, POSIX seconds; None where nothing is staged."""
        if not self.staged(name):
            return None
        old = self._snapshots.current.identities.get(name)
        return 0.0 if old is None else retire_at(old.not_before, old.not_after)


def _off_hub(function: Callable[..., str], *arguments: object) -> None:
    wrong: str = gevent.get_hub().threadpool.apply(function, arguments)
    if wrong:
        raise LocalError(wrong)


def _stage(files: Identity, directory: Path, key_pem: bytes, chain_pem: bytes) -> str:
    # What is raised in the pool would be printed there.
    try:
        put_pair(files, directory, chain_pem, key_pem)
    except LocalError as error:
        return str(error)
    return ""


def _put(files: Identity, directory: Path, key_pem: bytes, chain_pem: bytes) -> str:
    """Key first: without its chain it is a pair that is still to come."""
    for name, data, mode in ((files.key, key_pem, 0o600), (files.chain, chain_pem, 0o644)):
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return f"{path.parent} cannot be made: {error.strerror}; let this user write there"
        wrong = write_whole(path, data, mode)
        if wrong:
            return f"{path} cannot be written: {wrong}; make room on its disk, or let this user write there"
    return ""
