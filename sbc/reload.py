"""The one door by which a configuration comes into force while calls run.

It is built off the hub, adopted by whoever adds what it knows (the rotations: what is staged is bound to
whom), and taken by the gates, who may refuse it (a port that cannot be bound). Only then is the one
reference swapped, and the followers do what it says. Whoever moves files first takes the lock.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import gevent
from gevent.lock import RLock
from pydantic import BaseModel

from dsl.breath import breathing
from dsl.errors import Diagnostic
from sbc.b2bua.commands import Note
from sbc.base import ConfigError, LocalError
from sbc.config.emptied import emptied
from sbc.config.load import build_snapshot
from sbc.config.quarantine import changes, told
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.config.switched import switched
from sbc.net.system.clock import Clock
from sbc.observe.recorder import Recorder

# Seconds: how soon a thread that waits gets the interpreter, and how long the builder works at a stretch.
_CHANGE_OVER, _WORK = 0.0005, 0.001
#: Of the settings that cannot change while we run, what does nevertheless, for new calls.
_FOLLOWED = ("media.one_way",)
_ENDS = "Portcullis is about to end"
Follower = Callable[[Snapshot], None]


class Adopter(Protocol):
    """Who makes a snapshot complete that was just built."""

    def adopt(self, fresh: Snapshot) -> Snapshot:
        """The snapshot with what is known beside the files."""

    def take_back(self) -> None:
        """What was adopted last does not come into force."""


class Reload:
    """Reads the configuration of ``directory`` again; a broken one changes nothing.

    ``adopters``, ``gates`` and ``followers`` are asked in their order; of them only a gate may raise
    LocalError, and what the gates before it have done is theirs to undo. All of it happens within ``around``.
    """

    def __init__(self, directory: Path, snapshots: SnapshotStore, clock: Clock, recorder: Recorder) -> None:
        self.lock = RLock()
        self.adopters: list[Adopter] = []
        self.gates: list[Follower] = []
        self.followers: list[Follower] = []
        self.around: Callable[[], AbstractContextManager[object]] = nullcontext
        self._directory = directory
        self._snapshots = snapshots
        self._clock = clock
        self._recorder = recorder
        self._fixed = snapshots.current.settings
        self._warned: tuple[Diagnostic, ...] = ()
        self.refused = ""  # the first mistake of the last reading
        self._read_at, self._dated = clock.now(), snapshots.current.dated
        self._over = False

    def __call__(self, force: bool = False) -> dict[str, Any]:
        """Read it again and put it in force; running calls keep theirs. What came of it, with its lines.

        One that has lost all its rules, or the like, is refused unless ``force`` insists on it.
        """
        with self.lock, self.around():
            former = self._snapshots.current
            self._read_at = self._clock.now()
            try:
                fresh = build_beside_calls(self._directory, self._read_at, former)
                self._dated = fresh.dated
                lost = () if force is True else tuple(emptied(former, fresh))
                if lost:
                    raise ConfigError(lost)
                if self._over:  # meanwhile: nothing is opened anew of what is being closed
                    return self._refuse((), [_ENDS])
                for adopter in self.adopters:
                    fresh = adopter.adopt(fresh)
                if fresh.version != former.version:
                    self._put_in_force(fresh)
            except ConfigError as error:
                wrong = [each for each in error.diagnostics if each.severity == "error"]
                return self._refuse(wrong, str(error).splitlines())
            except LocalError as error:
                return self._refuse([error], [str(error)])
        return self._report(former, fresh)

    def tick(self, now: float) -> None:
        """Read it again where the clock has come past a date for which something could not be used."""
        if any((self._read_at < each) != (now < each) for each in self._dated):
            self._read_at = now
            gevent.spawn(self)

    def end(self) -> None:
        """We stop: from now on nothing comes into force."""
        self._over = True

    def amend(self, change: Callable[[Snapshot], Snapshot]) -> None:
        """Put in force what ``change`` makes of the snapshot that is; LocalError where that cannot be."""
        with self.lock:
            former = self._snapshots.current
            fresh = change(former)
            if fresh.version != former.version:
                for gate in self.gates:
                    gate(fresh)
                self._follow(fresh)
        self.tell(former, fresh)

    def _put_in_force(self, fresh: Snapshot) -> None:
        try:
            for gate in self.gates:
                gate(fresh)
        except LocalError:
            for adopter in self.adopters:
                adopter.take_back()
            raise
        self._follow(fresh)

    def _follow(self, fresh: Snapshot) -> None:
        self._snapshots.swap(fresh)
        for follower in self.followers:
            follower(fresh)

    # What the operator is told

    def tell(self, former: Snapshot | None, fresh: Snapshot) -> None:
        """Say what a configuration that is now in force warns of; each warning once."""
        for each in fresh.warnings:
            if each not in self._warned:
                level = "WRN" if each.severity == "warning" else "ERR"
                self._say(level, {"text": str(each).splitlines()[0], "hint": each.hint or None}, "[check]")
        self._warned = fresh.warnings
        for event, trunk, why in (*changes(former, fresh), *switched(former, fresh)):
            fields = {"trunk": trunk} | ({"reason": why} if why else {})
            self._recorder.note(Note(event, "", fields), None, self._clock.now())

    def _report(self, former: Snapshot, fresh: Snapshot) -> dict[str, Any]:
        same = fresh.version == former.version
        text = f"version {fresh.version} " + ("is unchanged" if same else f"replaces {former.version}")
        if self.refused:
            self._say(
                "INF", {"text": "the files that were refused are right again", "version": fresh.version}
            )
            self.refused = ""
        if not same:
            self._say("INF", {"version": fresh.version, "former": former.version})
        self.tell(former, fresh)
        waiting = [f"sbc.yaml: {key} takes effect at the next start" for key in self._unchangeable(fresh)]
        for line in waiting:
            self._say("WRN", {"text": line})
        lines = [*map(str, fresh.warnings), *told(fresh), *waiting, text]
        broken = sorted({*fresh.quarantined, *fresh.held})
        found = [asdict(each) for each in fresh.warnings]
        return {
            "changed": True, "version": fresh.version, "lines": lines, "broken": broken, "diagnostics": found
        }  # fmt: skip

    def _unchangeable(self, fresh: Snapshot) -> list[str]:
        """The settings that differ from those we started with and cannot change while we run."""
        keys = []
        for key in ("media", "admin", "metrics", "control", "state"):
            then, now = getattr(self._fixed, key), getattr(fresh.settings, key)
            if isinstance(then, BaseModel) and isinstance(now, BaseModel):
                names = type(then).model_fields
                keys += [f"{key}.{name}" for name in names if getattr(then, name) != getattr(now, name)]
                keys = [each for each in keys if each not in _FOLLOWED]
            elif then != now:
                keys.append(key)
        return keys

    def _refuse(self, wrong: Sequence[object], lines: list[str]) -> dict[str, Any]:
        version = self._snapshots.current.version
        self.refused = str(wrong[0]).splitlines()[0] if wrong else "; ".join(lines)
        for each in wrong:
            hint = each.hint or None if isinstance(each, Diagnostic) else None
            self._say("ERR", {"refused": str(each).splitlines()[0], "hint": hint})
        found = [asdict(each) for each in wrong if isinstance(each, Diagnostic)]
        lines = lines + [f"refused; version {version} stays"]
        return {"changed": False, "version": version, "lines": lines, "broken": [], "diagnostics": found}

    def _say(self, level: Any, fields: dict[str, Any], tag: str = "[reload]") -> None:
        self._recorder.journal.event(level, tag, fields, self._clock.now())


def build_beside_calls(directory: Path, now: float, former: Snapshot) -> Snapshot:
    """Build a snapshot in a thread, such that what runs meanwhile does not notice; ConfigError.

    The interpreter changes over quickly, and collects nothing: what was built has no cycles, is freed by its
    reference counts, and is not looked through afterwards either.
    """
    switch = sys.getswitchinterval()
    sys.setswitchinterval(_CHANGE_OVER)
    gc.disable()
    try:
        pool = gevent.get_hub().threadpool
        built: Snapshot | ConfigError = pool.apply(_try_build, (directory, now, former))
    finally:
        gc.freeze()
        gc.enable()
        sys.setswitchinterval(switch)
    if isinstance(built, ConfigError):
        raise built
    return built


class _Pause:
    """Rests twice as long as it has worked: what carries calls has the interpreter for itself meanwhile."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def __call__(self) -> None:
        if time.perf_counter() - self._since >= _WORK:
            time.sleep(2 * _WORK)
            self._since = time.perf_counter()


def _try_build(directory: Path, now: float, former: Snapshot) -> Snapshot | ConfigError:
    """Build a snapshot in the thread pool, which would print what is raised there."""
    try:
        with breathing(_Pause()):
            return build_snapshot(directory, now, former)
    except ConfigError as error:
        return error
