"""The driver: what the transports heard goes into the engine, and its commands are carried out.

Here is the one ``except Exception`` of the call path. A fault in our own code ends the call that it
happened in, with an answer to everybody who waits for one (``sbc.b2bua.wreck``), is logged with its
place, and is counted; every other call goes on. For one step of the engine may serve many calls (a
tick, a connection that closed), so what it left before the fault and the commands behind the one
that failed are carried out all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import gevent

from sbc.b2bua.commands import (
    AnswerMedia,
    Ask,
    AskRegister,
    Command,
    Connect,
    Decided,
    DeleteMedia,
    DropMedia,
    HearMedia,
    KeepBindings,
    Note,
    OfferMedia,
    RecordMedia,
    RollbackMedia,
    RunHooks,
    Spent,
    Suspect,
    TakeMedia,
)
from sbc.b2bua.engine import Engine
from sbc.b2bua.wreck import REASON, Wreck
from sbc.base import Address, LocalError, PeerError
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.media.stats import MediaStats
from sbc.net.handler import Handler
from sbc.net.hooks.costs import Told
from sbc.net.hooks.handshake import refusal
from sbc.net.hooks.media import MediaHooks
from sbc.net.hooks.register import asked
from sbc.net.hooks.run import HookFailure, HookRun
from sbc.net.lookups.asked import Asked, Lookups
from sbc.net.media.plane import MediaPlane
from sbc.net.system.clock import Clock
from sbc.net.transport.dial import DialFailed
from sbc.net.transport.dialer import Dialer
from sbc.observe.faults import place_of
from sbc.observe.tap import Tap
from sbc.policy.suspicion import Kind
from sbc.registrar.binding import Binding
from sbc.sip.agent_name import named
from sbc.sip.machine import Send
from sbc.sip.message import Message, serialize
from sbc.sip.parse import ParseError
from sbc.tls.events import Admitted, Handshake, HandshakeFailed, Unreached
from sbc.tls.failure import Failure

# Timers are rounded up to this, so that a burst of deadlines wakes the engine once; not those that are due
# already, which the last step left for the next.
TICK: Final = 0.05


class Keeper(Protocol):
    """Who writes down who is registered: ``sbc.net.system.bindings.BindingStore``."""

    def keep(self, user: str, bindings: tuple[Binding, ...], then: Callable[[], object]) -> None:
        """Write what ``user`` has, and call ``then`` when it is on the disk, or was said not to be."""


class Doubter(Protocol):
    """Who hears what speaks against an address: ``sbc.net.transport.blocking.Blocking``."""

    def suspect(self, host: str, kind: Kind, user: str = "", why: str = "") -> None:
        """Count it."""

    def handshake_failed(self, event: HandshakeFailed) -> None:
        """Count that, if it is the peer's doing; a good one says nothing about those that failed."""


class Watcher(Protocol):
    """Who wants to know of handshakes: the journal and the counters, the rotations."""

    def handshake(self, event: Handshake) -> None:
        """A TLS handshake succeeded."""

    def handshake_failed(self, event: HandshakeFailed) -> None:
        """A TLS handshake failed."""


class Observer(Protocol):
    """Who is told what else happened: the journal, the counters, the call records."""

    def note(self, note: Note, media: MediaStats | None, now: float) -> None:
        """The core noted something; ``media`` are the counters of a call that ended."""

    def unreached(self, event: Unreached) -> None:
        """A peer of a TLS trunk could not be connected to."""

    def refused(self, listener: str, address: Address, reason: str, now: float) -> None:
        """A connection was refused at accept."""

    def flood(self, flow: Flow, now: float) -> None:
        """A peer brings more messages than its allowance."""

    def fault(self, place: str, now: float) -> None:
        """Our own code failed at ``place``."""


@dataclass(slots=True)
class _Fault:
    """Our own code failed at ``place``: to be told."""

    place: str


@dataclass(slots=True)
class _NotConnected:
    """A ``Connect`` failed by our own fault."""

    key: int


