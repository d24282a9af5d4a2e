"""How calls come from a trunk, as far as its configuration settles that: for calls that are not made.

Where a handshake would say it and nobody has, what is usual is taken: TLS 1.3, its first cipher and the first
of the trunk's groups.
"""

from __future__ import annotations

from dsl.arrival import Arrival
from sbc.config.model import Settings, Trunk


def arrival(trunk: Trunk, settings: Settings) -> Arrival:
    """How a call from ``trunk`` comes; its peer is verified where nobody else is let in."""
    listener = settings.listeners.get(trunk.listener)
    transport = listener.transport if listener is not None else ""
    plain = Arrival(
        trunk.trunk, trunk.tenant or "", trunk.listener, first_address(trunk), transport,
        believed=trunk.identity.into or trunk.trust_unsaid or "",
    )  # fmt: skip
    if transport != "tls" or trunk.tls is None:
        return plain
    return plain._replace(
        tls_version="TLSv1.3", tls_cipher="TLS_AES_256_GCM_SHA384", tls_group=trunk.tls.groups[0],
        peer_verified=trunk.tls.mode == "required",
    )  # fmt: skip


def first_address(trunk: Trunk) -> str:
    """The first address that the trunk's calls may come from; "" where none may."""
    return trunk.sources[0].partition("/")[0] if trunk.sources else ""
