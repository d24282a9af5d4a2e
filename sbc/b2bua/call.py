"""A call: two legs that exchange what was said on either, under the snapshot it began with.

The call keeps what outlives a transaction: the legs, the pairs of dialogs (a callee that forks
shows several until one of them answers), the timers, the order of media requests, and how it
ended. The INVITE's way to the callee is in ``setup``, a 2xx and its ACK in ``answered``, every
other request within the dialogs in ``mirror``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from dsl.decision import Decision, Limit
from dsl.facts import Facts
from sbc.b2bua.commands import AnswerMedia, Command, DeleteMedia, Note, OfferMedia
from sbc.b2bua.hooked import Invited, answer_of, end_of, run
from sbc.b2bua.leg import Leg, Side, other
from sbc.b2bua.translate import carried, reasons
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.hookapi.results import HangUp
from sbc.media.policy import MediaPolicy
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response
from sbc.sip.timers import NEVER

if TYPE_CHECKING:
    from sbc.b2bua.answered import AnsweredInvite
    from sbc.b2bua.engine import Engine
    from sbc.b2bua.mirror import Mirror
    from sbc.b2bua.setup import Setup

AfterMedia = Callable[[bytes, "PeerError | None", float, list[Command]], None]


class Awaiting(Protocol):
    """Whoever sent a request: a transaction's ``user``."""

    @property
    def call(self) -> Call | None:
        """The call that it works for, if any."""

    def on_response(self, response: Response, now: float, out: list[Command]) -> None:
        """A response came, provisional or final."""

    def on_failure(self, kind: str, now: float, out: list[Command]) -> None:
        """No response will come: ``timeout`` or ``unreachable``."""


class Fork:
    """A pair of dialogs: one that a branch of the callee opened, and the one that shows it to the caller.

    ``renewed``: offers went on while it was early, so the INVITE's own answer is history.
    ``early`` is the last SDP with which it answered the INVITE before its 2xx.
    """

    __slots__ = ("a", "b", "early", "renewed")

    def __init__(self, a: Dialog, b: Dialog) -> None:
        self.a = a
        self.b = b
        self.renewed = False
        self.early = b""

    def dialog(self, side: Side) -> Dialog:
        """The dialog on ``side``."""
        return self.a if side == "a" else self.b


