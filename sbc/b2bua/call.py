"""A call: two legs that exchange what was said on either, under the snapshot it began with.

The call keeps what outlives a transaction: the legs, the pairs of dialogs (a callee that forks
shows several until one of them answers), the timers and the order of media requests. What may become of it
is a table (``states``, run by ``life``). The INVITE's way to the callee is in ``setup``, a 2xx and its ACK
in ``answered``, every other request within the dialogs in ``mirror``; of these the call knows what it asks
of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappush
from typing import Any, Final, Protocol

from dsl.decision import Decision, Limit, Route
from dsl.facts import Facts
from dsl.services import Answer
from sbc.b2bua.commands import AnswerMedia, Command, Invited, Note, OfferMedia, RollbackMedia
from sbc.b2bua.desk import Awaiting, Desk
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.leg import Leg, Side
from sbc.b2bua.states import ROUTING, Ending, State
from sbc.b2bua.transfers import Refers
from sbc.b2bua.translate import Fields
from sbc.base import Address, PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.media.policy import MediaPolicy
from sbc.policy.limits import CallerBounds, Refused, TenantBounds
from sbc.policy.privacy import ANONYMOUS
from sbc.sip.message import Request, Response
from sbc.sip.timers import NEVER

AfterMedia = Callable[[bytes, "PeerError | None", float, list[Command]], None]
Keep = Callable[["Call", str, float, list[Command]], None]
#: The timer of a call that may not last longer than its rule lets it.
LONGEST: Final = "longest"
_OF_THE_SESSION: Final = ("refresh ", "expire ", LONGEST)


class SettingUp(Protocol):
    """The way to a callee, while nobody's answer has been acknowledged: ``sbc.b2bua.setup.Setup``."""

    def on_hooks(self, result: Invited | Decision, at: float, out: list[Command]) -> None:
        """Hooks before or after the rules have spoken."""

    def on_answer(self, answer: Answer | None, at: float, out: list[Command]) -> None:
        """A service that a rule asked has answered; None: it never will."""

    def on_timer(self, name: str, at: float, out: list[Command]) -> None:
        """A timer of the call is due."""

    def withdraw(self, ending: Ending, at: float, out: list[Command]) -> None:
        """Nobody wants an answer any more: CANCEL what was sent, and tell the caller."""

    def redirected(self, response: Response, at: float, out: list[Command]) -> None:
        """The callee of the last hop named other places (3xx)."""

    def goes_on(self, ending: Ending, at: float, out: list[Command]) -> bool:
        """Whether the call, instead of its end, is tried at another place that a callee has named."""

    def let_go(self) -> None:
        """The call is up or over: keep no message."""


class Unacknowledged(Protocol):
    """A 2xx whose ACK has not come yet: ``sbc.b2bua.answered.AnsweredInvite``."""

    def on_ack(self, ack: Request, at: float, out: list[Command]) -> None:
        """The ACK came."""

    def acknowledge(self, side: Side, at: float, out: list[Command]) -> None:
        """The call ends first: ``side`` gets an ACK of ours, if it gave the 2xx."""

    def overtaken(self, side: Side, at: float, out: list[Command]) -> None:
        """``side`` said BYE before there was an ACK."""


class Crossing(Protocol):
    """A request within the dialogs that is not answered yet: a ``Mirror``, or a ``Refresh`` of our own.

    A ``Referral`` too, until the one who was referred is connected.
    """

    def abandon(self, at: float, out: list[Command]) -> None:
        """The call ends first: answer it, and take it out of the call's ``mirrors``."""

    def outlives(self, side: Side) -> bool:
        """Whether it goes on though ``side`` has hung up."""


