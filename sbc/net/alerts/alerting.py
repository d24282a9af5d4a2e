"""Tells people what is wrong: looks now and then, and sends what is to be told, each sink beside the others.

What is an alert and when it is told is decided in ``sbc.observe.alerts``. A sink is waited for in a thread of
its own, so one that hangs holds up neither calls nor the other sinks; what waits for it is bounded.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import gevent
from gevent.threadpool import ThreadPool

from sbc.base import LocalError
from sbc.config.sinks import Destination
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.net.alerts.apprise_sink import load, send
from sbc.net.system.clock import Clock
from sbc.net.system.store import Shelf, Store
from sbc.observe.alerts.condition import Condition
from sbc.observe.alerts.conditions import Lookout
from sbc.observe.alerts.notice import Message, Notice, message
from sbc.observe.alerts.outbox import Outbox
from sbc.observe.alerts.teller import Teller
from sbc.observe.edge_views import AlertsView, SinkView
from sbc.observe.journal import Level
from sbc.observe.masking import Mask
from sbc.observe.views import StatusView

EVERY: Final = 10.0
#: Seconds between two lines about a sink that is not reached.
SAY_AGAIN: Final = 3600.0
#: Seconds that a test waits for one sink, and that we wait for all when we leave.
PATIENCE: Final = 20.0
LAST_WITHIN: Final = 3.0
#: Seconds after the start in which nothing is said to be over: what fails may not have been tried yet.
SETTLED: Final = 60.0
_HOST: Final = os.uname().nodename
STATE: Final = "alerts"
WAITING: Final = "notices"
_LEVELS: Final[dict[str, Level]] = {"info": "INF", "warning": "WRN", "urgent": "ERR"}
Say = Callable[[Level, str, dict[str, Any]], object]


class _Sink:
    """One place, what waits for it, and the thread that waits for it."""

    def __init__(self, to: Destination, former: _Sink | None = None) -> None:
        self.to = to
        self.outbox: Outbox = former.outbox if former is not None else Outbox()
        self.outbox.urgent_only = to.urgent_only
        self.outbox.hurry()
        self.said_at = float("-inf")
        self.sending = gevent.Greenlet()
        self.sending.kill()  # nothing is, yet
        self._pool: ThreadPool | None = None

    def call(self, step: Callable[..., Any], *arguments: object) -> Any:
        """Do it in the thread of this sink."""
        if self._pool is None:
            self._pool = ThreadPool(1)
        return self._pool.apply(step, arguments)


class Alerting:
    """The alerts of one process; ``look`` gives the picture that they are read off."""

    def __init__(
        self, snapshots: SnapshotStore, saved: Store, clock: Clock, say: Say, look: Callable[[], StatusView]
    ) -> None:
        self._snapshots = snapshots
        self._saved = saved
        self._shelf: Shelf | None = None
        self._held: Shelf | None = None
        self._clock = clock
        self._say = say
        self._look = look
        self._teller = Teller()
        self._sinks: dict[str, _Sink] = {}
        self._due = 0.0
        self._started = clock.monotonic()
        self._lookout = Lookout(self._started)

    def start(self) -> None:
        """Remember what people know of already, and get ready to send, what waited before a restart too."""
        self._shelf = self._saved.shelf(STATE, self._take, self._whole)
        self.apply(self._snapshots.current)
        self._held = self._saved.shelf(WAITING, self._wait_on, self._waiting, self._waiting_changes)

    def _take(self, key: str, saved: Any) -> None:
        self._teller.restore(key, saved, self._clock.now(), self._clock.monotonic())

    def _whole(self) -> dict[str, Any]:
        return self._teller.to_json(self._clock.now(), self._clock.monotonic())

    def _wait_on(self, key: str, saved: Any) -> bool:
        name, _, number = key.rpartition(" ")
        sink = self._sinks.get(name)
        if sink is None:
            return False
        sink.outbox.restore(int(number), saved)
        return True

    def _waiting(self) -> dict[str, Any]:
        return {
            f"{name} {number}": each
            for name, sink in self._sinks.items()
            for number, each in sink.outbox.whole().items()
        }

    def _waiting_changes(self) -> dict[str, Any]:
        return {
            f"{name} {number}": each
            for name, sink in self._sinks.items()
            for number, each in sink.outbox.changes().items()
        }

    def apply(self, snapshot: Snapshot) -> None:
        """Its sinks are those now; what waits for one that stays waits on."""
        former, self._sinks = self._sinks, {}
        for name, to in snapshot.sinks.items():
            known = former.get(name)
            if known is None or known.to != to:
                known = _Sink(to, known)
                gevent.spawn(known.call, load, to.url.partition("://")[0])
            self._sinks[name] = known
        if self._held is not None:
            for name in former.keys() - self._sinks.keys():
                for number in former[name].outbox.whole():
                    self._held.put(f"{name} {number}", None)
        self._due = 0.0

    def tick(self, now: float, at: float) -> None:
        """To be called every second: looks when it is time, and sends what is due."""
        alerts = self._snapshots.current.settings.alerts
        if alerts is None:
            return
        if at >= self._due:
            self._due = at + EVERY
            found = self._lookout.look(self._look(), alerts.watch, at)
            quiet = alerts.quiet_hours is not None and alerts.quiet_hours.at(now)
            settled = at - self._started >= SETTLED
            self._tell(self._teller.look(found, now, at, alerts.every, quiet, settled))
            if self._teller.changed:
                self._teller.changed = False
                if self._shelf is not None:
                    self._shelf.changed()
        for sink in self._sinks.values():
            self._send(sink, at)

    def close(self) -> None:
        """Send what waits, but not for long."""
        for sink in self._sinks.values():
            self._send(sink, math.inf)
        gevent.joinall([each.sending for each in self._sinks.values()], timeout=LAST_WITHIN)

    def view(self) -> AlertsView:
        """What is wrong now, and how the sinks are."""
        sinks = [
            SinkView(
                name, each.to.url.partition("://")[0], len(each.outbox), each.outbox.sent, each.outbox.lost,
                each.outbox.problem,
            )
            for name, each in self._sinks.items()
        ]  # fmt: skip
        return AlertsView(self._teller.standing(), tuple(sinks))

    def test(self, name: str = "", by: str = "") -> dict[str, Any]:
        """Send a test to each sink, or to the one called ``name``, and say what became of it; LocalError."""
        if not self._sinks:
            words = "alerts: {to: {NAME: {url_file: FILE}}}"
            raise LocalError(f"alerts go nowhere: write {words} in sbc.yaml (docs/alerts.md)")
        if name and name not in self._sinks:
            raise LocalError(f"alerts go to no {name!r}; there are {', '.join(sorted(self._sinks))}")
        self._say("INF", "[operator]", {"act": "alert test", "sink": name or None, "by": by or None})
        chosen = [each for each in self._sinks.values() if name in ("", each.to.name)]
        jobs = [(each, gevent.spawn(each.call, send, each.to, self._test_message())) for each in chosen]
        gevent.joinall([job for _, job in jobs], timeout=PATIENCE)
        late = f"it has not answered within {PATIENCE:g} s"
        found = [
            {"name": sink.to.name, "problem": str(job.value) if job.successful() else late}
            for sink, job in jobs
        ]
        return {"sinks": found}

    def _test_message(self) -> Message:
        condition = Condition("test", "info", "a test: alerts of Portcullis arrive here")
        return message([Notice("alert", condition, self._clock.now())], 0, _HOST)

    def _tell(self, notices: list[Notice]) -> None:
        for each in notices:
            level = _LEVELS[each.urgency] if each.kind == "alert" else "INF"
            fields = {"event": _EVENTS[each.kind], "of": each.condition.key, "text": each.line}
            self._say(level, "[alert]", fields)
        for sink in self._sinks.values():
            sink.outbox.put(notices)

    def _masked(self, message: Message) -> Message:
        """It goes to others: where numbers are left out of the journal, they are left out here too."""
        digits = self._snapshots.current.settings.log.mask_numbers
        if digits is None:
            return message
        mask = Mask(digits)
        return replace(message, title=mask.text(message.title), body=mask.text(message.body))

    def _send(self, sink: _Sink, at: float) -> None:
        taken = sink.outbox.take(at)
        if taken is not None:
            sink.sending = gevent.spawn(self._deliver, sink, *taken)

    def _deliver(self, sink: _Sink, notices: list[Notice], lost: int) -> None:
        problem: str = sink.call(send, sink.to, self._masked(message(notices, lost, _HOST)))
        at, before = self._clock.monotonic(), sink.outbox.problem
        sink.outbox.done(problem, at)
        fields = {"sink": sink.to.name, "waiting": len(sink.outbox) or None}
        if problem and (not before or at - sink.said_at >= SAY_AGAIN):
            sink.said_at = at
            remedy = f"see sbc alert test {sink.to.name}"
            told = {"event": "alert-failed", **fields, "reason": problem, "remedy": remedy}
            self._say("WRN", "[alert]", told)
        elif before and not problem:
            self._say("INF", "[alert]", {"event": "alert-delivered", **fields, "lost": lost or None})


_EVENTS: Final = {"alert": "alert-raised", "over": "alert-over", "was": "alert-was"}