class Driver:
    """Carries the engine's commands out and brings it what comes of them.

    ``transports`` makes what it sends by and hears from: of the two, each needs the other. ``tap`` is told of
    every message. ``counted`` is called before anybody hears of a call that may count under a limit.
    """

    def __init__(
        self, engine: Engine, media: MediaPlane, observer: Observer, clock: Clock,
        transports: Callable[[Handler], Dialer], watchers: Sequence[Watcher] = (),
        lookups: Lookups | None = None,
        kept: Keeper | None = None,
        doubter: Doubter | None = None,
        counted: Callable[[], object] | None = None,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.media = media
        self.observer = observer
        self.clock = clock
        self.tap = Tap(engine.dialogs.call_ids, self._fault)
        self._watchers = tuple(watchers)
        self._lookups = lookups if lookups is not None else Lookups(clock)
        self._kept = kept
        self._doubter = doubter
        self._counted = counted
        self._agent = ""
        self._ended_media: dict[str, MediaStats] = {}
        self._media_hooks = MediaHooks()
        self._timer = gevent.get_hub().loop.timer(0)
        self._timer_due = 0.0
        self._carry_out: dict[type[Any], Callable[[Any], list[Command]]] = {
            Send: self._send,
            Connect: self._connect,
            OfferMedia: self._ask_media,
            AnswerMedia: self._ask_media,
            TakeMedia: self._take_media,
            DropMedia: self._drop_media,
            RollbackMedia: self._rollback_media,
            RecordMedia: self._record_media,
            HearMedia: self._hear_media,
            DeleteMedia: self._delete_media,
            RunHooks: self._run_hooks,
            Ask: self._ask,
            AskRegister: self._ask_register,
            KeepBindings: self._keep_bindings,
            Suspect: self._suspect,
            Decided: self._decided,
            Spent: self._spent,
            Note: self._note,
            _Fault: self._tell_fault,
            _NotConnected: self._not_connected,
        }
        self._dialer = transports(self)

    # What the transports tell (sbc.net.handler.Handler)

    def on_message(self, flow: Flow, message: Message) -> None:
        """One whole SIP message arrived."""
        step = self._receive
        if not self.tap.followers:
            step, message.head = self.engine.receive, b""  # nobody wants the octets
        self._execute(step, (flow, message, self.clock.monotonic()))

    def _receive(self, flow: Flow, message: Message, at: float) -> list[Command]:
        try:
            return self.engine.receive(flow, message, at)
        finally:  # also what our own code fails on
            self.tap.heard(flow, message, at, self.engine.epoch + at)

    def on_malformed(self, flow: Flow, error: ParseError) -> None:
        """What arrived is no SIP message."""
        if self.tap.followers:
            self.tap.malformed(flow, error, self.clock.monotonic(), self.clock.now())
        self.run(self.engine.malformed, flow, error)

    def on_open(self, flow: Flow) -> None:
        """A connection is up; nothing is owed to it."""

    def on_close(self, flow: Flow, reason: str) -> None:
        """A connection is gone."""
        self.run(self.engine.flow_closed, flow)

    def objection(self, asked: Admitted) -> Failure | None:
        """What the hooks have against a peer that TLS has just admitted."""
        snapshot = self.engine.store.current
        if not snapshot.hooks.handshake:
            return None
        return refusal(asked, snapshot, self._teller(""), self.clock.now())

    def on_handshake(self, event: Handshake) -> None:
        """A TLS handshake succeeded."""
        for each in self._watchers:
            each.handshake(event)

    def on_handshake_failed(self, event: HandshakeFailed) -> None:
        """A TLS handshake failed."""
        for each in self._watchers:
            each.handshake_failed(event)
        if self._doubter is not None:
            self._doubter.handshake_failed(event)

    def on_unreached(self, event: Unreached) -> None:
        """A peer of a TLS trunk could not be connected to."""
        self.observer.unreached(event)

    def busy(self, flow: Flow) -> bool:
        """True while closing the flow would lose something."""
        engine = self.engine
        if engine.transactions.unfinished(flow):
            return True
        trunk = engine.store.current.trunks.get(flow.trunk or "")
        off = engine.store.current.disabled
        if trunk is not None and trunk.peers and trunk.trunk not in off and not flow.former:
            return False
        # Whoever cannot be dialled, or is let in no more, has this connection and no other.
        return any(
            leg is not None and leg.flow is flow for call in engine.calls.values() for leg in (call.a, call.b)
        )

    def in_use(self) -> list[Flow]:
        """The flows that a call is on, or a transaction that has not ended, or that phones are at."""
        engine = self.engine
        return [*self._of_calls(), *engine.transactions.unfinished_flows(), *engine.registrar.flows]

    def proven(self) -> set[Flow]:
        """The flows that a call is on, or at which a phone is registered."""
        return {*self._of_calls(), *self.engine.registrar.proven}

    def _of_calls(self) -> list[Flow]:
        calls = self.engine.calls.values()
        return [leg.flow for call in calls for leg in (call.a, call.b) if leg is not None]

    def on_refused(self, listener: str, address: Address, reason: str) -> None:
        """A connection was refused at accept."""
        self.observer.refused(listener, address, reason, self.clock.now())

    def on_flood(self, flow: Flow) -> None:
        """A peer brings more messages than its allowance."""
        self.observer.flood(flow, self.clock.now())

    # Running the engine

    def run(self, step: Callable[..., list[Command]], *arguments: Any) -> None:
        """Run one method of the engine at the present time and carry out what it leaves."""
        self._execute(step, (*arguments, self.clock.monotonic()))

    def _execute(
        self, step: Callable[..., list[Command]], arguments: tuple[Any, ...], subject: object = None
    ) -> None:
        """Run one step and all that comes of it; ``subject`` is the command it is about, if any."""
        carry_out = self._carry_out
        self.engine.working_on = ""
        self.engine.epoch = self.clock.now() - self.clock.monotonic()
        waiting: deque[Command | _Fault | _NotConnected] = deque()
        wreck: Wreck | None = None
        again: object = None
        fault = False
        while True:
            try:
                waiting.extend(step(*arguments))
                wreck = None
                while waiting:
                    subject = command = waiting.popleft()
                    done = carry_out[type(command)](command)
                    if done:
                        waiting.extend(done)
                break
            except Exception as error:
                fault = True
                if isinstance(subject, DeleteMedia | Connect) and subject is not again:
                    # Nobody else gives its ports back, or lets go of who waits for the connection.
                    again = subject
                    waiting.appendleft(
                        _NotConnected(subject.key) if isinstance(subject, Connect) else subject
                    )
                if type(subject) is not _Fault:
                    waiting.appendleft(_Fault(place_of(error)))
                if wreck is None:
                    wreck = self._wreck(subject, arguments)
                step, arguments = self.engine.clear_up, (wreck, self.clock.monotonic())
        if fault:
            self._ended_media.clear()  # what no record of a call has taken
        self._arm()

    def _wreck(self, subject: object, arguments: tuple[Any, ...]) -> Wreck:
        """Our own mistake: what has to be done about the call that it happened in."""
        engine = self.engine
        if subject is None:  # no command yet: the engine itself failed, on a message or otherwise
            if len(arguments) == 3 and isinstance(arguments[1], Message):
                return engine.wreck(engine.working_on, arguments[0], arguments[1])
            return engine.wreck(engine.working_on)
        if isinstance(subject, Send):
            call = engine.call_of(subject.flow, subject.message)
            return engine.wreck(call.id if call is not None else "")
        return engine.wreck(getattr(subject, "call", ""))

    def _arm(self) -> None:
        due = self.engine.next_deadline
        if due is None or 0.0 < self._timer_due <= due + TICK:
            return
        self._timer.stop()
        self._timer_due = due
        ahead = due - self.clock.monotonic()
        self._timer = gevent.get_hub().loop.timer(ahead + TICK if ahead > 0.0 else 0.0)
        self._timer.start(self._wake)

    def _wake(self) -> None:
        self._timer_due = 0.0
        gevent.spawn(self.run, self.engine.tick)

    def follow(self, snapshot: Snapshot) -> None:
        """Send from now on under the name that the configuration gives us, if any."""
        self._agent = snapshot.settings.user_agent or ""

    # Commands

    def _send(self, command: Send) -> list[Command]:
        flow = command.flow
        if flow.alive:
            if self._agent:
                named(command.message, self._agent)
            octets = serialize(command.message)
            flow.channel.send(octets)
            if self.tap.followers:
                self.tap.sent(flow, command.message, octets, self.clock.monotonic(), self.clock.now())
        return []

    def _connect(self, command: Connect) -> list[Command]:
        if command.stream:
            gevent.spawn(self._execute, self._dial, (command,), command)
            return []
        flow = self._dialer.lookup(command.trunk, command.snapshot, command.peers, command.near)
        if flow is not None:
            return self.engine.connected(command.key, flow, self.clock.monotonic())
        gevent.spawn(self._execute, self._dial, (command,), command)
        return []

    def _dial(self, command: Connect) -> list[Command]:
        try:
            if command.stream:
                flow = self._dialer.stream(command.trunk, command.snapshot, command.peers[0])
            else:
                flow = self._dialer.connect(command.trunk, command.snapshot, command.peers, command.near)
        except DialFailed as failed:
            return self.engine.connect_failed(command.key, failed.reason, self.clock.monotonic())
        return self.engine.connected(command.key, flow, self.clock.monotonic())

    def _not_connected(self, command: _NotConnected) -> list[Command]:
        return self.engine.connect_failed(command.key, REASON, self.clock.monotonic())

    def _ask_media(self, command: OfferMedia | AnswerMedia) -> list[Command]:
        call, side, sdp, error = command.call, command.side, b"", None
        try:
            if isinstance(command, OfferMedia):
                ours, theirs = command.ours, command.theirs
                sdp = self.media.offer(call, side, command.sdp, ours, theirs, command.restart, command.branch)
            else:
                sdp = self.media.answer(call, side, command.sdp, command.branch)
        except PeerError as refused:
            error = refused
        except LocalError as failed:
            error = PeerError(str(failed), 503)
        return self.engine.media_ready(call, sdp, error, self.clock.monotonic())

    def _take_media(self, command: TakeMedia) -> list[Command]:
        self.media.take(command.call, command.branch)
        return []

    def _drop_media(self, command: DropMedia) -> list[Command]:
        self.media.drop(command.call, command.branch)
        return []

    def _rollback_media(self, command: RollbackMedia) -> list[Command]:
        self.media.rollback(command.call)
        return []

    def _record_media(self, command: RecordMedia) -> list[Command]:
        self.media.record(command.call, command.tone)
        return []

    def _hear_media(self, command: HearMedia) -> list[Command]:
        told, at = self._teller(command.call), self.clock.monotonic()
        for heard in self._media_hooks.hear(command.call, command.hooks, command.facts, told, at):
            self.media.listen(command.call, heard)
        return []

    def _delete_media(self, command: DeleteMedia) -> list[Command]:
        self._media_hooks.end(command.call)
        self._ended_media[command.call] = self.media.delete(command.call)
        return []

    def _run_hooks(self, command: RunHooks) -> list[Command]:
        gevent.spawn(self._execute, self._hooks, (command,), command)
        return []

    def _hooks(self, command: RunHooks) -> list[Command]:
        failed, result = "", None
        run = HookRun(command.hooks, self._teller(command.call), command.snapshot.trunks)
        try:
            result = run.ask(command.facts, command.about)
        except HookFailure as failure:
            failed = f"{failure.file}:{failure.line}"
        return self.engine.hooks_done(command.call, result, failed, self.clock.monotonic())

    def _ask(self, command: Ask) -> list[Command]:
        asked = self._lookups.ask(command.lookup, command.sent, command.trunk, command.call)
        if asked.over:
            return self.engine.looked_up(command.call, asked.answer, self.clock.monotonic())
        gevent.spawn(self._execute, self._await, (command, asked), command)
        return []

    def _await(self, command: Ask, asked: Asked) -> list[Command]:
        return self.engine.looked_up(command.call, asked.wait(), self.clock.monotonic())

    def _ask_register(self, command: AskRegister) -> list[Command]:
        gevent.spawn(self._execute, self._register_asked, (command,), command)
        return []

    def _register_asked(self, command: AskRegister) -> list[Command]:
        refused, failed = asked(command, self._teller(""))
        return self.engine.register_asked(command.key, refused, failed, self.clock.monotonic())

    def _keep_bindings(self, command: KeepBindings) -> list[Command]:
        if self._kept is None:
            return self.engine.bindings_kept(command.key, self.clock.monotonic())
        self._kept.keep(
            command.user, command.bindings, lambda: self.run(self.engine.bindings_kept, command.key)
        )
        return []

    def _suspect(self, command: Suspect) -> list[Command]:
        if self._doubter is not None:
            self._doubter.suspect(command.flow.remote.host, command.kind, command.user, command.why)
        return []

    def _teller(self, call: str) -> Told:
        """Who notes what hooks did, with the call that they did it for."""
        return lambda event, fields: self._note(Note(event, call, fields))

    def _tell_fault(self, command: _Fault) -> list[Command]:
        self._fault(command.place)
        return []

    def _fault(self, place: str) -> None:
        self.observer.fault(place, self.clock.now())

    def _decided(self, command: Decided) -> list[Command]:
        if self.tap.followers:
            self.tap.decided(command, self.clock.monotonic(), self.clock.now())
        return []

    def _spent(self, command: Spent) -> list[Command]:
        if self._counted is not None:
            self._counted()
        return []

    def _note(self, command: Note) -> list[Command]:
        media = self._ended_media.pop(command.call, None) if command.event == "call-ended" else None
        now = self.clock.now()
        if self.tap.listeners:
            self.tap.noted(command, now)
        self.observer.note(command, media, now)
        return []
