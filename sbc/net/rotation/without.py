"""Would a peer still be admitted without the old half of a trust entry: asked of OpenSSL itself.

Comparing names of CAs would not do: a new root may be cross-signed by the old one, or a bundle hold
both. So the chain that the peer presented is verified again, with a trust table in which what is staged
has taken the entry's place. That takes about a millisecond, once for each chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbc.net.system.clock import Clock
from sbc.net.tls.verify import verify
from sbc.tls.match import TrustTable, build_table
from sbc.tls.material.certificate import CertificateCache, thumbprint_of

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot
    from sbc.flow import Flow
    from sbc.tls.events import Handshake
    from sbc.tls.ledger import Shown
    from sbc.tls.lifetime.rotation import Key

_KNOWN = 4096


class Without:
    """Answers for the snapshot in force; another snapshot begins anew."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._certificates = CertificateCache()
        self._snapshot: Snapshot | None = None
        self._tables: dict[Key, TrustTable] = {}
        self._known: dict[tuple[object, ...], bool] = {}

    def good(self, snapshot: Snapshot, key: Key, event: Handshake) -> bool:
        """Whether the peer of a good handshake would pass without the old material of ``key``."""
        host = event.facts.sni if event.direction == "outbound" and event.facts.sni else event.remote.host
        where = (event.direction == "outbound", event.listener, host, event.facts.sni)
        return self._answer(snapshot, key, event.trunk, where, event.chain)

    def good_shown(self, snapshot: Snapshot, key: Key, trunk: str, shown: Shown) -> bool:
        """The same of what a peer presented some time ago."""
        where = (shown.direction == "outbound", shown.listener, shown.host, shown.sni)
        return self._answer(snapshot, key, trunk, where, shown.chain)

    def good_flow(self, snapshot: Snapshot, key: Key, flow: Flow) -> bool:
        """The same of a live connection; one without a certificate has nothing to lose."""
        chain = flow.channel.cipher.presented() if flow.tls is not None else ()
        if not chain:
            return True
        assert flow.tls is not None
        host = flow.reuse.target.host if flow.reuse is not None else flow.remote.host
        where = (flow.outbound, flow.listener, host, flow.tls.sni)
        return self._answer(snapshot, key, flow.trunk or "", where, chain)

    def _answer(
        self, snapshot: Snapshot, key: Key, trunk: str, where: tuple[bool, str, str, str],
        chain: tuple[bytes, ...],
    ) -> bool:  # fmt: skip
        if snapshot is not self._snapshot:
            self._snapshot, self._tables, self._known = snapshot, {}, {}
        # By all that is sent: a peer may keep its certificate and send its issuer's anew, cross-signed.
        asked = (key, trunk, where, *map(thumbprint_of, chain))
        known = self._known.get(asked)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[asked] = self._verify(snapshot, key, trunk, where, chain)
        return known

    def _verify(
        self, snapshot: Snapshot, key: Key, trunk: str, where: tuple[bool, str, str, str],
        chain: tuple[bytes, ...],
    ) -> bool:  # fmt: skip
        outbound, listener, host, sni = where
        anchor = snapshot.anchors.get(key[1])
        if anchor is None or anchor.coming is None:
            return False  # of another snapshot: nothing is known
        table = self._tables.get(key) or self._tables.setdefault(key, _table_without(snapshot, key[1]))
        admission = table.outbound(trunk, host) if outbound else table.admit(listener, host, sni)
        if admission is None:
            return False
        return verify(admission, chain, self._clock.now(), self._certificates).trunk == trunk


def _table_without(snapshot: Snapshot, name: str) -> TrustTable:
    anchors = dict(snapshot.anchors)
    coming = anchors[name].coming
    if coming is not None:
        anchors[name] = coming
    return build_table(
        snapshot.trunks, snapshot.settings.tenants, anchors, snapshot.settings.listeners, snapshot.bound
    )
