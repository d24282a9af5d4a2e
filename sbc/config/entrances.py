"""Which of our ports takes what, for whoever has to tell a peer that it came to the wrong one."""

from __future__ import annotations

from sbc.config.model import Settings
from sbc.protocols import Spoken
from sbc.tls.causes.ending import NOTHING_HERE
from sbc.tls.evidence import Entrances

_TRANSPORTS: tuple[tuple[Spoken, str], ...] = (("TLS", "tls"), ("SIP", "tcp"))


def entrances(settings: Settings) -> Entrances:
    """Those that take TLS, SIP over TCP and HTTP, as a sentence names them; what nothing takes is missing."""
    found: dict[Spoken, str] = {}
    for protocol, transport in _TRANSPORTS:
        these = [
            f"listener {name} ({each.bind})"
            for name, each in settings.listeners.items()
            if each.transport == transport
        ]
        if these:
            found[protocol] = " or ".join(these)
    if settings.admin is not None:
        found["HTTP"] = f"http://{settings.admin.bind}"
    return found


def came_wrongly(spoken: Spoken, ports: Entrances) -> str:
    """What to do about a peer that speaks ``spoken`` on a TCP port of ours."""
    there = ports.get(spoken, "")
    if spoken == "TLS" and there:
        return f"let the peer use {there} for TLS, on a trunk there; or switch TLS off at the peer"
    if spoken == "TLS":
        return "give sbc.yaml a listener of transport tls, and the trunk to it; or switch TLS off at the peer"
    if spoken == "HTTP" and there:
        return f"the admin pages are at {there}"
    return NOTHING_HERE.get(spoken) or "let the peer speak SIP to this port"


def dialled_wrongly(spoken: Spoken, ports: Entrances) -> str:
    """What to do about a peer that we dialled without TLS and that answers in ``spoken``."""
    if spoken == "TLS":
        tls = ports.get("TLS", "a listener of transport tls")
        return f"put the trunk on {tls}, with a `tls:` of its own; or correct the port in `peers`"
    return "correct the port in `peers`"
