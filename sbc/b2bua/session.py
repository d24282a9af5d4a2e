"""The session timers of a call: each leg has its own terms, whatever the other leg agreed to (RFC 4028).

What is here writes and reads the headers of INVITE, UPDATE and their 2xx, and keeps two deadlines for each
leg among the call's timers: ``refresh a`` and ``refresh b``, when we have to refresh, and ``expire a`` and
``expire b``, when nobody has. What happens then is in ``refresh``. A trunk with ``session_timer: off`` has
none of it.
"""

from __future__ import annotations

from typing import Final

from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.leg import Leg, Side, other
from sbc.b2bua.translate import Fields, carried
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.sip import session_timer
from sbc.sip.message import Message, Request, Response
from sbc.sip.transactions import ServerTransaction

REFRESH: Final[dict[Side, str]] = {"a": "refresh a", "b": "refresh b"}
EXPIRE: Final[dict[Side, str]] = {"a": "expire a", "b": "expire b"}
# How often a peer may ask for a longer session before it has one.
MOST_RAISED: Final = 4


def objection(trunk: Trunk, request: Request) -> tuple[int, str, Fields] | None:
    """Status, reason and headers that refuse what ``request`` asks of the session, or None; PeerError 400."""
    policy, headers = trunk.session_timer, request.headers
    if policy is None:
        required = headers.values("Require") if "Require" in headers else ()
        if any(tag.lower() == session_timer.OPTION for tag in required):
            return 420, "Bad Extension", (("Unsupported", session_timer.OPTION),)
        return None
    if "session-expires" not in headers.first and "min-se" not in headers.first:
        return None
    session_timer.min_se(request)
    if session_timer.too_small(request, int(policy.min)):
        return 422, "Session Interval Too Small", (("Min-SE", str(int(policy.min))),)
    return None


def accept(call: Call, side: Side, request: Request, response: Response, at: float) -> None:
    """Write into ``response``, a 2xx to the peer's INVITE or UPDATE, what holds from now on."""
    leg = call.leg(side)
    standing = leg.standing
    if not standing.timed:
        return
    _note_allow(leg, request)
    wanted = max(standing.expires, leg.least) if standing.expires else 0
    leg.session = session_timer.as_uas(request, wanted, leg.session)
    session_timer.grant(response.headers, leg.session)
    start(call, side, at)


def accepted(call: Call, side: Side, request: Request, response: Response, at: float) -> None:
    """The peer's ``response``, a 2xx to our INVITE or UPDATE, settled what holds from now on."""
    leg = call.leg(side)
    if not leg.standing.timed:
        return
    _note_allow(leg, response)
    leg.session = session_timer.as_uac(request, response)
    start(call, side, at)


def start(call: Call, side: Side, at: float) -> None:
    """The session on ``side`` was refreshed: it lives for another interval."""
    terms = call.leg(side).session
    if terms is None or not terms.ours:
        call.cancel_timer(REFRESH[side])
    else:
        call.schedule(REFRESH[side], at + terms.refresh_after)
    if terms is None:
        call.cancel_timer(EXPIRE[side])
    else:
        call.schedule(EXPIRE[side], at + terms.expires_after)


def leave(call: Call, side: Side) -> None:
    """The peer on ``side`` has hung up, and the call goes on without it."""
    call.cancel_timer(REFRESH[side])
    call.cancel_timer(EXPIRE[side])


def may_be_transferred(call: Call) -> bool:
    """Whether one of its sides may be connected with somebody else, by us."""
    b = call.b
    return call.a.standing.transfers == "perform" or (b is not None and b.standing.transfers == "perform")


def forget_descriptions(call: Call) -> bool:
    """Let go of the descriptions of a call that needs none again: True where it does not.

    In it no session has an end, no offer may be ours, and nobody is connected anew.
    """
    if call.referred[0] or may_be_transferred(call):
        return False
    for leg in (call.a, call.b):
        if leg is not None and (leg.session is not None or leg.standing.early_offer):
            return False
    if call.agreed:
        call.agreed.clear()
        call.offered = b"", b""
    return True


def lengthen(leg: Leg, request: Request, response: Response) -> bool:
    """Take the 422 of a peer to heart; False where it tells nothing to go by (RFC 4028 7.3)."""
    try:
        asked, least = session_timer.session_expires(request), session_timer.min_se(response)
    except PeerError:
        return False
    if asked is None or least <= asked[0] or leg.raised >= MOST_RAISED:
        return False
    leg.least, leg.raised = max(least, leg.least), leg.raised + 1
    return True


def refreshed(
    call: Call, fork: Fork, side: Side, server: ServerTransaction, request: Request, at: float,
    out: list[Command],
) -> bool:  # fmt: skip
    """Answer an UPDATE that does nothing but refresh the session of ``side``; False for any other request.

    The other leg has a timer of its own, and perhaps a peer that knows no UPDATE. It crosses where it tells
    the other side something, and that can hear it.
    """
    near, far = call.leg(side), other(side)
    if request.method != "UPDATE" or request.body or "session-expires" not in request.headers.first:
        return False
    if not near.standing.timed or call.fork is not fork:
        return False
    if call.leg(far).updates and carried(request, near, call.leg(far)):
        return False
    fork.dialog(side).refresh(request)
    response = call.desk.respond_to(server, 200, "OK")
    response.headers.add("Contact", near.contact)
    accept(call, side, request, response, at)
    server.respond(response, at, out)
    return True


def _note_allow(leg: Leg, message: Message) -> None:
    """Remember whether the peer allows UPDATE; it may leave Allow out when it has said so before."""
    if "allow" in message.headers.first:
        leg.updates = "UPDATE" in [each.strip(" \t") for each in message.headers.values("Allow")]
