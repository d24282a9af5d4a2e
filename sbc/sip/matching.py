"""How a message finds its transaction: the keys of RFC 3261 17.1.3, 17.2.3 and 8.2.2.2, and RFC 3581.

A server key also names the peer (its trunk, or its address where it has none, and both for a phone). A
branch is only unique to those who make it; without the peer in the key, whoever learns a branch could cancel
a call of another trunk or have its requests swallowed as retransmissions.
"""

from __future__ import annotations

from typing import Any, Final

from sbc.base import Address
from sbc.flow import Flow
from sbc.ids import MAGIC_COOKIE
from sbc.sip.grammar import Params, find_param, split_commas
from sbc.sip.headers import Via
from sbc.sip.message import Request, Response

Key = tuple[Any, ...]

_SOURCE: Final = frozenset(("received", "rport"))


def peer_of(flow: Flow) -> str:
    """Return what tells one peer from another: the trunk, or the address where there is none."""
    return flow.trunk or flow.remote.host


def sender_of(flow: Flow) -> str:
    """Return what tells one sender of requests from another: the peer, and among phones its address too."""
    return f"{flow.trunk} {flow.remote.host}" if flow.strangers else peer_of(flow)


def server_key(request: Request, flow: Flow, method: str) -> Key:
    """Return the key of the server transaction of ``request``, taken to be of ``method``.

    Without the magic cookie in the branch, the rules of RFC 2543 hold (RFC 3261 17.2.3), but for
    the To tag: it differs between an INVITE and its ACK, and the rest is telling enough.
    """
    via = request.via
    branch = via.branch
    if branch.startswith(MAGIC_COOKIE):
        return (branch, method, via.host.lower(), via.port, sender_of(flow))
    number = request.cseq.number
    top = (via.transport, via.host, via.port, branch)
    return (request.uri, request.from_.tag, request.call_id, number, method, top, sender_of(flow))


def request_key(request: Request, flow: Flow, method: str) -> Key:
    """Return what the copies of one request have in common, and the ACK of a 2xx with its INVITE.

    RFC 3261 8.2.2.2 (merged requests) and 13.2.2.4.
    """
    return (request.call_id, request.from_.tag, request.cseq.number, method, sender_of(flow))


def client_key(response: Response) -> Key:
    """Return the key of the client transaction that ``response`` answers (RFC 3261 17.1.3)."""
    return (response.via.branch, response.cseq.method)


def same_peer(flow: Flow, other: Flow) -> bool:
    """Tell whether a response on ``other`` may belong to a request sent on ``flow``.

    Over UDP it comes from the address that the request went to; a server that lost its connection
    answers on a new one, which may be from another of its addresses (RFC 3261 18.1.1, 18.2.2).
    """
    if flow is other:
        return True
    if flow.transport != other.transport:
        return False
    return same_party(flow, other) if flow.reliable else flow.remote.host == other.remote.host


def same_party(flow: Flow, other: Flow) -> bool:
    """Tell whether the two ends beyond are one party: of one trunk, or of one address.

    One peer may be filed as two trunks, as one that calls and as one that is called. Whom we verified
    has to show the same key again: an address alone does not speak for a certificate.
    """
    if peer_of(flow) == peer_of(other):
        return True
    if flow.transport != other.transport or flow.remote.host != other.remote.host:
        return False
    return not flow.trusted or (other.trusted and _pin(flow) == _pin(other))


def _pin(flow: Flow) -> str | None:
    return flow.tls.peer.pin if flow.tls is not None and flow.tls.peer is not None else None


def fix_via(request: Request, source: Address) -> None:
    """Write where ``request`` really came from into its top Via (RFC 3261 18.2.1, RFC 3581 4).

    Nothing happens where the Via already says so and no rport was asked for.
    """
    via = request.via
    wants_port = find_param(via.params, "rport") is not None
    if via.host == source.host and not wants_port:
        return
    fixed = Via(via.transport, via.host, via.port, _with_source(via, source, wants_port))
    # In place, because going through Headers.set would drop every typed view of the message.
    headers = request.headers
    at = headers.index("via")
    name, line = headers.fields[at]
    end = line.find(";rport") + 6
    plain = "," not in line and '"' not in line and "received" not in line
    if plain and not wants_port:
        line = f"{line};received={source.host}"
    elif plain and end > 6 and line[end : end + 1] in ("", ";"):
        line = f"{line[:end]}={source.port};received={source.host}{line[end:]}"
    else:
        line = ", ".join([str(fixed), *split_commas(line)[1:]])
    headers.fields[at] = (name, line)
    headers.first["via"] = line
    headers.views.via = fixed


def _with_source(via: Via, source: Address, wants_port: bool) -> Params:
    kept = [each for each in via.params if each[0] not in _SOURCE and each[0].lower() not in _SOURCE]
    kept.append(("received", source.host))
    if wants_port:
        kept.append(("rport", str(source.port)))
    return tuple(kept)