class Call:
    """Two legs and all that they share.

    While it is up and nothing is under way (no ``setup``, ``mirrors``, ``answered_invites``, ``media_waits``)
    it holds plain data alone, beside the desk, the snapshot and its legs' flows: it could be written down.
    """

    __slots__ = (
        "a",
        "admitted",
        "agreed",
        "answered_at",
        "answered_invites",
        "answers",
        "asserted",
        "b",
        "before",
        "called",
        "caller",
        "created",
        "demands",
        "desk",
        "downgrades",
        "emergency",
        "facts",
        "fax",
        "fork",
        "forks",
        "has_media",
        "heard_at",
        "held",
        "id",
        "introduced",
        "limits",
        "linked",
        "longest",
        "media_waits",
        "mirrors",
        "named_hooks",
        "offered",
        "offered_early",
        "offerer",
        "offers",
        "one_way",
        "policies",
        "recorded",
        "redirected",
        "referred",
        "refers",
        "reminded_at",
        "replacing",
        "reserve_of",
        "rival",
        "rule",
        "setup",
        "snapshot",
        "state",
        "tags",
        "timers",
        "tried",
        "trying",
        "until",
    )  # fmt: skip

    def __init__(self, desk: Desk, id: str, snapshot: Snapshot, a: Leg, at: float) -> None:
        self.desk, self.id, self.snapshot, self.a = desk, id, snapshot, a
        desk.dialogs.call_ids.add(a.call_id, id, a.name, "a")
        self.b: Leg | None = None
        self.trying: tuple[Leg, ...] = ()  # those of several callees that are tried at once
        self.state: State = ROUTING
        self.forks: dict[str, Fork] = {}
        self.fork: Fork | None = None
        self.timers: dict[str, float] = {}
        self.created, self.reminded_at = at, NEVER
        self.media_waits: deque[tuple[OfferMedia | AnswerMedia | None, AfterMedia]] = deque()
        # The description that each side gave last and the one that it has of us, and the offer as it came and
        # as it went on: what a re-INVITE that only refreshes the session repeats (RFC 4028 7.4).
        self.agreed: dict[Side, tuple[bytes, bytes]] = {}
        self.before: dict[Side, tuple[bytes, bytes]] | None = None  # what was agreed when the last offer came
        self.offered: tuple[bytes, bytes] = b"", b""
        self.offers = 0  # so many were made: an earlier one than the last is open no more
        self.answered_invites: dict[tuple[Side, int], Unacknowledged] = {}
        self.mirrors: list[Crossing] = []  # requests within the dialogs that nobody has answered yet
        self.policies: dict[Side, MediaPolicy] = {}
        self.heard_at = self.answered_at = 0.0  # first told that it rings, or of the answer; the answer
        self.tried: tuple[str, Address | None] = "", None  # the trunk and the peer that came last
        self.admitted: list[Trunk | TenantBounds | CallerBounds] = []  # whom it counts for, in order
        self.held = 0  # so many of these count to the end, whatever becomes of a hop
        self.redirected: tuple[str, str] = "", ""  # for whom it was before a redirect, and whose that was
        self.refers: Refers = ()  # those that crossed it
        # Who referred the caller, and on which trunk; while that is under way, the other of its two calls.
        self.referred: tuple[str, str] = "", ""
        self.linked: Call | None = None
        self.rival: Call | None = None  # where one call takes a side of another over: the other of the two
        self.replacing: tuple[str, str] = "", ""  # the dialog that the callee is to replace (RFC 3891), whose
        self.demands = False, False, False, False  # SRTP; no leg without TLS; recording; with a tone
        self.longest, self.until = 0, 0.0  # seconds from the answer on, and when they end; 0: no bound
        self.introduced: Fields = ()  # what the caller said of itself beside From
        # ``asserted``: by the caller's network; ``reserve_of``: whose reserve has it; ``recorded``: its end.
        self.rule = self.caller = self.called = self.asserted = self.reserve_of = self.one_way = ""
        # Trunks that it went on to without TLS though SIPS was promised ("": a redirection), and what let it.
        self.downgrades: tuple[tuple[str, str], ...] = ()
        self.emergency = self.has_media = self.fax = self.recorded = False
        # The callee's offer came in a reliable provisional response: PRACK holds its answer (RFC 3262 5).
        self.offered_early: Fork | None = None
        # Who has an offer under way that nobody has answered yet (RFC 3264 4, RFC 3311 5.2).
        self.offerer: Side | None = None
        self.setup: SettingUp | None = None
        # Kept for hooks that want to be told of the answer or the end, and only where there are any.
        self.facts: Facts | None = None
        self.named_hooks: tuple[str, ...] = ()
        self.tags: tuple[str, ...] = ()
        self.answers: dict[str, Mapping[str, Any]] | None = None  # what services have said of it
        self.limits: tuple[Limit, ...] = ()

    def reserve(self, at: float) -> None:
        """Take a place of the reserve that the caller's trunk has for emergency calls."""
        self.reserve_of = self.a.name
        self.desk.reserves.hold(self.reserve_of, at)

    def leg(self, side: Side) -> Leg:
        """The leg on ``side``; the callee's exists once a connection to it does."""
        found = self.a if side == "a" else self.b
        assert found is not None, "a dialog on a side implies its leg"
        return found

    def leg_in(self, fork: Fork, side: Side) -> Leg:
        """The leg of the dialog on ``side`` of ``fork``, which may be that of one of several callees."""
        return fork.leg if side == "b" and fork.leg is not None else self.leg(side)

    # Timers: the deadline here is the truth, an entry in the engine's heap is only a reminder, of
    # which a call has one: what an ended call left in the heap would pin memory for minutes.

    def schedule(self, name: str, deadline: float) -> None:
        """Let a timer be due at ``deadline``, unless cancelled or moved."""
        self.timers[name] = deadline
        if deadline < self.reminded_at:
            self.reminded_at = deadline
            heappush(self.desk.reminders, (deadline, self.id))

    def cancel_timer(self, name: str) -> None:
        """Forget a timer; it need not be running."""
        self.timers.pop(name, None)

    def on_reminder(self, at: float, keep: Keep, out: list[Command]) -> None:
        """The reminder came: fire what is due, the earliest first, and be reminded of the rest.

        ``keep`` is told of the timers of what is up, the setup of all others.
        """
        self.reminded_at = NEVER
        while self.timers:
            name = min(self.timers, key=self.timers.__getitem__)
            if self.timers[name] > at:
                self.schedule(name, self.timers[name])
                break
            del self.timers[name]
            if name.startswith(_OF_THE_SESSION):
                keep(self, name, at, out)
            elif self.setup is not None:
                self.setup.on_timer(name, at, out)

    # Media: requests are answered in order, so a response that waits for none keeps its place too.

    def ask_media(self, command: OfferMedia | AnswerMedia, then: AfterMedia, out: list[Command]) -> None:
        """Leave ``command`` and go on with ``then`` when its answer comes."""
        self.has_media = True
        self.offerer = command.side if isinstance(command, OfferMedia) else None
        self.media_waits.append((command, then))
        out.append(command)

    def media_refused(self, side: Side, error: PeerError, out: list[Command]) -> None:
        """Tell why SDP of ``side`` is of no use: it may not be used, or (503) there is no port for it."""
        event = "ports-refused" if error.status == 503 else "media-refused"
        out.append(Note(event, self.id, {"side": side, "reason": error.reason}))

    def after_media(self, then: AfterMedia, at: float, out: list[Command]) -> None:
        """Go on with ``then`` once every earlier media request has been answered."""
        if self.media_waits:
            self.media_waits.append((None, then))
        else:
            then(b"", None, at, out)

    def media_ready(self, sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
        """The oldest media request was answered, or refused with ``error``."""
        if not self.media_waits:
            return
        command, then = self.media_waits.popleft()
        if command is None or error is not None:
            pass
        elif isinstance(command, OfferMedia):
            self.offers += 1
            self.offered, self.before = (command.sdp, sdp), self.agreed.copy()
        else:  # with the answer it is known what holds
            side, (came, went) = command.side, self.offered
            self.agreed[side] = command.sdp, went
            self.agreed["b" if side == "a" else "a"] = came, sdp
        then(sdp, error, at, out)

    def roll_back(self, out: list[Command]) -> None:
        """Nothing comes of the last offer, answered or not: media and descriptions are as before."""
        out.append(RollbackMedia(self.id))
        if self.before is not None:
            self.agreed, self.before = self.before, None

    def heard(self, side: Side) -> bytes:
        """The description that holds of ``side``, as it gave it; empty where none is known."""
        return self.agreed[side][0] if side in self.agreed else b""

    def described(self, side: Side) -> bytes:
        """The description that ``side`` has of us; empty where none is known."""
        return self.agreed[side][1] if side in self.agreed else b""

    # Dialogs

    def add_fork(self, tag: str, fork: Fork) -> None:
        """A branch of the callee showed itself under ``tag``."""
        self.forks[tag] = fork
        self.desk.dialogs.register(self.id, fork)

    def keep_only(self, fork: Fork) -> None:
        """``fork`` answered; the other early dialogs are over."""
        self.fork = fork
        fork.early = fork.accepted = fork.withheld = b""
        fork.settled = None
        if self.offered_early is not fork:
            self.offered_early = None
        for tag, each in list(self.forks.items()):
            if each is not fork:
                self.desk.dialogs.unregister(each)
                del self.forks[tag]

    def drop_forks(self) -> None:
        """All early dialogs are over: the attempt that made them failed."""
        for fork in self.forks.values():
            self.desk.dialogs.unregister(fork)
        self.forks.clear()

    def drop_forks_of(self, leg: Leg) -> None:
        """The early dialogs of one of several callees are over."""
        for tag, each in list(self.forks.items()):
            if each.leg is leg:
                self.desk.dialogs.unregister(each)
                del self.forks[tag]

    # Requests of our own within a dialog

    def send(
        self, fork: Fork, side: Side, request: Request, user: Awaiting, at: float, out: list[Command]
    ) -> None:
        """Send ``request`` of the dialog on ``side``, over a new connection if the old one died."""
        self.desk.send(self, self.leg(side), fork.dialog(side), request, user, at, out)

    def request(self, fork: Fork, side: Side, method: str) -> Request:
        """A request of ours within the dialog on ``side``."""
        leg = self.leg(side)
        via = leg.via(self.desk.ids.branch())
        return fork.dialog(side).request(method, via=via, contact=leg.contact)

    def ack(self, fork: Fork, side: Side, cseq: int) -> Request:
        """The ACK for a 2xx to our INVITE numbered ``cseq`` (RFC 3261 13.2.2.4)."""
        leg = self.leg(side)
        via = leg.via(self.desk.ids.branch())
        return fork.dialog(side).request("ACK", via=via, contact=leg.contact, cseq=cseq)


def admit_caller(
    call: Call, trunk: Trunk, caller: str, at: float, always: bool, after: Call | None = None
) -> Refused | None:
    """Count ``call``, which begins, for ``caller``, whose it is, for its trunk and for its tenant.

    That is who has proved to call, else the user in From; those who are anonymous are not told apart, and not
    counted. ``always``: no limit is asked. Where the caller gives up the call ``after`` for it, that one does
    not count against it.
    """
    limits = call.desk.limits
    if not always and caller and caller != ANONYMOUS:
        given_up = [each.trunk for each in after.admitted] if after is not None else []
        tenant = call.snapshot.tenant_bounds.get(trunk.tenant or "")
        bounds = [(f"trunk {trunk.trunk}", trunk.limits.calls_per_caller)]
        if tenant is not None:
            bounds.append((tenant.trunk, tenant.limits.calls_per_caller))
        for whose, most in bounds:
            if most is None:
                continue
            bound = CallerBounds(caller, whose, most)
            if bound.trunk in given_up:
                bound = CallerBounds(caller, whose, most + 1)
            refusal = limits.admit_caller(bound, at)
            if refusal is not None:
                release(call, 0)
                return refusal
            call.admitted.append(bound)
    refusal = admit(call, trunk, at, always)
    if refusal is not None:
        release(call, 0)
    return refusal


def admit(call: Call, trunk: Trunk, at: float, always: bool) -> Refused | None:
    """Count ``call`` for ``trunk``, and for its tenant unless it does already; or say who refuses it.

    ``always``: nobody does.
    """
    tenant = _uncounted(call, trunk.tenant) if trunk.tenant is not None else None
    refusal = call.desk.limits.admit(trunk, at, always, tenant)
    if refusal is None:
        call.admitted.append(trunk)
        if tenant is not None:
            call.admitted.append(tenant)
    return refusal


def count(call: Call, trunk: Trunk) -> None:
    """Count ``call`` for ``trunk``, and for its tenant, whose former call it goes on: no limit is asked."""
    tenant, limits = None, call.desk.limits
    if trunk.tenant is not None:
        tenant = _uncounted(call, trunk.tenant)
    limits.resume(trunk)
    call.admitted.append(trunk)
    if tenant is not None:
        limits.resume(tenant)
        call.admitted.append(tenant)


def _uncounted(call: Call, name: str) -> TenantBounds | None:
    """The tenant of this name, where ``call`` does not count for it yet."""
    tenant = call.snapshot.tenant_bounds.get(name)
    counted = tenant is None or any([each.trunk == tenant.trunk for each in call.admitted])
    return None if counted else tenant


def release(call: Call, held: int) -> None:
    """Let ``call`` count for the first ``held`` alone of what it counts for."""
    while len(call.admitted) > held:
        call.desk.limits.release(call.admitted[-1])
        call.admitted.pop()


def talk(call: Call, route: Route | None, at: float) -> None:
    """``call`` is answered, by way of ``route``: it counts from now on where its time is counted."""
    call.answered_at = at
    if route is not None and route.remember:
        call.desk.memory.keep(route.remember, call.desk.date(at))
    if call.limits:
        call.desk.rule_limits.begin(call.limits, call.id, at, call.desk.date(at))


def counted_on(call: Call, leaving: Side) -> tuple[Limit, ...]:
    """The limits of time of ``call``, which go on where its callee goes on when ``leaving`` has left."""
    if leaving == "b":
        return ()
    return tuple([each for each in call.limits if each.window is not None and each.window.of != "calls"])


def inherit(call: Call, held: Call, leaving: Side) -> None:
    """``call`` takes the place of ``leaving`` in ``held``: what binds that one binds it too."""
    call.demands, call.until = held.demands, held.until
    call.limits = counted_on(held, leaving)


def carry_on(call: Call, held: Call, leaving: Side, at: float) -> None:
    """Let ``call`` be one of the calls at once that ``held`` was, whose callee is of it from now on.

    It counts before ``held`` ends, and no limit is asked; ``leaving`` is the side of ``held`` that is left.
    """
    if leaving == "b":
        return
    known = [each.key for each in call.limits]
    more = tuple([
        each for each in held.limits
        if each.window is None and not each.seconds and each.key not in known
    ])  # fmt: skip
    if more:
        call.desk.rule_limits.resume(more, at)
        call.limits += more


def forget(call: Call, at: float) -> None:
    """A call is over and holds nothing any more; harmless twice."""
    desk = call.desk
    release(call, 0)
    if call.reserve_of:
        desk.reserves.release(call.reserve_of)
        call.reserve_of = ""
    if call.limits:
        desk.rule_limits.release(call.limits, call.id, at, desk.date(at))
        call.limits = ()
    desk.forget(call.id)