class Call:
    """Two legs and all that they share."""

    __slots__ = (
        "a",
        "admitted",
        "answered_at",
        "answered_invites",
        "b",
        "called",
        "caller",
        "created",
        "downgraded",
        "engine",
        "facts",
        "fork",
        "forks",
        "has_media",
        "id",
        "limits",
        "media_waits",
        "mirrors",
        "named_hooks",
        "offered_early",
        "offerer",
        "policies",
        "recorded",
        "reminded_at",
        "rule",
        "setup",
        "snapshot",
        "stale",
        "state",
        "tags",
        "timers",
    )  # fmt: skip

    def __init__(self, engine: Engine, id: str, snapshot: Snapshot, a: Leg, now: float) -> None:
        self.engine = engine
        self.id = id
        self.snapshot = snapshot
        self.a = a
        self.b: Leg | None = None
        self.state = "routing"  # routing, trying, ringing, answered, up, ended
        self.forks: dict[str, Fork] = {}
        self.fork: Fork | None = None
        self.timers: dict[str, float] = {}
        self.reminded_at = NEVER
        self.media_waits: deque[AfterMedia] = deque()
        self.answered_invites: dict[tuple[Side, int], AnsweredInvite] = {}
        self.mirrors: list[Mirror] = []  # requests within the dialogs that nobody has answered yet
        self.policies: dict[Side, MediaPolicy] = {}
        self.has_media = False
        self.created = now
        self.answered_at = 0.0
        self.admitted: list[Trunk] = []
        self.rule = ""
        self.caller = ""
        self.called = ""
        self.downgraded = False
        # The callee's offer came in a reliable provisional response: PRACK holds its answer (RFC 3262 5).
        self.offered_early = False
        # Who has an offer under way that nobody has answered yet (RFC 3264 4, RFC 3311 5.2).
        self.offerer: Side | None = None
        self.setup: Setup | None = None
        # Kept for hooks that want to be told of the answer or the end, and only where there are any.
        self.facts: Facts | None = None
        self.named_hooks: tuple[str, ...] = ()
        self.tags: tuple[str, ...] = ()
        self.limits: tuple[Limit, ...] = ()
        self.stale = False  # its credentials were good once
        self.recorded = False  # its end has been told

    def leg(self, side: Side) -> Leg:
        """The leg on ``side``; the callee's exists once a connection to it does."""
        found = self.a if side == "a" else self.b
        assert found is not None, "a dialog on a side implies its leg"
        return found

    # Timers: the deadline here is the truth, an entry in the engine's heap is only a reminder, of
    # which a call has one: what an ended call left in the heap would pin memory for minutes.

    def schedule(self, name: str, deadline: float) -> None:
        """Call ``on_timer`` of whoever owns ``name`` at ``deadline``, unless cancelled or moved."""
        self.timers[name] = deadline
        self._remind(deadline)

    def _remind(self, deadline: float) -> None:
        if deadline < self.reminded_at:
            self.reminded_at = deadline
            self.engine.remind(deadline, self.id)

    def cancel_timer(self, name: str) -> None:
        """Forget a timer; it need not be running."""
        self.timers.pop(name, None)

    def on_reminder(self, now: float, out: list[Command]) -> None:
        """The reminder came: fire what is due, the earliest first, and be reminded of the rest."""
        self.reminded_at = NEVER
        while self.timers:
            name = min(self.timers, key=self.timers.__getitem__)
            if self.timers[name] > now:
                self._remind(self.timers[name])
                break
            self.on_timer(name, now, out)

    def on_timer(self, name: str, now: float, out: list[Command]) -> None:
        """A timer's deadline came."""
        del self.timers[name]
        if self.setup is not None:
            self.setup.on_timer(name, now, out)

    # Media: requests are answered in order, so a response that waits for none keeps its place too.

    def ask_media(self, command: OfferMedia | AnswerMedia, then: AfterMedia, out: list[Command]) -> None:
        """Leave ``command`` and go on with ``then`` when its answer comes."""
        self.has_media = True
        self.offerer = command.side if isinstance(command, OfferMedia) else None
        self.media_waits.append(then)
        out.append(command)

    def after_media(self, then: AfterMedia, now: float, out: list[Command]) -> None:
        """Go on with ``then`` once every earlier media request has been answered."""
        if self.media_waits:
            self.media_waits.append(then)
        else:
            then(b"", None, now, out)

    def media_ready(self, sdp: bytes, error: PeerError | None, now: float, out: list[Command]) -> None:
        """The oldest media request was answered, or refused with ``error``."""
        if not self.media_waits:
            return
        self.media_waits.popleft()(sdp, error, now, out)

    # Dialogs

    def add_fork(self, tag: str, fork: Fork) -> None:
        """A branch of the callee showed itself under ``tag``."""
        self.forks[tag] = fork
        self.engine.reception.register(fork, self)

    def early_answer(self, fork: Fork) -> bytes:
        """What ``fork`` answered the INVITE with before its 2xx, where another may have answered since.

        The media follows the last answer; a 2xx without SDP means that of its own fork (RFC 3262 5). Where
        another offer followed in any of them, the INVITE's can no longer be answered.
        """
        forks = self.forks.values()
        alone = self.setup is None or not self.setup.offer or len(forks) < 2
        return b"" if alone or any(each.renewed for each in forks) else fork.early

    def keep_only(self, fork: Fork) -> None:
        """``fork`` answered; the other early dialogs are over."""
        self.fork = fork
        fork.early = b""
        for tag, each in list(self.forks.items()):
            if each is not fork:
                self.engine.reception.unregister(each)
                del self.forks[tag]

    def drop_forks(self) -> None:
        """All early dialogs are over: the attempt that made them failed."""
        for fork in self.forks.values():
            self.engine.reception.unregister(fork)
        self.forks.clear()

    # Requests of our own within a dialog

    def send(
        self, fork: Fork, side: Side, request: Request, user: Awaiting, now: float, out: list[Command]
    ) -> None:
        """Send ``request`` of the dialog on ``side``, over a new connection if the old one died."""
        self.engine.send(self, self.leg(side), fork.dialog(side), request, user, now, out)

    def request(self, fork: Fork, side: Side, method: str) -> Request:
        """A request of ours within the dialog on ``side``."""
        leg = self.leg(side)
        via = leg.via(self.engine.transactions.new_branch())
        return fork.dialog(side).request(method, via=via, contact=leg.contact)

    def ack(self, fork: Fork, side: Side, cseq: int) -> Request:
        """The ACK for a 2xx to our INVITE numbered ``cseq`` (RFC 3261 13.2.2.4)."""
        leg = self.leg(side)
        via = leg.via(self.engine.transactions.new_branch())
        return fork.dialog(side).request("ACK", via=via, contact=leg.contact, cseq=cseq)

    def on_up(self, now: float, out: list[Command]) -> None:
        """The caller's ACK closed the first three-way handshake; what led there may be let go of."""
        self.state = "up"
        if self.setup is not None:
            self.setup.let_go()
            self.setup = None
        out.append(Note("call-up", self.id, {"setup_time": round(now - self.created, 3)}))
        hooks = self.snapshot.hooks.answer
        if hooks:
            run(self, hooks, answer_of(self, now), out)

    def on_hooks(
        self, result: Invited | Decision | HangUp | None, failed: str, now: float, out: list[Command]
    ) -> None:
        """Hooks have run for this call; ``failed`` is the place of one that failed and is not skipped."""
        if self.setup is not None:
            if failed:
                self.setup.on_hook_failure(failed, now, out)
            elif isinstance(result, Invited):
                self.setup.on_invited(result, now, out)
            elif result is not None and not isinstance(result, HangUp):
                self.setup.on_decision(result, now, out)
        elif failed:
            self.clear(f"hook failed: {failed}", now, out)
        elif isinstance(result, HangUp):
            self.clear(result.reason, now, out)

    # The end

    def hang_up(self, side: Side, now: float, out: list[Command], bye: Request | None = None) -> None:
        """Send BYE on ``side`` where its dialog is confirmed; a 2xx that it gave is acknowledged before.

        ``bye`` is the other side's: its Reason and User-to-User cross (RFC 3326, RFC 7433).
        """
        for answered in self.answered_invites.values():
            answered.settle(side, out)
        if self.fork is not None and self.fork.dialog(side).state == "confirmed":
            request = self.request(self.fork, side, "BYE")
            if bye is not None:
                trusted = self.leg(other(side)).flow.trusted
                request.headers.extend(carried(bye, trusted, self.leg(side).flow.trusted))
            self.send(self.fork, side, request, NOBODY, now, out)
            self.fork.dialog(side).end()

    def on_bye(self, side: Side, bye: Request, now: float, out: list[Command]) -> None:
        """The peer on ``side`` hung up; before there was an answer that ends the INVITE too (RFC 3261 15)."""
        if self.setup is not None and self.state not in ("answered", "up"):
            status, why = 487 if side == "a" else 480, "BYE in an early dialog"
            self.setup.abandon(status, "", why, now, out, reasons(bye) if side == "a" else ())
            return
        for answered in self.answered_invites.values():
            answered.overtaken(side, now, out)
        if self.fork is not None:
            self.fork.dialog(side).end()
        self.hang_up(other(side), now, out, bye)
        self.end("normal", "caller" if side == "a" else "callee", now, out)

    def clear(self, reason: str, now: float, out: list[Command]) -> None:
        """End the call from our side: BYE to both, or before the answer a refusal and a CANCEL."""
        if self.setup is not None and self.state not in ("answered", "up"):
            self.setup.abandon(480, "", reason, now, out)
            return
        self.hang_up("a", now, out)
        self.hang_up("b", now, out)
        self.end(reason, "us", now, out)

    def end(self, reason: str, by: str, now: float, out: list[Command], status: int = 0) -> None:
        """The call is over: media, timers, limits and dialogs are given back. Idempotent."""
        if self.state == "ended":
            return
        self.state = "ended"
        self.timers.clear()
        self.media_waits.clear()
        while self.mirrors:
            self.mirrors[-1].abandon(now, out)
        self.answered_invites.clear()
        self.drop_forks()
        if self.setup is not None:
            self.setup.let_go()
            self.setup = None
        if self.has_media:
            self.has_media = False
            out.append(DeleteMedia(self.id))
        out.append(Note("call-ended", self.id, self.record(reason, by, status, now)))
        self.recorded = True
        hooks = self.snapshot.hooks.end
        if hooks:
            run(self, hooks, end_of(self, reason, by, status, now), out)
        self.engine.forget(self)  # last: what failed before this is found again, and cleared up

    def record(self, reason: str, by: str, status: int, now: float) -> dict[str, object]:
        """What the call's record tells of it."""
        answered, date = self.answered_at, self.engine.date
        return {
            "caller": self.caller, "called": self.called, "rule": self.rule,
            "from": self.a.trunk.trunk, "to": self.b.trunk.trunk if self.b else "",
            "status": status or (200 if answered else 0), "reason": reason, "by": by,
            "created": date(self.created), "answered": date(answered) if answered else 0.0,
            "ended": date(now),
            "duration": now - answered if answered else 0.0,
            "downgraded": self.downgraded, "tags": self.tags, "a": self.a.flow,
            "b": self.b.flow if self.b else None, "peer": self.b.target if self.b else "",
        }  # fmt: skip


class _Nobody:
    """Waits for responses that change nothing, such as those to our BYE."""

    call = None

    def on_response(self, response: Response, now: float, out: list[Command]) -> None:
        """Nothing to do."""

    def on_failure(self, kind: str, now: float, out: list[Command]) -> None:
        """Nothing to do."""


NOBODY = _Nobody()
