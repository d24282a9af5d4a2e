"""Hooks that look at a peer between its handshake and its first byte of SIP: they close, or fail closed."""

from __future__ import annotations

from dataclasses import replace

from sbc.config.snapshot import Snapshot
from sbc.hookapi.arguments import Handshake
from sbc.net.hooks.costs import Told
from sbc.net.hooks.run import HookFailure, HookRun
from sbc.tls.events import Admitted
from sbc.tls.failure import Failure


def refusal(asked: Admitted, snapshot: Snapshot, told: Told, now: float) -> Failure | None:
    """Why the hooks refuse a peer that TLS has admitted; None where they do not."""
    try:
        refused = HookRun(snapshot.hooks.handshake, told).handshake(_handshake(asked, snapshot, now))
    except HookFailure as failure:
        detail = f"TLS admitted it as {asked.trunk}, but a hook failed: {failure}"
        return Failure("refused-by-hook", detail, "correct that hook, or take it out")
    if refused is None:
        return None
    detail = f"TLS admitted it as {asked.trunk}, but it was refused by {refused.reason}"
    return Failure("refused-by-hook", detail, "the hook decides whom it lets in")


def _handshake(asked: Admitted, snapshot: Snapshot, now: float) -> Handshake:
    facts = asked.facts()
    trunk = snapshot.trunks.get(asked.trunk)
    peer = facts.peer
    known = Handshake(
        direction=asked.direction, trunk=asked.trunk, tenant=(trunk.tenant or "") if trunk else "",
        listener=asked.listener, source=asked.remote.host, port=asked.remote.port, sni=facts.sni,
        identity=facts.identity, tls_version=facts.version, tls_group=facts.group, tls_cipher=facts.cipher,
        now=now,
    )  # fmt: skip
    if peer is None:
        return known
    return replace(
        known, peer_verified=peer.verified, peer_sans=peer.sans, peer_issuer=peer.issuer,
        peer_subject=peer.subject, peer_pin=peer.pin, peer_not_before=peer.not_before,
        peer_not_after=peer.not_after,
    )  # fmt: skip
