"""What came in place of TLS, and connections that ended or fell silent without a word."""

from __future__ import annotations

from sbc.protocols import Spoken, protocol_of
from sbc.tls.causes.rejection import offered
from sbc.tls.evidence import Entrances, Evidence
from sbc.tls.failure import Failure, Kind

NOTHING_HERE = {
    "HTTP": "nothing here speaks HTTP to peers",
    "WebSocket": "no listener takes SIP over WebSocket: let the peer use SIP over TLS",
    "the PROXY protocol": (
        "switch it off at the load balancer, or list its address under `proxy_protocol` of the listener"
    ),
}


def not_tls(evidence: Evidence) -> Failure:
    """The failure of a peer that speaks something else where TLS belongs."""
    spoken = protocol_of(evidence.first)
    if evidence.direction == "outbound":
        return _answered_otherwise(spoken)
    what = f"{spoken}, not TLS" if spoken else "not TLS"
    return Failure(
        "not-tls",
        f"what arrived on the TLS port is {what}",
        _elsewhere(spoken, evidence.entrances),
        key="",
    )


def _elsewhere(spoken: Spoken, entrances: Entrances) -> str:
    there = entrances.get(spoken, "")
    if spoken == "SIP":
        else_ = f", or let it come without TLS to {there}, on a trunk there" if there else ""
        return f"let the peer use TLS for this port{else_}"
    if spoken == "HTTP" and there:
        return f"the admin pages are at {there}; a health check may connect and close"
    return NOTHING_HERE.get(spoken) or "let the peer use TLS for this port, or the UDP or TCP port"


def _answered_otherwise(spoken: Spoken) -> Failure:
    what = f"{spoken}, not TLS" if spoken else "not TLS"
    plain = " (5061 is usual for SIP over TLS)" if spoken == "SIP" else ""
    return Failure(
        "not-tls",
        f"what the peer answered to our ClientHello is {what}",
        f"correct the port in `peers`{plain}, or put the trunk on a listener of the transport that the "
        "peer has",
        key="peers",
    )


def silent(evidence: Evidence) -> Failure:
    """The failure of a handshake that did not finish in time."""
    if evidence.direction == "outbound":
        return _without_answer(evidence, "timeout", "did not go on in time")
    detail = "the handshake did not finish in time"
    return Failure("timeout", detail, "a slow or stalled peer, a filter that drops packets, or a scanner")


def broken_off(evidence: Evidence) -> Failure:
    """The failure of a connection that the peer closed or reset without an alert."""
    verb = "reset" if evidence.ended == "reset" else "closed"
    if evidence.direction == "outbound":
        return _without_answer(evidence, "reset-by-peer", f"{verb} the connection without an alert")
    detail = f"the peer {verb} the connection during the handshake without an alert"
    return Failure("reset-by-peer", detail, "look at the peer's log; port scanners and health checks do this")


def _without_answer(evidence: Evidence, kind: Kind, what: str) -> Failure:
    """Somebody whom we dialled, who was not expected to scan ports: what was expected of it."""
    trunk = evidence.trunks[0] if evidence.trunks else "TRUNK"
    doctor = f"`sbc doctor {trunk}` shows how far it comes"
    if evidence.first:
        stage = (
            "after our certificate, which it may not accept"
            if evidence.late
            else "in the middle of its answer"
        )
        remedy = f"look at the peer's log for this moment; {doctor}"
    else:
        stage = f"where its ServerHello was due, after our ClientHello ({offered(evidence.offer)})"
        remedy = (
            "let the peer's operator look whether it speaks TLS on that port, admits our address, and "
            f"knows the name; else correct `peers`; {doctor}"
        )
    return Failure(kind, f"the peer {what} {stage}", remedy, key="peers")
