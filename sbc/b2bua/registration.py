"""Registration: REGISTER to the registrar of each trunk that asks for it (RFC 3261 10.2, RFC 5626, RFC 6140).

A trunk is registered over the connection that its calls go out on, and the carrier's calls come in on that
one (RFC 5626 5.3): it was opened to a peer of the trunk, so what comes on it is the trunk's. A binding is
renewed well before it ends, and at once where its connection closes, or the trunk's file is saved. What fails
is tried at the trunk's next peer, and when all have failed again after a time that doubles (RFC 5626 4.5), so
that a registrar that comes up again is not drowned. A trunk that is gone, and all when we stop, take their
binding back.

``Registration`` is one trunk's, ``Turn`` one REGISTER of it through its challenges; a turn that is not the
present one any more is heard by nobody. Those of all trunks are in ``sbc.b2bua.registrations``.
"""

from __future__ import annotations

from typing import Final, Literal

from sbc.b2bua.commands import Command, Note
from sbc.b2bua.desk import Desk, Subject
from sbc.b2bua.leg import Leg, local_address
from sbc.b2bua.peers import Home
from sbc.b2bua.proofs import CHALLENGES, Given, repeat
from sbc.b2bua.register import (
    address_of_record,
    contact,
    granted_by,
    kept,
    register,
    retry_after,
    seconds,
    service_route,
)
from sbc.base import Address
from sbc.config.model import Registration as Terms
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.sip.digest import Challenge
from sbc.sip.message import Request, Response

State = Literal["trying", "registered", "failed"]

# RFC 5626 4.5: the first wait, before it is doubled, and the longest one, in seconds.
BASE_WAIT: Final = 30.0
LONGEST_WAIT: Final = 1800.0
# The shortest one while the binding still holds, though its end be near.
LEAST_WAIT: Final = 5.0
# How many failures to renew it count for the waits after its end.
HELD: Final = 2
# A long binding is renewed so many seconds before its end, a short one after half of it.
AHEAD: Final = 600.0
# No connection and no transaction takes longer, in seconds; what does is held up by a fault of our own.
STUCK: Final = 120.0
# The longest Min-Expires that is believed, in seconds: a week.
MOST_MINIMUM: Final = 604800
# What may be behind a refusal, for whoever reads the status.
_HINTS: Final = {
    403: ": it refuses this user, or its password",
    404: ": it does not know this user",
    420: ": it lacks an extension; without `bulk` none is asked for",
}  # fmt: skip


class Turn:
    """One REGISTER and what it took to be answered; the user of its transactions."""

    __slots__ = ("_of", "call", "flow", "given", "leaving", "leg", "lengthened", "request")

    def __init__(self, of: Registration, flow: Flow, request: Request, leaving: bool) -> None:
        self.call: Subject | None = None
        self.leg: Leg | None = None
        self.flow = flow
        self.request = request
        self.leaving = leaving
        self.given = Given()
        self.lengthened = False
        self._of = of

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The registrar answered."""
        if response.status >= 200:
            self._of.on_answer(self, response, at, out)

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No answer came."""
        silent = "no answer to REGISTER" if kind == "timeout" else ""
        self._of.on_silence(self, silent or self.flow.ended or "the connection closed", at, out)


