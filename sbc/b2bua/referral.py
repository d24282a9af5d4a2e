"""A REFER that we carry out: who is referred gets another call, without a word of its own (RFC 3515, 5589).

The call that it gets is one like any other, and one of the trunk that referred: rules, hooks, limits and the
record are its own. Only its caller is already there. So an INVITE stands in for it that nobody has sent, and
for that one's transaction a ``Stand``, which hears what the caller would be answered. The first call goes on
meanwhile; when somebody answers, the one who was referred gets a re-INVITE with that one's description
(``Joining``), and once it has taken that the first call is over. Where nobody does, the first call is what it
was. Who referred is told by NOTIFY, and may hang up before: its call then waits, ``left``, for what comes of
it.

The two calls are ``linked`` all the while, and a fault in one of them ends both.
"""

from __future__ import annotations

from typing import Final, Literal

from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.bodies import carried_body, with_sdp
from sbc.b2bua.call import Call, admit_caller, carry_on, count, counted_on
from sbc.b2bua.causes import explain
from sbc.b2bua.commands import AnswerMedia, Command, Note, OfferMedia
from sbc.b2bua.desk import NOBODY, Awaiting, Desk, Subject
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.joining import Joining
from sbc.b2bua.leg import Leg, Side, other
from sbc.b2bua.life import clear, fire
from sbc.b2bua.screening import GOING, Refusal
from sbc.b2bua.session import accepted, start
from sbc.b2bua.setup import Setup
from sbc.b2bua.states import LEFT, UP, Ending
from sbc.b2bua.takeover import may_replace, replaced_by
from sbc.b2bua.transfers import Referrer, ReferTo, name_of, refer_to, referred_invite, wants_no_notify
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.policy.acl import Rule
from sbc.policy.emergency import BEYOND, WITHIN, Urgency
from sbc.sip.dialog import Dialog
from sbc.sip.message import REASONS, Request, Response
from sbc.sip.q850 import UNSPECIFIED
from sbc.sip.transactions import ServerTransaction
from sbc.sip.uri import parse_name_addr

# Seconds that the one who refers is told its subscription lasts: a route may have several hops to ring at.
_EXPIRES: Final = 600


def refuse_refer(call: Call, fork: Fork, side: Side, request: Request, at: float) -> Refusal | None:
    """Why ``request`` is not carried out now; PeerError where it names nobody."""
    to = refer_to(request)
    named = to.replaces
    if call.desk.draining and _urgency(call.desk, call.leg(other(side)).trunk, to, at) != WITHIN:
        return GOING
    if call.state != UP or call.fork is not fork or call.linked is not None or call.rival is not None:
        return Refusal(491, "Request Pending")
    found = replaced_by(call.desk, named) if named is not None else None
    if named is None or found is None:
        return None
    held, whom = found
    if held is call or held.leg(whom).trunk.trunk != call.leg(side).trunk.trunk:
        return Refusal(403, "Forbidden")  # whoever refers gives its own place away, and no other's
    status, reason = may_replace(held, whom, named, call.leg(other(side)).flow.secure)
    return Refusal(status, reason) if status else None


def ruling_on_transfer(call: Call, fork: Fork, side: Side, request: Request, at: float) -> Rule | None:
    """What the access list says of the call that ``request`` asks for; None where it says nothing.

    It is one of whoever refers, from where that one is, and of the one who is referred.
    """
    leg, desk, to = call.leg(side), call.desk, refer_to(request)
    if _urgency(desk, call.leg(other(side)).trunk, to, at):
        return None
    referred = parse_name_addr(fork.dialog(other(side)).remote_uri)
    acl, tenant, flow = desk.store.current.acl, leg.trunk.tenant or "", leg.flow
    return acl.judge(flow.listener, flow.remote.host, tenant, to.uri.party, referred.uri.party, desk.date(at))


class Stand(ServerTransaction):
    """Stands for the transaction of an INVITE that nobody has sent: it is in no table, and sends nothing."""

    __slots__ = ("_referral",)

    def __init__(self, referral: Referral, leg: Leg, request: Request) -> None:
        super().__init__(referral.call.desk.transactions, 0, (), leg.flow, request)
        self._referral: Referral | None = referral

    def respond(self, response: Response, at: float, out: list[Command]) -> None:
        """What the caller would be answered is for the one who referred it."""
        referral = self._referral
        if referral is not None:
            if response.status >= 200:
                self._referral = None
            referral.on_response(response, at, out)

    def acknowledged(self, at: float, out: list[Command]) -> None:
        """There is nothing that could be repeated."""


