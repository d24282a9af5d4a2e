"""What is told beside a message: over what it went, what TLS proved of the peer, what the rules decided."""

from __future__ import annotations

from dsl.decision import Decision, Hop, Route, ending
from sbc.flow import Path, TlsFacts


def proved(path: Path) -> str:
    """What TLS proved of the peer of ``path``, in words: plain where nothing proves anything."""
    if path.tls is None:
        return f"{path.transport}, plain: nothing proves who the peer is"
    return f"{path.tls.version} {path.tls.cipher} {path.tls.group}".rstrip() + f", {_peer(path.tls)}"


def _peer(tls: TlsFacts) -> str:
    peer = tls.peer
    if peer is None:
        return "the peer showed no certificate"
    names = ", ".join(peer.sans[:4])
    said = f"peer {peer.label}" + (f" ({names})" if names and peer.subject else "")
    said += ", verified" if peer.verified else ", NOT verified"
    return f"{said}, pin {peer.pin}" if peer.pin else said


def ruled(decision: Decision) -> str:
    """What was decided, by which rule, where that stands, and the hops in their order."""
    hops = " " + " then ".join(map(_hop, decision.hops)) if isinstance(decision, Route) else ""
    return f"{ending(decision)}{hops}, by {decision.rule or 'no rule'}"


def _hop(hop: Hop) -> str:
    if hop.registered:
        return "to the phones of the called user"
    place = f"one of {', '.join(name for name, _ in hop.group.members)}" if hop.group else hop.trunk
    on = ", ".join(str(each) for each in hop.on)
    return f"{place} (on {on})" if on else place
