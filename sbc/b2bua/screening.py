"""Which requests are answered at once, and how, before any rule is asked (RFC 3261 8.2, 16.3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from sbc.b2bua.attempt import Attempt
from sbc.b2bua.bodies import SIPREC, acceptable, content_type, lost, read_body
from sbc.b2bua.commands import Command, Note
from sbc.b2bua.desk import Desk
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.page import WAITING
from sbc.b2bua.translate import ACCEPT, ALLOW, EXTENSIONS, METHODS, OF_TRANSFERS
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.policy.acl import Rule, why
from sbc.policy.bodies import media_types
from sbc.registrar.register import OUTBOUND, PATH
from sbc.sip.headers import canonical
from sbc.sip.message import SDP, Request
from sbc.sip.transactions import SPENT, ServerTransaction, Transactions

_KNOWN_ELSEWHERE: Final = frozenset(("REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER"))
_TAKES_SDP: Final = frozenset(("application/sdp", "application/*", "*/*"))
_ANY_BODY: Final = frozenset(("INFO", "BYE", "CANCEL", "ACK", "OPTIONS", "REFER", "NOTIFY", "MESSAGE"))
_OF_REGISTER: Final = (PATH, OUTBOUND)
# What each pass through a proxy or through us writes anew.
_OF_ONE_PASS: Final = frozenset(
    """via max-forwards route record-route from to call-id cseq contact content-length date timestamp
    session-id""".split()
)
# As many as Max-Forwards lets pass at most (RFC 3261 8.1.1.6).
_MOST_PASSES: Final = 70


class Refusal(NamedTuple):
    """A final answer: status, reason phrase, and the headers that explain it."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


FORBIDDEN: Final = Refusal(403, "Forbidden")
#: The answer to what would begin while we drain: a peer that knows another SBC goes there meanwhile.
GOING: Final = Refusal(503, "Service Unavailable", (("Retry-After", "30"),))


def malformed_note(flow: Flow, reason: str, **more: str) -> Note:
    """What the journal has of a message that is none."""
    fields = {"remote": str(flow.remote), "transport": flow.transport, "reason": reason, **more}
    return Note("malformed", "", fields)


def refuse(
    request: Request, merged: bool, looped: bool, trunk: Trunk | None = None, reliable: bool = True
) -> Refusal | None:
    """The answer that ``request`` gets whatever the rules say, or None; PeerError where it is malformed.

    ``reliable``: it came over a connection, which a phone may mean to be the way to it.
    ``trunk`` is the one that it comes from. What came of a transfer, a NOTIFY, is told by whom it was passed
    on to, on whatever trunk.
    """
    method = request.method
    if method not in METHODS and not _taken_elsewhere(request, trunk):
        status, reason = (
            (405, "Method Not Allowed") if method in _KNOWN_ELSEWHERE else (501, "Not Implemented")
        )
        return Refusal(status, reason, (("Allow", allowed(trunk)),))
    if method in ("ACK", "CANCEL"):
        return None
    first = request.headers.first
    if "require" in first or "proxy-require" in first:
        unsupported = required_but_unknown(request, transfers(trunk))
        if unsupported and method == "REGISTER":
            known = _OF_REGISTER if reliable else (PATH,)
            unsupported = [tag for tag in unsupported if tag.lower() not in known]
        if unsupported and trunk is not None and SIPREC in trunk.bodies:
            unsupported = [tag for tag in unsupported if tag.lower() != SIPREC]
        if unsupported:
            return Refusal(420, "Bad Extension", (("Unsupported", ", ".join(unsupported)),))
    if merged or looped:
        return Refusal(482, "Loop Detected" if looped else "Request Merged")
    if request.max_forwards == 0 and method not in ("OPTIONS", "BYE"):  # which end here (RFC 3261 16.3)
        return Refusal(483, "Too Many Hops")
    if method == "NOTIFY" and not request.to_tag and not _of_a_mailbox(request):
        return Refusal(489, "Bad Event", (("Allow-Events", WAITING),))
    if method == "INVITE" and "accept" in first and not _takes_sdp(request):
        return Refusal(406, "Not Acceptable", (ACCEPT,))
    if not request.body or (request.is_sdp and "content-encoding" not in first):
        return None
    return _refuse_body(request, trunk)


def ruling(snapshot: Snapshot, flow: Flow, trunk: Trunk | None, request: Request, now: float) -> Rule | None:
    """What the access list says of a request that begins something; None where it says nothing.

    ``now`` is in POSIX seconds. PeerError where its addresses cannot be read.
    """
    if request.to_tag or request.method in ("ACK", "CANCEL"):
        return None
    tenant = (trunk.tenant or "") if trunk is not None else ""
    called, caller = request.target.party, request.from_.uri.party
    return snapshot.acl.judge(flow.listener, flow.remote.host, tenant, called, caller, now)


def allowed(trunk: Trunk | None) -> str:
    """The methods that may come from a trunk."""
    if trunk is None:
        return ALLOW
    more = [*(("REFER", "NOTIFY") if transfers(trunk) else ()), *trunk.methods]
    if trunk.phones:
        more.append("REGISTER")
    return ", ".join(dict.fromkeys([ALLOW, *more]))