class Referral:
    """One REFER from ``side`` of ``call``, until the other side is connected or nobody could be had."""

    __slots__ = (
        "_answered", "_cseq", "_joining", "_offers", "_silent", "_told", "_told_in", "call", "fork", "side",
    )  # fmt: skip

    def __init__(
        self, call: Call, fork: Fork, side: Side, request: Request, told_in: Dialog | None = None
    ) -> None:
        self.call = call
        # Where the REFER came outside of the call's dialog, the one that it has made (RFC 3515 2.4.4).
        self._told_in = told_in
        self.fork = fork
        self.side: Side = side
        self._cseq = request.cseq.number
        self._silent = wants_no_notify(request)
        self._told: set[int] = set()
        self._answered: AnsweredInvite | None = None
        self._joining: Joining | None = None
        self._offers = False  # the callee makes the offer

    def start(self, server: ServerTransaction, request: Request, at: float, out: list[Command]) -> None:
        """Accept the REFER, and let the call begin that it asks for."""
        old, desk = self.call, self.call.desk
        to = refer_to(request)
        new, setup = self._begin(request, to, at)
        tag = self._told_in.local_tag if self._told_in is not None else ""
        response = desk.respond_to(server, 202, "Accepted", tag)
        response.headers.add("Contact", old.leg(self.side).contact)
        if self._silent:
            response.headers.add("Refer-Sub", "false")
        server.respond(response, at, out)
        by, urgency = old.leg(self.side).trunk, _urgency(desk, new.a.trunk, to, at)
        whose = old.leg(self.side).login[0] or new.referred[0]
        refusal = admit_caller(new, by, whose, at, urgency == WITHIN, old)
        if refusal is not None:
            out.append(
                Note("call-refused", "", {"trunk": by.trunk, "cap": refusal.cap, "reason": refusal.why})
            )
            self._notify(503, True, at, out)
            setup.invitation.server.user = None  # the two would keep each other alive
            return
        new.held = len(new.admitted)  # of whoever refers, at whichever hop it is tried
        new.setup = setup
        old.mirrors.append(self)
        old.linked, new.linked = new, old
        if urgency == WITHIN:
            desk.reserves.take_turn(new.a.trunk.trunk)
            new.reserve(at)
        self._notify(100, False, at, out)
        fields = {"trunk": by.trunk, "by": new.referred[0], "to": new.called, "as": new.id}
        out.append(Note("transfer-begun", old.id, fields))
        if urgency:
            new.emergency = True
            fields = {"trunk": by.trunk, "from": new.caller, "to": new.called, "reserve": urgency}
            out.append(Note("emergency", new.id, fields))
        desk.adopt(new)
        setup.decide(at, out)

    def _begin(self, request: Request, to: ReferTo, at: float) -> tuple[Call, Setup]:
        """The call of the one who is referred, which counts nowhere yet."""
        old, desk, near = self.call, self.call.desk, other(self.side)
        party, by = self.fork.dialog(near), old.leg(self.side)
        leg = _likeness(old.leg(near))
        new = Call(desk, desk.ids.key(6).hex(), old.snapshot, leg, at)
        who = name_of(self.fork.dialog(self.side).remote_uri)
        new.referred, new.until = (who, by.name), old.until
        new.limits = counted_on(old, self.side)
        new.caller, new.called = name_of(party.remote_uri), to.uri.party.user
        invite = referred_invite(
            request, to.uri, party, leg, desk.ids.tag(), desk.ids.branch(), old.heard(near),
            old.introduced if near == "a" else (),
        )  # fmt: skip
        stand, takes = Stand(self, leg, invite), None
        if to.replaces is not None:
            takes = replaced_by(desk, to.replaces)
            if takes is None:  # a dialog of the trunk that names it, which is told of it
                new.replacing = str(to.replaces), by.name
            else:
                new.limits += counted_on(*takes)
                if takes[0].until:
                    new.until = min(takes[0].until, new.until or takes[0].until)
        setup = Setup(new, stand, invite, None, Referrer(by, who, old.demands), takes)
        stand.user = setup.invitation
        return new, setup

    # What becomes of the call

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """What the one who was referred would be answered."""
        if self not in self.call.mirrors:
            return
        if response.status < 200:
            self._notify(response.status, False, at, out)
        elif response.status >= 300:
            self._fail(response.status, "", at, out)
        else:
            self._join(response, at, out)

    def _join(self, response: Response, at: float, out: list[Command]) -> None:
        """Somebody answered, and has an ACK at once unless it is for the other to answer its offer."""
        new = self.call.linked
        assert new is not None and new.fork is not None, "somebody answered"
        new.fork.a.end()  # nobody is there: only what takes its place is hung up
        for answered in new.answered_invites.values():
            if isinstance(answered, AnsweredInvite):
                self._answered = answered
        self._offers = self._answered is not None and self._answered.offered_by_far
        if self._offers:
            self._invite_party(response.body, None, at, out)
            return
        if self._answered is not None:
            self._answered.acknowledge("b", at, out)
        if not new.has_media:  # nor has the first call: there is nothing to agree anew
            self._move(new, at, out)
            return
        if not new.heard("b"):
            self._invite_party(b"", PeerError("the 2xx holds no answer to the offer", 488), at, out)
            return
        ours, theirs = new.policies["b"], new.policies["a"]
        new.ask_media(OfferMedia(new.id, "b", new.heard("b"), ours, theirs), self._invite_party, out)

    def _invite_party(self, sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
        new = self.call.linked
        assert new is not None, "it is answered"
        if error is not None:
            new.media_refused("b", error, out)
            self._fail(error.status, error.reason, at, out)
            return
        self._joining = Joining(new, self.call, other(self.side), sdp, self)
        self._joining.start(at, out)

    def on_joined(self, response: Response, at: float, out: list[Command]) -> None:
        """The one who was referred took the other's description; its own comes with it."""
        new = self.call.linked
        assert new is not None, "it was joined"

        def settled(_: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            self._joined(response, b"", error, at, out)

        try:
            sdp = carried_body(response)
        except PeerError as error:
            self._joined(response, b"", error, at, out)
            return
        if self._offers:
            self._joined(response, sdp, None, at, out)
        elif sdp:
            new.ask_media(AnswerMedia(new.id, "a", sdp), settled, out)
        else:
            self._joined(response, b"", PeerError("the 2xx holds no answer to the offer", 488), at, out)

    def _joined(
        self, response: Response, sdp: bytes, error: PeerError | None, at: float, out: list[Command]
    ) -> None:
        """Its media is in order, or the call ends: the one who was referred has given up the former."""
        new = self.call.linked
        assert new is not None, "it was joined"
        if error is not None:
            new.media_refused("a", error, out)
            clear(new, error.reason, at, out)
            return
        joining = self._joining
        assert joining is not None and joining.request is not None, "it was joined"
        new.mirrors.remove(joining)
        new.a = joining.leg
        accepted(new, "a", joining.request, response, at)
        self._move(new, at, out, sdp)

    def _move(self, new: Call, at: float, out: list[Command], answer: bytes = b"") -> None:
        """Who was referred is of the new call from now on, and the old one ends for whoever referred.

        ``answer`` is its answer to the callee's offer, where that made one.
        """
        old, desk, fork, near = self.call, self.call.desk, new.fork, other(self.side)
        answered, leg = self._answered, self.call.leg(near)
        assert fork is not None and answered is not None, "it was answered"
        old.mirrors.remove(self)
        desk.dialogs.unregister(self.fork)
        old.forks.clear()
        desk.dialogs.unregister(fork)
        fork.a, new.a = self.fork.dialog(near), leg
        start(new, "a", at)
        desk.dialogs.register(new.id, fork)
        if leg.name != new.referred[1]:
            count(new, leg.trunk)
        carry_on(new, old, self.side, at)
        out.append(Note("transferred", old.id, {"by": new.referred[0], "to": new.called, "as": new.id}))
        self._tell_and_hang_up(at, out)
        by: Literal["caller", "callee"] = "caller" if self.side == "a" else "callee"
        fire(old, "moved", at, out, Ending("transferred", by, side=near))
        self._part()
        desk.working_on = new.id
        if self._offers:
            answered.on_ack(with_sdp(new.ack(fork, "a", answered.cseq), answer), at, out)
        else:
            answered.acknowledged(at, out)

    def _tell_and_hang_up(self, at: float, out: list[Command]) -> None:
        """Whoever referred is told that it went well, and hung up on when it has heard that."""
        call, dialog = self.call, self.fork.dialog(self.side)
        if self._silent or self._told_in is not None or dialog.state != "confirmed":
            self._notify(200, True, at, out)
            return
        leg = call.leg(self.side)
        bye = dialog.request("BYE", via=leg.via(call.desk.ids.branch()), contact=leg.contact, cseq=0)
        explain(bye.headers, leg.trunk, UNSPECIFIED)
        self._notify(200, True, at, out, _Farewell(call, leg, dialog, bye))
        dialog.end()

    def on_refused(self, status: int, at: float, out: list[Command]) -> None:
        """The one who was referred does not take the new call; it may be gone."""
        self._fail(status, f"{status} of the one who was referred", at, out)

    def on_over(self, at: float, out: list[Command]) -> None:
        """The new call ended before the two were connected."""
        self._fail(480, "", at, out)

    def _fail(self, status: int, why: str, at: float, out: list[Command]) -> None:
        """Nobody could be had: whoever referred is told, and whoever has answered hung up.

        The first call goes on, unless one of its two is gone.
        """
        old, new = self.call, self.call.linked
        if self not in old.mirrors:
            return
        old.mirrors.remove(self)
        fields = {"by": name_of(self.fork.dialog(self.side).remote_uri), "status": status}
        out.append(Note("transfer-failed", old.id, fields))
        self._notify(status, True, at, out)
        if why and new is not None:
            clear(new, why, at, out)
        if old.state == LEFT or (why and status in (408, 481)):
            clear(old, "the transfer failed", at, out)
        self._part()

    def abandon(self, at: float, out: list[Command]) -> None:
        """The first call ended: whoever was referred is gone."""
        self.call.mirrors.remove(self)
        new = self.call.linked
        if new is not None:
            fire(new, "clear", at, out, Ending("whoever was referred has hung up", "caller", 487))
        self._part()

    def _part(self) -> None:
        """It is decided: the calls know nothing of each other any more, nor does what knew of both.

        The last thing that is done, for a fault before it ends both.
        """
        new = self.call.linked
        self.call.linked = self._joining = None
        if new is not None:
            new.linked = None
        if self._answered is not None:
            self._answered.server = None

    def outlives(self, side: Side) -> bool:
        """Whoever referred may hang up."""
        return side == self.side

    def _notify(
        self, status: int, final: bool, at: float, out: list[Command], user: Awaiting = NOBODY
    ) -> None:
        """Tell whoever referred what has come of it so far, each thing once (RFC 3515 2.4.4)."""
        if self._silent or (status in self._told and not final):
            return
        self._told.add(status)
        call = self.call
        leg, dialog = call.leg(self.side), self._told_in or self.fork.dialog(self.side)
        via = leg.via(call.desk.ids.branch())
        request = dialog.request("NOTIFY", via=via, contact=leg.contact)
        state = "terminated;reason=noresource" if final else f"active;expires={_EXPIRES}"
        headers = request.headers
        headers.add("Event", f"refer;id={self._cseq}")
        headers.add("Subscription-State", state)
        headers.add("Content-Type", "message/sipfrag;version=2.0")
        request.body = f"SIP/2.0 {status} {REASONS.get(status, 'Unknown')}\r\n".encode("ascii", "replace")
        call.desk.send(call, leg, dialog, request, user, at, out)


class _Farewell:
    """Hangs up on whoever referred once that has answered the last NOTIFY, or does not answer it.

    A BYE right behind it may overtake it: the dialog is over then, the NOTIFY gets 481, and whoever referred
    never learns that it went well, and keeps what it holds for that (RFC 3515 2.4.4, RFC 5057 5.2).
    """

    __slots__ = ("_about", "_bye", "_dialog", "_to", "call", "leg")

    def __init__(self, about: Call, to: Leg, dialog: Dialog, bye: Request) -> None:
        self.call: Subject | None = None
        self.leg: Leg | None = None
        self._about = about
        self._to = to
        self._dialog = dialog
        self._bye = bye  # ready, but for its number: that comes after the NOTIFY's, were it sent twice

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """It has heard it."""
        if response.status >= 200:
            self._hang_up(at, out)

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """It is silent, or cannot be reached."""
        self._hang_up(at, out)

    def _hang_up(self, at: float, out: list[Command]) -> None:
        self._dialog.local_cseq += 1
        self._bye.headers.set("CSeq", f"{self._dialog.local_cseq} BYE")
        self._about.desk.send(self._about, self._to, self._dialog, self._bye, NOBODY, at, out)


def _urgency(desk: Desk, party: Trunk, to: ReferTo, at: float) -> Urgency:
    """Whether somebody of ``party`` is transferred to an emergency service, within its reserve or beyond."""
    services = desk.store.current.settings.emergency
    if services is None or not services.means(to.uri.party):
        return ""
    return WITHIN if desk.reserves.has_room(party.trunk, services.reserve, at) else BEYOND


def _likeness(leg: Leg) -> Leg:
    """A leg to the same peer, for a call that it has no dialog of yet."""
    made = Leg("a", leg.trunk, leg.flow, leg.sent_by, leg.scheme, leg.peer, leg.target)
    made.call_id, made.local_tag, made.contact = leg.call_id, leg.local_tag, leg.contact
    return made
