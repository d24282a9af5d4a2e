"""Portcullis assembled: one directory of configuration becomes one running SBC.

Starting and reloading go through the same door, ``build_snapshot``: what ``sbc check`` accepts is
what runs. A configuration that is wrong changes nothing.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from sbc.admin.certificates import Certificates
from sbc.admin.status import picture
from sbc.admin.switches import Switches
from sbc.admin.verbs import Verbs
from sbc.b2bua.engine import Engine
from sbc.config.load import build_snapshot
from sbc.config.places import place_to_change
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.config.watched import watched
from sbc.ids import Blocks, Ids
from sbc.kept import keep_decided, keep_observed
from sbc.net.acme.install import Installer
from sbc.net.acme.keeper import AcmeKeeper
from sbc.net.alerts.alerting import Alerting
from sbc.net.dns.ask import Asker
from sbc.net.dns.names import Names
from sbc.net.driver import Driver
from sbc.net.export.exports import Exports
from sbc.net.handler import Edge, Handler
from sbc.net.lookups.asked import Lookups
from sbc.net.media.embedded import MediaIO
from sbc.net.media.recordings import Recordings
from sbc.net.revocation.inquiry import Revocation
from sbc.net.rotation.rotator import Rotator
from sbc.net.system.clock import Clock
from sbc.net.system.control import ControlServer, refuse_second
from sbc.net.system.file_limit import raise_file_limit
from sbc.net.system.lag import watch_lag
from sbc.net.system.log_writer import DROPPED
from sbc.net.system.notify import notify, reloading
from sbc.net.system.prompt import Prompt
from sbc.net.system.record_writer import RecordWriter
from sbc.net.system.space import Space
from sbc.net.system.store import Store
from sbc.net.system.watch import Watch
from sbc.net.tls.contexts import Contexts
from sbc.net.trace.viewing import Readers
from sbc.net.transport.blocking import Blocking
from sbc.net.transport.dialer import Dialer
from sbc.net.transport.listener import Listeners
from sbc.observe.journal import Journal, Level
from sbc.observe.masking import Mask
from sbc.observe.recorder import Recorder
from sbc.observe.tap import Rings
from sbc.observe.views import StatusView
from sbc.opened import make_directory, open_journal, open_records
from sbc.reload import Reload
from sbc.tls.failure import Direction, Failure
from sbc.upkeep import Upkeep
from sbc.web import Web

HOUSEKEEPING = 1.0
# While we drain: whether the last call has ended.
LOOK_EVERY = 0.1
# Rules of a replaced configuration that are freed in a second: a few milliseconds' worth.
LET_GO = 200
# How long connections may take to say what they have to when we leave.
FAREWELL = 5.0
# Seconds beyond the drain after which a service manager may take us for hung.
GRACE = 30.0
# How long registrars may take to answer when we leave.
UNREGISTER = 2.0


class Portcullis:
    """One SBC process."""

    def __init__(self, directory: Path, log: Path | None = None) -> None:
        """``log``: the file of the journal, in the place of standard output; LocalError where it is none."""
        raise_file_limit()
        self.directory = directory
        self.clock = Clock()
        self.started = self.clock.now()
        self.stopping = Event()
        self.store = SnapshotStore(build_snapshot(directory, self.started))
        settings = self.store.current.settings
        refuse_second(directory / settings.control)
        self.log = open_journal(log)
        self.state = make_directory(directory / settings.state)
        prompt = Prompt()
        self.records = RecordWriter(open_records(self.state), self._say_of_records, prompt)
        self.recorder = Recorder(Journal(self.log), self._record, self._place)
        self.log.told = self._lines_dropped
        self.exports = Exports(self._say)
        self.saved = Store(self.state, lambda text: self._say("ERR", "[state]", {"text": text}), prompt)
        keep_observed(self.saved, self.recorder, self.store)
        self._follow_optional(self.store.current)
        self.reload = Reload(directory, self.store, self.clock, self.recorder)
        door = self.reload, self.reload.lock
        self._edges: list[Edge] = []
        self.rotator = Rotator(
            self.store, self.saved, self.clock, self._say, *door, self.recorder.ledger, self._edges
        )
        self.switches = Switches(self.store, self.saved, self.clock, self._say, self.reload.amend)
        self.store.swap(self.switches.adopt(self.rotator.progress.adopt(self.store.current)))
        self._attend(log)
        self._assemble()
        self._memory = Upkeep(self.engine, self.store, self.recorder.counters.tally.gone)
        self.acme = AcmeKeeper(
            self.store, self.saved, self.clock, self._say,
            Installer(self.store, self.clock, self.rotator, *door),
        )  # fmt: skip
        self.certificates = Certificates(self)
        self.reload.adopters += [self.rotator.progress, self.switches]
        self.driver.follow(self.store.current)
        self.reload.gates.append(self.listeners.apply)
        self.reload.followers += [
            self._follow_registrations, self.names.apply, self.lookups.apply, self.dialer.apply,
            self._follow_optional, self.acme.apply, self.certificates.follow, self._outlived,
            self._follow_media, self._follow_recordings, self._follow_log, self._follow_trace,
            self.blocking.apply, self.space.apply, self.alerting.apply, self.driver.follow,
        ]  # fmt: skip
        self.verbs = Verbs(self, self.certificates)
        self.watch = Watch(lambda: watched(directory), self.reload)
        self.control = ControlServer(directory / settings.control, self.verbs.by_name())
        self._web = Web(self.verbs)

    def _attend(self, log: Path | None) -> None:
        """What stands beside the calls: recordings, the disks, and whoever is told of what is wrong."""
        snapshot = self.store.current
        self.recordings = Recordings(self.clock, self._say_of_recordings)
        self._follow_recordings(snapshot)
        self._follow_log(snapshot)
        self.space = Space(self.directory, self.state, log, snapshot)
        self.alerting = Alerting(self.store, self.saved, self.clock, self._say, self._signals)

    def _assemble(self) -> None:
        """From the engine outwards: what decides, who carries it out, and the transports that it reaches."""
        snapshot = self.store.current
        self.media = MediaIO(
            snapshot.settings.media, Ids(os.urandom), time.monotonic,
            lambda: self.store.current.settings.listeners.values(), self.recordings,
        )  # fmt: skip
        self._follow_media(snapshot)
        self.engine = Engine(self.store, Ids(Blocks(os.urandom)))
        self.bindings = keep_decided(self.saved, self.engine, self.clock)
        self.revocation = Revocation(self.clock, self.recorder, self.saved, self._edges)
        asker = Asker(lambda: self.store.current.settings.dns.servers)
        self.names = Names(asker, self.clock, self.engine.peers.located, self._say)
        self.lookups = Lookups(self.clock, lambda note: self.recorder.note(note, None, self.clock.now()))
        contexts, tally = Contexts(snapshot, self.revocation), self.recorder.counters.tally
        self.blocking = Blocking(
            self.store, self.saved, self.clock, self._say, self.engine.peers.located,
            lambda source: self.listeners.cut(source, self.driver.proven()),
        )  # fmt: skip

        def transports(handler: Handler) -> Dialer:
            self.listeners = Listeners(snapshot, contexts, handler, self.clock, tally, self.blocking)
            self.dialer = Dialer(self.listeners, handler, self.clock, self.names)
            self._edges += [self.listeners, self.dialer]
            return self.dialer

        self.driver = Driver(
            self.engine,
            self.media,
            self.recorder,
            self.clock,
            transports,
            [self.recorder, self.rotator.progress],
            self.lookups,
            self.bindings,
            self.blocking,
            self.saved.at_once,
        )
        self.rings, self.readers = Rings(), Readers(self.driver.tap, self.clock)
        self._follow_trace(snapshot)

    def _follow_trace(self, snapshot: Snapshot) -> None:
        """Keep the last messages of each trunk, tell a collector of all; else do not even listen."""
        most, tap = snapshot.settings.trace.ring, self.driver.tap
        self.rings.keep(most, snapshot.trunks)
        tap.leave(self.rings)
        if most:
            tap.follow(self.rings)
        tap.leave(self.exports)
        if snapshot.hep is not None:
            tap.follow(self.exports)

    def _follow_media(self, snapshot: Snapshot) -> None:
        emergency = snapshot.settings.emergency
        self.media.mark(snapshot.settings.dscp.rtp)
        self.media.keep(emergency.reserve.calls if emergency is not None else 0)

    def _follow_recordings(self, snapshot: Snapshot) -> None:
        self.recordings.follow(snapshot.settings.recordings, self.directory)

    def _follow_log(self, snapshot: Snapshot) -> None:
        log, journal = snapshot.settings.log, self.recorder.journal
        journal.form = log.format
        mask = Mask(log.mask_numbers) if log.mask_numbers is not None else None
        self.recorder.mask = journal.mask = mask
        self.exports.apply(snapshot)
        journal.follower = self.exports.line if snapshot.syslog is not None else None

    def _lines_dropped(self, count: int) -> str:
        fields = {"event": "lines-dropped", "count": count, "reason": DROPPED}
        return self.recorder.journal.line("WRN", "[log]", fields, self.clock.now())

    def _say_of_recordings(self, level: Level, event: str, call: str, fields: dict[str, object]) -> None:
        self._say(level, "[recording]", {**({"call": call} if call else {}), "event": event, **fields})

    def _say_of_records(self, level: Level, event: str, text: str) -> None:
        self._say(level, "[records]", {"event": event, "text": text})

    # Life

    def run(self) -> int:
        """Serve until SIGTERM, drained, or SIGINT; returns the exit status."""
        try:
            self.start()
            self.stopping.wait()
        finally:
            self.stop()
        return 0

    def leave(self) -> None:
        """Begin to stop: no call begins, those that run may end by themselves; asked again, stop at once."""
        if self.engine.draining:
            self.stopping.set()
            return
        self.engine.draining = True
        gevent.spawn(self._drain, self.store.current.settings.drain)

    def reopen(self) -> None:
        """Journal and records were rotated: let go of the former files."""
        self.log.reopen()
        self.records.reopen()

    def _drain(self, seconds: float) -> None:
        calls = self.engine.calls
        notify("STOPPING=1", f"EXTEND_TIMEOUT_USEC={(seconds + GRACE) * 1e6:.0f}")
        self._say("INF", "[drain]", {"calls": len(calls), "seconds": f"{seconds:g}"})
        end = self.clock.monotonic() + seconds
        while calls and self.clock.monotonic() < end:
            gevent.sleep(LOOK_EVERY)
        self._say("WRN" if calls else "INF", "[drain]", {"event": "over", "calls": len(calls)})
        self.stopping.set()

    def start(self) -> None:
        """Bind everything; LocalError, one line, where something cannot be."""
        self.records.start()
        self.recordings.start()
        self.watch.start()
        self.revocation.start()
        self.saved.start()
        self.driver.run(self.engine.follow)  # whom the configuration allows no more is registered no more
        self.listeners.start()
        self.dialer.start()
        self.names.apply(self.store.current)
        self.lookups.apply(self.store.current)
        self.alerting.start()
        self._web.start(self.store.current.settings)
        self.acme.start()
        # What ends a greenlet that a hook began ends that greenlet: we are told to stop by signals alone.
        gevent.get_hub().SYSTEM_ERROR = ()
        gevent.signal_handler(signal.SIGINT, self.stopping.set)
        gevent.signal_handler(signal.SIGTERM, self.leave)
        gevent.signal_handler(signal.SIGHUP, gevent.spawn, self.reload)
        gevent.signal_handler(signal.SIGUSR1, self.reopen)
        gevent.spawn(self._housekeeping)
        gevent.spawn(watch_lag, self._come_round)
        self._memory.start()
        snapshot = self.store.current
        self._say("INF", "[start]", {"version": snapshot.version, "directory": self.directory.resolve()})
        self.reload.tell(None, snapshot)
        # What changed on disk between the first reading and the watch would otherwise go unnoticed.
        gevent.spawn(self._look_again)
        self.control.start()  # who is answered there knows that every port is bound
        notify("READY=1")

    def _come_round(self, lag: float) -> None:
        self.blocking.beat()
        self.driver.run(self.engine.look, lag)

    def _look_again(self) -> None:
        """Read the files once more; a service manager hears of what is read after that."""
        self.reload()
        self.reload.around = reloading

    def stop(self) -> None:
        """Hang up what still runs, close everything, write what waits."""
        self.watch.close()
        self.reload.end()
        self.acme.stop()
        self.names.close()
        self.engine.draining = self.engine.leaving = True
        self._hang_up()
        self._unregister()
        self._hang_up()  # emergency calls that came meanwhile
        self.control.stop()
        self._web.stop()
        self.listeners.close()
        self.dialer.close()
        deadline = self.clock.monotonic() + FAREWELL
        while (self.listeners.flows or self.dialer.flows) and self.clock.monotonic() < deadline:
            gevent.sleep(0.05)
        self.media.close()
        self.recordings.close()
        self.blocking.stop()
        self.alerting.close()
        self.revocation.close()
        self.recorder.turned_away.close()
        self.saved.close()
        self.records.flush()
        self._say("INF", "[stop]", {})
        self.exports.close()
        self.log.flush()

    def end_call(self, call: str, by: str) -> None:
        """End a live call because ``by``, an operator, says so."""
        self._say("INF", "[operator]", {"act": "calls end", "call": call, "by": by or None})
        self.driver.run(self.engine.end_by_operator, call, by)

    def _hang_up(self) -> None:
        for call in list(self.engine.calls):
            self.driver.run(self.engine.end_call, call, "the SBC is shutting down")

    def _follow_registrations(self, snapshot: Snapshot) -> None:
        """Take back the bindings of trunks that are gone, before their connections are closed."""
        self.driver.run(self.engine.follow)

    def _unregister(self) -> None:
        """Take the bindings back, and let the registrars challenge that."""
        self.driver.run(self.engine.unregister)
        deadline = self.clock.monotonic() + UNREGISTER
        while self.engine.registrations.unfinished and self.clock.monotonic() < deadline:
            gevent.sleep(0.02)

    def _housekeeping(self) -> None:
        while True:
            gevent.sleep(HOUSEKEEPING)
            now, at = self.clock.now(), self.clock.monotonic()
            self.recorder.journal.stats(self.verbs.status, now, at)
            self.driver.run(self.engine.probe)
            self.recorder.tick(now)
            self._memory.tick(at)
            self.recordings.tick(at)
            self.store.let_go(LET_GO)
            self.blocking.tick(at)
            self.certificates.tick(now, at)
            self.reload.tick(now)
            self.lookups.tick(at)
            self.space.tick(at)
            self.alerting.tick(now, at)
            for call in self.media.idle(at):
                self.driver.run(self.engine.media_idle, call)
            for quiet in self.media.quiet(at):
                self.driver.run(self.engine.media_quiet, quiet)
            for begun, calls in zip((True, False), self.media.faxes(), strict=True):
                for call in calls:
                    self.driver.run(self.engine.media_fax, call, begun)

    @property
    def refused(self) -> str:
        """The first mistake of the files that were read last, "" where they are in force."""
        return self.reload.refused

    def _signals(self) -> StatusView:
        """What alerts are read off."""
        return picture(self, self.certificates.views(), calls=False)

    def _outlived(self, snapshot: Snapshot) -> None:
        self._memory.replaced(self.clock.monotonic())

    # What it tells

    def _say(self, level: Any, tag: str, fields: dict[str, Any]) -> None:
        self.recorder.journal.event(level, tag, fields, self.clock.now())

    def _record(self, line: str) -> None:
        """Write a call's record, once what the call has counted outlives us too."""
        if self.saved.at_once():
            self.records(line)
        else:
            self.saved.after(lambda: self.records(line))

    def _place(self, trunk: str, failure: Failure, direction: Direction) -> str:
        return place_to_change(self.store.current.places, trunk, failure, direction)

    def _follow_optional(self, snapshot: Snapshot) -> None:
        trunks = snapshot.trunks.values()
        names = {each.trunk for each in trunks if each.tls is not None and each.tls.mode == "optional"}
        self.recorder.optional.follow(names, self.clock.now())
