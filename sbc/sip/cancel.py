"""The two requests that are made out of another one and share its branch: CANCEL and the hop's ACK."""

from __future__ import annotations

from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response


def build_cancel(request: Request, reason: str = "") -> Request:
    """Return the CANCEL of ``request``, to be started as a transaction on the same flow.

    ``reason`` is the value of a Reason header (RFC 3326). To be sent once a provisional response
    has come, not before (RFC 3261 9.1).
    """
    cancel = _same_hop(request, "CANCEL", request.headers.get("To") or "")
    if reason:
        cancel.headers.add("Reason", reason)
    return cancel


def build_ack(request: Request, response: Response) -> Request:
    """Return the ACK of a 3xx to 6xx ``response`` to the INVITE ``request`` (RFC 3261 17.1.1.3)."""
    return _same_hop(request, "ACK", response.headers.get("To") or "")


def _same_hop(request: Request, method: str, to: str) -> Request:
    headers = request.headers
    fields = [
        ("Via", headers.values("Via")[0]),
        ("From", headers.get("From") or ""),
        ("To", to),
        ("Call-ID", headers.get("Call-ID") or ""),
        ("CSeq", f"{request.cseq.number} {method}"),
        ("Max-Forwards", "70"),
    ]
    fields += [("Route", value) for value in headers.get_all("Route")]
    return Request(method, request.uri, Headers(fields))