class Registration:
    """One trunk's; times are of the monotonic clock, ``until`` is when its binding ends, 0 for none.

    ``reason`` is why it last failed, "" where it has not; ``associated`` are the numbers that are ours as the
    carrier says (RFC 7315 4.1), ``routes`` its Service-Route (RFC 3608). ``terms`` is the trunk's
    `register:`, ``secret`` what its challenges are answered by, ``generation`` whom it trusted when it asked.
    """

    __slots__ = (
        "_asked_at", "_call_id", "_challenges", "_closings", "_connecting", "_cseq", "_desk", "_failures",
        "_leg", "_minimum", "_outbound", "_peers", "_rests", "_servers", "_shown", "_tag", "_turn",
        "associated", "contact", "due", "flow", "generation", "peer", "reason", "routes", "secret", "since",
        "state", "terms", "trunk", "until",
    )  # fmt: skip

    def __init__(self, desk: Desk, trunk: Trunk, terms: Terms) -> None:
        self.trunk = trunk
        self.terms = terms
        self.secret = desk.store.current.accounts.get(trunk.trunk)
        self.state: State = "trying"
        self.reason = ""
        self.flow: Flow | None = None
        self.generation = ""
        self.peer: Address | None = None
        self.contact = ""
        self.since = self.until = self.due = 0.0
        self.routes: tuple[str, ...] = ()
        self.associated: tuple[str, ...] = ()
        self._desk = desk
        self._call_id, self._tag, self._cseq = desk.ids.call_id(), desk.ids.tag(), 0
        self._challenges: dict[str, Challenge] = {}
        self._asked_at = 0.0  # when the last connection or REGISTER was asked for
        self._connecting = 0  # which attempt to connect is meant; one that was given up counts no more
        self._turn: Turn | None = None
        self._leg: Leg | None = None  # of the last REGISTER
        self._peers: tuple[Address, ...] = ()  # those not tried yet
        self._rests: dict[Address, float] = {}  # until when a peer wants to be left alone
        self._failures = 0
        self._closings = 0  # how often in a row its connection closed soon after it was registered
        self._minimum = 0
        self._outbound = True  # calls are wanted on the connection that registers (RFC 5626)
        self._shown: Address | None = None  # where its listener was to be found when it last asked
        self._servers: tuple[Address, ...] = ()  # of a trunk with domains, when it was looked at last

    @property
    def address(self) -> str:
        """The address of record."""
        return address_of_record(self.trunk, self.terms)

    # What the operator did

    def follow(self, trunk: Trunk, terms: Terms) -> None:
        """The trunk's file was saved, or its password: register anew with what it says now, at once."""
        self.trunk, self.terms = trunk, terms
        self.secret = self._desk.store.current.accounts.get(trunk.trunk)
        self._challenges.clear()
        self._give_up()
        self._minimum, self._outbound = 0, True
        self.hurry()

    def hurry(self) -> None:
        """Wait no longer: what failed may be mended."""
        self.due, self._failures, self._closings = 0.0, 0, 0
        self._rests.clear()

    def same_binding(self, trunk: Trunk, terms: Terms) -> bool:
        """Whether what is registered is the same by a trunk, and by its listener, as they are now."""
        former, then = self.terms, self.trunk
        return (
            self._shown in (None, _advertised(self._desk, trunk))
            and (former.user, former.domain, former.bulk) == (terms.user, terms.domain, terms.bulk)
            and (then.listener, then.scheme, then.domain) == (trunk.listener, trunk.scheme, trunk.domain)
            and (terms.domain is not None or then.peers[:1] == trunk.peers[:1])
        )

    def leave(self, at: float, out: list[Command]) -> bool:
        """Take the binding back (RFC 3261 10.2.2); True where there is one, and its registrar can be told."""
        self._give_up()
        leg, bound = self._leg, self.until > at
        self._desk.peers.homes.pop(self.trunk.trunk, None)
        if not bound or leg is None or leg.flow is not self.flow or not leg.flow.alive:
            return False
        self.until = 0.0
        out.append(Note("unregistered", "", {"trunk": self.trunk.trunk, "user": self.terms.user}))
        self._send(leg, 0, at, out)
        return True

    @property
    def busy(self) -> bool:
        """Whether a REGISTER of it is still without its answer."""
        return self._turn is not None

    def _give_up(self) -> None:
        self._turn = None
        self._connecting += 1
        self._peers = ()

    # Time

    def tick(self, at: float, out: list[Command]) -> None:
        """Look after it, about every second."""
        if self.state == "registered" and self.flow is not None and not self.flow.alive:
            self._on_lost(self.flow.ended or "the connection closed", at, out)
        elif self.state == "registered" and self.until <= at:
            self._on_over(self.reason or "the binding was not renewed in time", at, out)
        if self.trunk.domains:
            self._follow_servers(at)
        if self._turn is None and not self._peers:
            if self.due <= at:
                self._begin(at, out)
        elif at - self._asked_at > STUCK + self.trunk.dial_timeout:
            self._fail("nothing came of it, by a fault of our own", at, out)

    def _follow_servers(self, at: float) -> None:
        """DNS names other servers: what failed for want of any is tried at once, and what is at none of them.

        A name server that tells everybody something else each time hurries us no oftener than ``BASE_WAIT``.
        """
        servers = self._desk.peers.located.members(self.trunk)
        if servers == self._servers:
            return
        former, self._servers = self._servers, servers
        if self.state == "failed":
            if not any(each.port for each in former):
                self.hurry()
        elif self.peer is not None and self.peer not in servers and at - self.since >= BASE_WAIT:
            self.due = min(self.due, at)

    def _on_lost(self, reason: str, at: float, out: list[Command]) -> None:
        """The connection that registered is gone, and no call would find us: again, over another.

        At once; a registrar that closes it again and again is given time.
        """
        self._closings = self._closings + 1 if at - self.since < BASE_WAIT else 0
        self._failures = max(0, self._closings - 1)
        self._on_over(reason, at, out)
        self.due = at + self._wait() if self._failures else at

    def _on_over(self, reason: str, at: float, out: list[Command]) -> None:
        self._give_up()
        self.state, self.reason, self.until = "failed", reason, 0.0
        self._desk.peers.homes.pop(self.trunk.trunk, None)
        out.append(Note("registration-lost", "", {"trunk": self.trunk.trunk, "reason": reason}))

    def _begin(self, at: float, out: list[Command]) -> None:
        why = self._desk.store.current.why_quarantined(self.trunk.trunk)
        if why:
            self.state, self.reason = "failed", f"the trunk is quarantined: {why}"
            return
        peers = self._candidates(at)
        self._rests = {peer: until for peer, until in self._rests.items() if until > at}
        self._peers = tuple([each for each in peers if each not in self._rests]) or peers
        self._next(at, out)

    def _candidates(self, at: float) -> tuple[Address, ...]:
        """The peers that may have our registrar, the first to be tried first."""
        proxy = self.terms.outbound_proxy
        if proxy is not None:
            return (proxy,)
        return self._desk.peers.fit(self.trunk, at) or self.trunk.peers

    def _next(self, at: float, out: list[Command]) -> None:
        """Connect to the next peer that has not been tried."""
        peer = self._peers[0]
        self._asked_at = at
        self._connecting += 1
        asked = self._connecting

        def then(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if asked != self._connecting:
                return
            if flow is None:
                self._on_peer_failure(reason, at, out)
            else:
                self._start(flow, peer, at, out)

        self._desk.connect("", self.trunk, ((peer,), ()), self._desk.store.current, then, out)

    # One REGISTER

    def _start(self, flow: Flow, peer: Address, at: float, out: list[Command]) -> None:
        trunk, terms = self.trunk, self.terms
        listener = self._desk.store.current.settings.listeners[trunk.listener]
        self._shown = _advertised(self._desk, trunk)
        leg = self._desk.leg_to(trunk, flow, local_address(listener, trunk, flow), peer)
        self._leg, self.peer, self.contact = leg, leg.peer, contact(leg, terms, self._outbound)
        self.generation = self._desk.store.current.trust_generations[trunk.trunk]
        expires = max(int(terms.expires), self._minimum)
        fields = {
            "trunk": trunk.trunk, "transport": flow.transport.upper(), "scheme": trunk.scheme,
            "user": terms.user, "registrar": self.peer, "expires": expires,
        }  # fmt: skip
        out.append(Note("register", "", fields))
        self._send(leg, expires, at, out)

    def _send(self, leg: Leg, expires: int, at: float, out: list[Command]) -> None:
        """REGISTER, with the credentials that were good last: they spare a challenge (RFC 3261 22.2)."""
        desk, self._asked_at = self._desk, at
        self._cseq += 1
        fields = [
            ("Via", leg.via(desk.ids.branch())),
            ("Max-Forwards", "70"),
            ("From", f"<{self.address}>;tag={self._tag}"),
            ("To", f"<{self.address}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("Contact", self.contact),
            ("Expires", str(expires)),
        ]
        request = register(leg, self.terms, self.trunk, fields, self._outbound)
        desk.proofs.add(self.trunk.trunk, request, self._challenges, self.secret)
        self._turn = Turn(self, leg.flow, request, leaving=not expires)
        desk.transactions.start(leg.flow, request, at, out, self._turn)

    def on_answer(self, turn: Turn, response: Response, at: float, out: list[Command]) -> None:
        """A final answer to a REGISTER."""
        if turn is not self._turn:
            return
        status = response.status
        rest = min(retry_after(response), LONGEST_WAIT)
        if rest and self._peers:
            self._rests[self._peers[0]] = at + rest
        if status in CHALLENGES:
            self._on_challenge(turn, response, at, out)
        elif turn.leaving:
            self._turn = None
        elif status < 300:
            self._on_registered(turn, response, at, out)
        elif status == 423 and not turn.lengthened:
            self._on_too_brief(turn, response, at, out)
        elif status == 439 and self._outbound and turn.flow.reliable:
            self._on_first_hop(turn, at, out)
        elif status in (408, 430) or status >= 500:
            self._on_peer_failure(f"{status} {response.reason}", at, out)
        else:
            self._on_refused(f"{status} {response.reason}{_HINTS.get(status, '')}", at, out)

    def on_silence(self, turn: Turn, reason: str, at: float, out: list[Command]) -> None:
        """No answer came."""
        if turn is self._turn:
            if turn.leaving:
                self._turn = None
            elif self.state == "registered" and turn.flow is self.flow and not turn.flow.alive:
                self._on_lost(reason, at, out)
            else:
                self._on_peer_failure(reason, at, out)

    def _on_challenge(self, turn: Turn, response: Response, at: float, out: list[Command]) -> None:
        proofs, trunk = self._desk.proofs, self.trunk.trunk
        number = self._cseq + 1
        again = proofs.again(trunk, turn.request, response, turn.given, number, out, self.secret)
        if again is not None:
            self._challenges |= turn.given.challenges
            self._repeat(turn, again, at, out)
            return
        self._challenges.clear()
        if turn.leaving:
            self._turn = None
        else:
            self._on_refused(proofs.refusal(response, self.secret), at, out)

    def _repeat(self, turn: Turn, request: Request, at: float, out: list[Command]) -> None:
        self._cseq += 1
        turn.request = request
        if turn.flow.alive:
            self._desk.transactions.start(turn.flow, request, at, out, turn)
        else:
            self.on_silence(turn, turn.flow.ended or "the connection closed", at, out)

    def _on_too_brief(self, turn: Turn, response: Response, at: float, out: list[Command]) -> None:
        """The registrar wants to be asked for a longer time (RFC 3261 10.2.8)."""
        least = seconds(response.headers.get("Min-Expires"))
        asked = seconds(turn.request.headers.get("Expires")) or 0
        if least is None or not asked < least <= MOST_MINIMUM:
            self._on_refused(f"423 {response.reason}: it names no time that can be asked for", at, out)
            return
        # A registrar that takes each nonce once challenges this one anew, and need not call that stale.
        turn.lengthened, turn.given, self._minimum = True, Given(), least
        request = repeat(turn.request, self._cseq + 1, self._desk.ids.branch())
        request.headers.set("Expires", str(least))
        self._desk.proofs.add(self.trunk.trunk, request, self._challenges, self.secret)
        self._repeat(turn, request, at, out)

    def _on_first_hop(self, turn: Turn, at: float, out: list[Command]) -> None:
        """A proxy in between does not know that calls are to come on our connection (RFC 5626 4.2.1)."""
        self._outbound = False
        if turn.flow.alive:
            self._start(turn.flow, self._peers[0], at, out)
        else:
            self.on_silence(turn, turn.flow.ended or "the connection closed", at, out)

    def _on_registered(self, turn: Turn, response: Response, at: float, out: list[Command]) -> None:
        granted = granted_by(response, turn.request)
        if granted <= 0:
            self._on_refused("it keeps no binding: its answer says that it has ended", at, out)
            return
        self._turn, self._peers = None, ()
        self._rests.clear()
        if self.state != "registered" or self.flow is not turn.flow:
            self.since = at
        self.state, self.reason, self.flow, self._failures = "registered", "", turn.flow, 0
        self.until = at + granted
        self.due = at + max(1.0, granted - AHEAD if granted > 2 * AHEAD else granted / 2)
        self.routes = service_route(response)
        self.associated = kept(response, "P-Associated-URI")
        assert self.peer is not None, "it was asked"
        self._desk.peers.homes[self.trunk.trunk] = Home(self.peer, self.routes)
        fields = {
            "trunk": self.trunk.trunk, "user": self.terms.user, "registrar": self.peer, "expires": granted,
            "numbers": len(self.associated) or None,
        }  # fmt: skip
        out.append(Note("registered", "", fields))

    # Failure

    def _on_peer_failure(self, reason: str, at: float, out: list[Command]) -> None:
        """The peer does not serve us now; the trunk's next one may."""
        self._turn = None
        self._peers = self._peers[1:]
        if self._peers:
            self._next(at, out)
        else:
            self._fail(reason, at, out)

    def _on_refused(self, reason: str, at: float, out: list[Command]) -> None:
        """The registrar does not want us: no other peer will, and what was bound counts for nothing."""
        self.until = 0.0
        self._fail(reason, at, out)

    def _fail(self, reason: str, at: float, out: list[Command]) -> None:
        self._give_up()
        self._failures += 1
        wait = self._wait()
        if self.until <= at or self.flow is None or not self.flow.alive:
            self.state, self.until = "failed", 0.0
            self._desk.peers.homes.pop(self.trunk.trunk, None)
        else:  # the binding holds until it ends, and short waits until then make none of the later longer
            wait = max(LEAST_WAIT, min(wait, (self.until - at) / 2))
            self._failures = min(self._failures, HELD)
        if self._rests:  # who asks to be left alone is, as long as nobody else can be asked
            wait = max(wait, min([self._rests.get(each, 0.0) for each in self._candidates(at)]) - at)
        self.reason, self.due = reason, at + wait
        fields = {"trunk": self.trunk.trunk, "reason": reason, "again_in": round(wait)}
        out.append(Note("register-failed", "", fields))

    def _wait(self) -> float:
        """How long until the next try: doubled with each failure, and half of it by chance (RFC 5626 4.5)."""
        longest = min(LONGEST_WAIT, BASE_WAIT * (1 << min(self._failures, 10)))
        return longest * (0.5 + self._desk.ids.key(1)[0] / 510)


def _advertised(desk: Desk, trunk: Trunk) -> Address:
    listener = desk.store.current.settings.listeners[trunk.listener]
    return listener.advertise or listener.bind
