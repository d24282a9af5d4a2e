"""The answer of ``GET /sip-tls/health``: is it listening, with which certificates, and who failed.

It needs no login, so it holds nothing that a connection to the port would not show anyway: no
peer, no call, no name of a trunk.
"""

from __future__ import annotations

from typing import Any, Protocol

from sbc.observe.text import iso_time
from sbc.observe.views import CertificateView, ListenerView, StatusView
from sbc.tls.lifetime import expiry


def health(status: StatusView) -> dict[str, Any]:
    """The health as JSON types; ``status`` is listening, degraded, draining or down."""
    secure = [each for each in status.listeners if each.transport == "tls"]
    return {
        "status": overall(status),
        "release": status.release,
        "configuration": status.version,
        "started": iso_time(status.started),
        "uptime_seconds": max(0, int(status.now - status.started)),
        "ports": [_port(each) for each in status.listeners],
        "certificates": [_certificate(each, status.now) for each in _distinct(secure)],
        "expiry": _expiry(status),
        "handshakes": {
            "lifetime": status.counters.handshakes,
            "failures": status.counters.handshake_failures,
            "in_flight": sum(each.inbound.in_flight + each.outbound.in_flight for each in secure),
        },
        "blocklist": {
            "now": status.blocklist.now,
            "lifetime": status.blocklist.lifetime,
            "policy": status.blocklist.policy,
        },
        "trunks": {"configured": len(status.trunks), "broken": _broken(status)},
        "records": {
            "written": not status.records.problem,
            "waiting": status.records.waiting,
            "lost": status.records.lost,
        },
    }


def overall(status: StatusView) -> str:
    """``down`` if no port listens, ``degraded`` if one does not, a trunk is broken or no call recorded.

    ``draining`` if it is about to stop: whoever can shall send calls to another.
    """
    if status.draining:
        return "draining"
    up = sum(each.state == "listening" for each in status.listeners)
    if not up:
        return "down"
    whole = up == len(status.listeners) and not _broken(status) and not status.records.problem
    return "listening" if whole else "degraded"


def _broken(status: StatusView) -> int:
    return sum(each.held or each.state == "quarantined" for each in status.trunks)


class Ending(Protocol):
    """What has a last moment, in POSIX seconds."""

    @property
    def not_after(self) -> float: ...


def days_left(certificate: Ending, now: float) -> int:
    """Whole days until the certificate expires; negative once it has."""
    return expiry.days_left(certificate.not_after, now)


def _port(view: ListenerView) -> dict[str, Any]:
    port = {
        "name": view.name,
        "transport": view.transport,
        "address": str(view.address),
        "state": view.state,
        "connections": view.inbound.open,
        "accepted": view.inbound.accepted,
        "refused": view.inbound.refused,
    }
    if view.transport == "tls":
        port |= {"handshakes": view.inbound.handshakes, "failures": view.inbound.failures}
        dialled = view.outbound
        port["outbound"] = {
            "connections": dialled.open, "handshakes": dialled.handshakes, "failures": dialled.failures
        }  # fmt: skip
    return port | ({"reason": view.reason} if view.reason else {})


def _expiry(status: StatusView) -> dict[str, int]:
    """How many certificates, ours, trusted and presented, have passed which mark."""
    marks = (each for each in expiry.RANK if each != "ok")
    return {mark: sum(each.state == mark for each in status.certificates) for mark in marks}


def _distinct(listeners: list[ListenerView]) -> list[CertificateView]:
    return list({each.thumbprint: each for view in listeners for each in view.certificates}.values())


def _certificate(certificate: CertificateView, now: float) -> dict[str, Any]:
    return {
        "identity": certificate.name,
        "subject": certificate.subject,
        "thumbprint": certificate.thumbprint,
        "not_after": iso_time(certificate.not_after),
        "days_left": days_left(certificate, now),
    }
