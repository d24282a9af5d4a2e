"""Portcullis assembled: one directory of configuration becomes one running SBC.

Starting and reloading go through the same door, ``build_snapshot``: what ``sbc check`` accepts is
what runs. A configuration that is wrong changes nothing.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import RLock
from pydantic import BaseModel

from dsl.errors import Diagnostic
from sbc.admin.certificates import Certificates
from sbc.admin.status import picture, to_json
from sbc.b2bua.commands import Note
from sbc.b2bua.engine import Engine
from sbc.base import ConfigError, LocalError
from sbc.config.load import build_snapshot
from sbc.config.places import place_to_change
from sbc.config.quarantine import changes, told
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.config.watched import watched
from sbc.ids import Blocks, Ids
from sbc.net.acme.install import Installer
from sbc.net.acme.keeper import AcmeKeeper
from sbc.net.driver import Driver
from sbc.net.http_server import HttpServer
from sbc.net.media.embedded import MediaIO
from sbc.net.revocation.inquiry import Revocation
from sbc.net.rotation.rotator import Rotator
from sbc.net.system.clock import Clock
from sbc.net.system.control import ControlServer
from sbc.net.system.file_limit import raise_file_limit
from sbc.net.system.log_writer import LogWriter
from sbc.net.system.store import Store
from sbc.net.system.watch import Watch
from sbc.net.tls.contexts import Contexts
from sbc.net.transport.dialer import Dialer
from sbc.net.transport.listener import Listeners
from sbc.observe.journal import Journal
from sbc.observe.metrics import exposition
from sbc.observe.trust import TrustView, trust_views
from sbc.observe.views import StatusView
from sbc.recorder import Recorder
from sbc.sip.grammar import forget_recent
from sbc.tls.diagnosis import Direction, Failure
from sbc.tls.ledger import Ledger
from sbc.tls.optional import OptionalPeers
from webui import create_app

HOUSEKEEPING = 1.0
# Calls free their objects by reference count; the collector only has to find the odd cycle. With
# its default threshold it would look through every live call a hundred times a second.
COLLECT_AFTER = 50_000
# When the calls and transactions (RFC 3261 17: 32 s) of a replaced configuration are mostly over.
OUTLIVED = 40.0
DRAIN = 5.0
# What every handshake changes is written at most so often.
LEDGER, OPTIONAL, LEDGER_EVERY = "ledger", "optional", 10.0
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it


def _try_build(directory: Path, now: float, former: Snapshot) -> Snapshot | ConfigError:
    """Build a snapshot in the thread pool, which would print what is raised there."""
    try:
        return build_snapshot(directory, now, former)
    except ConfigError as error:
        return error


class Portcullis:
    """One SBC process."""

    def __init__(self, directory: Path) -> None:
        raise_file_limit()
        self.directory = directory
        self.clock = Clock()
        self.started = self.clock.now()
        self.stopping = Event()
        self._log = LogWriter(sys.stdout.fileno())
        self._reloading = RLock()
        snapshot = build_snapshot(directory, self.started)
        self.store = SnapshotStore(snapshot)
        self._fixed = snapshot.settings
        self.state = self._directory(snapshot.settings.state)
        self._records = LogWriter(self._open_records())
        self.recorder = Recorder(Journal(self._log), self._records)
        self.recorder.place = self._place
        self.saved = Store(self.state, lambda text: self._say("ERR", "[state]", {"text": text}))
        self._restore_observed()
        self.rotator = Rotator(self.store, self.saved, self.clock, self._say, self.reload, self._reloading)
        self.store.swap(snapshot := self.rotator.adopt(snapshot))
        self.media = MediaIO(snapshot.settings.media, Ids(os.urandom), self.clock)
        self.engine = Engine(self.store, Ids(Blocks(os.urandom)))
        self.driver = Driver(self.engine, self.media, self.recorder, self.clock)
        self.revocation = Revocation(self.clock, self.recorder, self.saved)
        self.listeners = Listeners(snapshot, Contexts(snapshot, self.revocation), self.driver, self.clock)
        self.dialer = self.driver.dialer = Dialer(self.listeners, self.driver, self.clock)
        self.revocation.flows = lambda: (*self.listeners.flows, *self.dialer.flows)
        self.certificates = Certificates(self)
        self.rotator.asked, self.rotator.presented = self.certificates.asked, self.certificates.presented
        self.rotator.watch(self.listeners, self.dialer)
        self.driver.watchers.append(self.rotator)
        installer = Installer(self.store, self.clock, self.rotator, self.reload, self._reloading)
        self.acme = AcmeKeeper(self.store, self.saved, self.clock, self._say, installer)
        self.watch = Watch(lambda: watched(directory), self._on_change)
        self.control = ControlServer(directory / snapshot.settings.control, self._verbs())
        self._web: HttpServer | None = None
        self._tidied = True
        self._tidy_at = math.inf
        self._ledger_due = 0.0
        self._warned: tuple[Diagnostic, ...] = ()

    def _directory(self, name: str) -> Path:
        path = self.directory / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LocalError(f"cannot make the state directory {path}: {error.strerror}") from None
        return path

    def _open_records(self) -> int:
        path = self.state / "calls.jsonl"
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        except OSError as error:
            raise LocalError(f"cannot write the call records {path}: {error.strerror}") from None

    # Life

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit status."""
        try:
            self.start()
            self.stopping.wait()
        finally:
            self.stop()
        return 0

    def start(self) -> None:
        """Bind everything; LocalError, one line, where something cannot be."""
        self.watch.start()
        self.control.start()
        self.revocation.start()
        self.listeners.start()
        self.dialer.start()
        self._start_web()
        self.acme.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self.stopping.set)
        gevent.signal_handler(signal.SIGHUP, gevent.spawn, self.reload)
        gevent.spawn(self._housekeeping)
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, 20, 20)
        snapshot = self.store.current
        self._say("INF", "[start]", {"version": snapshot.version, "directory": self.directory.resolve()})
        self._tell_warnings(snapshot)
        self._tell_quarantine(None, snapshot)
        # What changed on disk between the first reading and the watch would otherwise go unnoticed.
        gevent.spawn(self.reload)

    def stop(self) -> None:
        """Hang up what still runs, close everything, write what waits."""
        self.watch.close()
        self.acme.stop()
        self.engine.draining = True
        for call in list(self.engine.calls):
            self.driver.run(self.engine.end_call, call, "the SBC is shutting down")
        self.control.stop()
        if self._web is not None:
            self._web.stop()
        self.listeners.close()
        self.dialer.close()
        deadline = self.clock.monotonic() + DRAIN
        while (self.listeners.flows or self.dialer.flows) and self.clock.monotonic() < deadline:
            gevent.sleep(0.05)
        self.media.close()
        self._ledger_due = 0.0
        self._save_observed(self.clock.now())
        self.revocation.close()
        self.saved.flush()
        self._say("INF", "[stop]", {})
        self._log.flush()
        self._records.flush()

    def _start_web(self) -> None:
        admin = self.store.current.settings.admin
        if admin is None:
            return
        try:
            names = ("localhost", admin.bind.host, *admin.hosts)
            self._web = HttpServer(admin.bind, create_app(self), names)
            self._web.start()
        except OSError as error:
            text = (
                f"cannot bind the admin page to {admin.bind}: {error.strerror}; change admin.bind in sbc.yaml"
            )
            raise LocalError(text) from None

    def _housekeeping(self) -> None:
        while True:
            gevent.sleep(HOUSEKEEPING)
            now = self.clock.now()
            self.recorder.journal.stats(self.status, now)
            self.driver.run(self.engine.probe)
            self._tidy(now)
            self._save_observed(now)
            self.certificates.tick(now)
            for call in self.media.idle(now):
                self.driver.run(self.engine.media_idle, call)

    def _tidy(self, now: float) -> None:
        """Give back memory: the busy hour's after its last call, a replaced configuration's after a while.

        A full collection also empties the interpreter's free lists, which pin its arenas; on an SBC that is
        never quiet, what a configuration leaves (OpenSSL's above all) would stay as holes in the heap.
        """
        quiet = not self.engine.calls and not len(self.engine.transactions)
        if (quiet and not self._tidied) or now >= self._tidy_at:
            self._tidy_at = math.inf
            forget_recent()
            gc.collect()
            if _malloc_trim is not None:
                _malloc_trim(0)
        self._tidied = quiet

    # Reload

    def _on_change(self) -> None:
        self.reload()

    def reload(self) -> dict[str, Any]:
        """Read the configuration again; a broken one changes nothing. Running calls keep theirs."""
        with self._reloading:
            former = self.store.current
            try:
                fresh = self._build()
                if fresh.version != former.version:
                    self._apply(fresh)
            except ConfigError as error:
                wrong = [each for each in error.diagnostics if each.severity == "error"]
                return self._refuse_reload(wrong, str(error).splitlines())
            except LocalError as error:
                return self._refuse_reload([error], [str(error)])
        return self._report_reload(former, fresh)

    def _build(self) -> Snapshot:
        """The configuration as it is on disk, read off the hub; ConfigError."""
        pool = gevent.get_hub().threadpool
        built: Snapshot | ConfigError = pool.apply(
            _try_build, (self.directory, self.clock.now(), self.store.current)
        )
        if isinstance(built, ConfigError):
            raise built
        return self.rotator.adopt(built)

    def _apply(self, fresh: Snapshot) -> None:
        try:
            self.listeners.apply(fresh)
        except LocalError:
            self.rotator.take_back()
            raise
        self.store.swap(fresh)
        self._tidy_at = min(self._tidy_at, self.clock.now() + OUTLIVED)
        self.dialer.apply(fresh)
        self._follow_optional(fresh)
        self.acme.apply()
        self.certificates.look_again()

    def _report_reload(self, former: Snapshot, fresh: Snapshot) -> dict[str, Any]:
        same = fresh.version == former.version
        text = f"version {fresh.version} " + ("is unchanged" if same else f"replaces {former.version}")
        if not same:
            self._say("INF", "[reload]", {"version": fresh.version, "former": former.version})
            self._tell_quarantine(former, fresh)
        self._tell_warnings(fresh)
        waiting = [f"sbc.yaml: {key} takes effect at the next start" for key in self._unchangeable(fresh)]
        for line in waiting:
            self._say("WRN", "[reload]", {"text": line})
        lines = [*map(str, fresh.warnings), *told(fresh), *waiting, text]
        broken = sorted({*fresh.quarantined, *fresh.held})
        return {"changed": True, "version": fresh.version, "lines": lines, "broken": broken}

    def _tell_warnings(self, fresh: Snapshot) -> None:
        """Each once, for as long as it is there."""
        for each in fresh.warnings:
            if each not in self._warned:
                level = "WRN" if each.severity == "warning" else "ERR"
                self._say(level, "[check]", {"text": str(each).splitlines()[0]})
        self._warned = fresh.warnings

    def _tell_quarantine(self, former: Snapshot | None, fresh: Snapshot) -> None:
        for event, trunk, why in changes(former, fresh):
            fields = {"trunk": trunk} | ({"reason": why} if why else {})
            self.recorder.note(Note(event, "", fields), None, self.clock.now())

    def _unchangeable(self, fresh: Snapshot) -> list[str]:
        """The settings that differ from those we started with and cannot change while we run."""
        keys = []
        for key in ("media", "admin", "control", "state"):
            then, now = getattr(self._fixed, key), getattr(fresh.settings, key)
            if isinstance(then, BaseModel) and isinstance(now, BaseModel):
                names = type(then).model_fields
                keys += [f"{key}.{name}" for name in names if getattr(then, name) != getattr(now, name)]
            elif then != now:
                keys.append(key)
        return keys

    def _refuse_reload(self, wrong: Sequence[object], lines: list[str]) -> dict[str, Any]:
        version = self.store.current.version
        for each in wrong:
            self._say("ERR", "[reload]", {"refused": str(each).splitlines()[0]})
        return {"changed": False, "version": version, "lines": lines + [f"refused; version {version} stays"]}

    def _say(self, level: Any, tag: str, fields: dict[str, Any]) -> None:
        self.recorder.journal.event(level, tag, fields, self.clock.now())

    # The ledger of trust

    def _place(self, trunk: str, failure: Failure, direction: Direction) -> str:
        return place_to_change(self.store.current.places, trunk, failure, direction)

    def _restore_observed(self) -> None:
        for name, kept in self._observed():
            saved = self.saved.load(name)
            try:
                kept.restore(saved if saved is not None else {})
            except ValueError as error:
                text = f"the {name} in {self.state} is begun anew: {error}"
                self._say("WRN", "[state]", {"text": text})
        self._follow_optional(self.store.current)

    def _save_observed(self, now: float) -> None:
        if now < self._ledger_due:
            return
        self._ledger_due = now + LEDGER_EVERY
        for name, kept in self._observed():
            if kept.changed:
                kept.changed = False
                self.saved.save(name, kept.to_json(self.store.current.trunks))

    def _observed(self) -> tuple[tuple[str, Ledger | OptionalPeers], ...]:
        return (LEDGER, self.recorder.ledger), (OPTIONAL, self.recorder.optional)

    def _follow_optional(self, snapshot: Snapshot) -> None:
        trunks = snapshot.trunks.values()
        names = {each.trunk for each in trunks if each.tls is not None and each.tls.mode == "optional"}
        self.recorder.optional.follow(names, self.clock.now())

    # What others ask

    def status(self) -> StatusView:
        """The whole picture, for the page, the health endpoint and ``sbc status``."""
        return picture(self)

    def trust(self) -> tuple[TrustView, ...]:
        """Who trusts whom, for the page and ``sbc trust``."""
        recorder = self.recorder
        return trust_views(self.store.current, recorder.ledger, self.clock.now(), recorder.soft_passes.of)

    def _trust_verb(self, trunk: str = "") -> dict[str, Any]:
        views = [each for each in self.trust() if trunk in ("", each.trunk)]
        if trunk and not views:
            known = trunk in self.store.current.trunks
            raise LocalError(f"trunk {trunk} has no TLS" if known else f"there is no trunk {trunk}")
        return {"now": self.clock.now(), "trunks": [asdict(each) for each in views]}

    def metrics(self) -> str:
        """The counters as Prometheus text."""
        return exposition(self.status())

    def _verbs(self) -> dict[str, Any]:
        return {
            "status": lambda: to_json(self.status()),
            "calls": lambda: to_json(self.status())["calls"],
            "reload": self.reload,
            "certs": self.certificates.table,
            "certs-renew": self.acme.renew,
            "trust": self._trust_verb,
            "certs-staged": self.rotator.staged,
            "certs-bind": self.rotator.bind,
            "certs-ready": self.rotator.ready,
            "certs-retire": self.rotator.retire,
            "certs-rollback": self.rotator.rollback,
        }