def looped(flow: Flow, request: Request, transactions: Transactions) -> bool:
    """A call that came through us before, from the same peer and with the same of all that decides (16.3).

    One that comes back otherwise, through a proxy behind us for instance, is a spiral and goes on. Each of
    our branches leads to the request that we sent it for, and that may have been through us before.
    """
    if request.method != "INVITE" or request.to.tag:
        return False
    earlier = _before(request, transactions)
    if earlier is None:
        return False
    same = _deciding(flow, request)
    for _ in range(_MOST_PASSES):
        if earlier is None:
            break
        if _deciding(earlier.server.flow, earlier.request) == same:
            return True
        earlier = _before(earlier.request, transactions)
    return False


def _before(request: Request, transactions: Transactions) -> Invitation | None:
    """The call that we sent on as what came back as ``request``, while it is set up."""
    # What we send has one Via, so the first of ours is of the latest pass.
    for via in request.headers.values("Via"):
        user = transactions.user_of(via.partition("branch=")[2].partition(";")[0].strip())
        if isinstance(user, Attempt):
            return None if user.invitation.request is SPENT else user.invitation
    return None


def _deciding(flow: Flow, request: Request) -> tuple[object, ...]:
    """All of a request that rules may decide by (RFC 5393 4.2.1), but for what is new at each pass."""
    users: list[object] = []
    for uri in (request.target, request.from_.uri, request.to.uri):
        party = uri.party
        users += (party.scheme, party.user, party.host, party.port, uri.params)
    fields = [(canonical(name), value) for name, value in request.headers.fields]
    told = sorted(field for field in fields if field[0] not in _OF_ONE_PASS)
    return (flow.trunk, flow.listener, flow.remote.host, users, request.from_.display, told)


def _taken_elsewhere(request: Request, trunk: Trunk | None) -> bool:
    """Whether a trunk takes what not all do: a transfer within a call, a text outside of it."""
    if request.to_tag:
        return request.method == "NOTIFY" or (request.method == "REFER" and transfers(trunk))
    if trunk is None:
        return False
    if request.method == "REGISTER":
        return trunk.phones
    return request.method in trunk.methods or (request.method == "REFER" and transfers(trunk))


def _of_a_mailbox(request: Request) -> bool:
    """Whether it tells of waiting messages, the one thing that is told unasked (RFC 3842)."""
    return (request.headers.get("Event") or "").partition(";")[0].strip(" \t") == WAITING


def transfers(trunk: Trunk | None) -> bool:
    """Whether peers of the trunk may transfer calls."""
    return trunk is not None and trunk.transfers != "refuse"


def required_but_unknown(request: Request, transfers: bool = False) -> list[str]:
    """Option tags of Require and Proxy-Require that we know nothing of (RFC 3261 8.2.2.3)."""
    headers = request.headers
    tags: list[str] = []
    for name in ("require", "proxy-require"):
        if name in headers.first:
            tags += [tag for tag in headers.values(name) if tag.lower() not in EXTENSIONS]
    return [tag for tag in tags if tag.lower() not in OF_TRANSFERS] if transfers and tags else tags


def _takes_sdp(request: Request) -> bool:
    """Whether the caller's Accept lets it be answered with SDP (RFC 3261 20.1, RFC 4475 3.3.15)."""
    ranges = request.headers.values("Accept")
    return any(each.partition(";")[0].strip().lower() in _TAKES_SDP for each in ranges)


def _refuse_body(request: Request, trunk: Trunk | None) -> Refusal | None:
    encoding = request.headers.first.get("content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        return Refusal(415, "Unsupported Media Type", (("Accept-Encoding", "identity"),))
    if request.method in _ANY_BODY:
        return None
    kind, _ = content_type(request)
    if kind == SDP:
        return None
    types = media_types(trunk.bodies if trunk is not None else ())
    if kind.startswith("multipart/"):  # of whatever kind, it is read as mixed (RFC 2046 5.1.3, RFC 5621 3.1)
        if not any(part.required for part in lost(read_body(request).parts, types)):
            return None
    elif kind in types:
        return None
    return Refusal(415, "Unsupported Media Type", (acceptable(trunk),))


def refuse_with(
    desk: Desk, server: ServerTransaction, refusal: Refusal, at: float, out: list[Command]
) -> None:
    """Answer a request with ``refusal``."""
    response = desk.respond_to(server, refusal.status, refusal.reason)
    for name, value in refusal.headers:
        response.headers.add(name, value)
    server.respond(response, at, out)


def answer_options(
    desk: Desk, server: ServerTransaction, trunk: Trunk | None, at: float, out: list[Command]
) -> None:
    """OPTIONS to us: what we can do (RFC 3261 11.2)."""
    response = desk.respond_to(server, GOING.status if desk.draining else 200, "")
    if desk.draining:
        response.headers.extend(GOING.headers)
    known = [*EXTENSIONS, *OF_TRANSFERS] if transfers(trunk) else EXTENSIONS
    for name, value in (("Allow", allowed(trunk)), ACCEPT, ("Supported", ", ".join(known))):
        response.headers.add(name, value)
    server.respond(response, at, out)


def bars(
    desk: Desk, flow: Flow, request: Request, trunk: Trunk | None, rule: Rule, at: float, out: list[Command]
) -> bool:
    """Whether the rule that decides on a request denies it; it is counted, and told of."""
    desk.store.current.acl.decided(rule, desk.date(at))
    if rule.allow:
        return False
    fields = {
        "trunk": trunk.trunk if trunk is not None else flow.trunk, "remote": str(flow.remote),
        "method": request.method, "reason": why(rule),
    }  # fmt: skip
    out.append(Note("call-refused", "", fields))
    return True
