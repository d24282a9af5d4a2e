"""The flat facts that the routing rules decide on, taken from a request and its flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dsl.arrival import Arrival, call_facts
from dsl.facts import Facts, no_calls, nobody_registered
from sbc.flow import Flow, PeerIdentity
from sbc.media.sdp import describe_offer
from sbc.sip.message import Request

_NOBODY: Final = PeerIdentity("", "", (), "", "", 0.0, 0.0, False)


def facts_of(
    request: Request,
    flow: Flow,
    tenant: str | None,
    now: float,
    calls: Callable[[str], int] = no_calls,
    login: tuple[str, str] = ("", ""),
    believed: str = "",
    trunk: str | None = None,
    registered: Callable[[str], bool] = nobody_registered,
) -> Facts:
    """Everything that a rule may ask of ``request``; look-ups stay lazy. ``login``: a name, its realm.

    ``trunk`` is whose it is, where that is not the flow's own, and ``believed`` how far that is;
    ``registered`` knows our phones.
    """
    from_, to, tls = request.from_, request.to, flow.tls
    peer = (tls.peer if tls else None) or _NOBODY
    codecs, srtp = describe_offer(request.body)
    # fmt: off
    arrival = Arrival(
        trunk or flow.trunk or "", tenant or "", flow.listener, flow.remote.host, flow.transport,
        tls.version if tls else "", tls.group if tls else "", tls.cipher if tls else "",
        peer.verified, peer.sans, peer.issuer, peer.subject, peer.pin, believed,
    )
    return call_facts(
        arrival, request.target.party, from_.uri.party, to.uri.party,
        request.headers.get, from_.display, to.display, request.method, request.call_id, codecs, srtp, login,
        now, calls, registered,
    )
    # fmt: on
