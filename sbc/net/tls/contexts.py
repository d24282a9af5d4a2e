"""The TLS side of a snapshot: its trust table and a context for each admission in use.

OCSP answers go in the handshake, both ways: a client asks with status_request (RFC 6066 8), and a TLS client
cannot staple. The callbacks only pass on: what a server staples is judged where its certificate is, and what
we staple was fetched ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from OpenSSL import SSL

from sbc.base import LocalError
from sbc.net.handler import Handler
from sbc.net.revocation.inquiry import Revocation
from sbc.net.system.clock import Clock
from sbc.net.tls.context import build_context
from sbc.net.tls.end import HandshakeError, judge_of, open_session
from sbc.net.tls.session import TlsSession
from sbc.net.tls.verify import Search
from sbc.tls.events import Admitted
from sbc.tls.judge import Judge
from sbc.tls.match import Admission, TrustTable, build_table
from sbc.tls.material.authorities import chain_ders
from sbc.tls.material.certificate import CertificateCache
from sbc.tls.names import server_name

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot


class Contexts:
    """Contexts by admission, made at first use; a new snapshot begins with none."""

    def __init__(self, snapshot: Snapshot, revocation: Revocation | None = None) -> None:
        self.certificates = CertificateCache()
        self.revocation = revocation if revocation is not None else Revocation(Clock())
        self.apply(snapshot)

    def apply(self, snapshot: Snapshot) -> None:
        """Use this snapshot for every handshake that begins from now on."""
        self.snapshot = snapshot
        self.table: TrustTable = build_table(
            snapshot.trunks, snapshot.settings.tenants, snapshot.anchors, snapshot.settings.listeners,
            snapshot.bound, snapshot.quarantined,
        )  # fmt: skip
        self._contexts: dict[Admission, SSL.Context] = {}
        for anchor in snapshot.anchors.values():
            for facts in anchor.facts:
                self.certificates.issuers.learn(facts)
        for identity in snapshot.identities.values():
            for der in chain_ders(identity.chain_pem)[1:]:
                self.certificates.learn(der)
        self.revocation.apply(snapshot)

    def open(self, admission: Admission, now: float, sni: str = "") -> tuple[SSL.Connection, Judge]:
        """A connection that is to be handshaken for ``admission``, and its judge; LocalError."""
        side: Literal["server", "client"] = "client" if admission.direction == "outbound" else "server"
        context = self.context(admission)
        judge = Judge(admission, self.certificates, now, self.revocation.cache, Search())
        connection = open_session(context, judge, side, server_name(sni) if sni else b"")
        if side == "client" and _wants_staple(admission):
            connection.request_ocsp()
        return connection, judge

    def let_in(self, session: TlsSession, handler: Handler, asked: Admitted) -> None:
        """Settle what a good handshake left open, and let ``handler`` look at the peer; HandshakeError.

        Each of the two has a time limit of its own.
        """
        failure = self.revocation.objection(session.judge, asked.remote) or handler.objection(asked)
        if failure is not None:
            session.dismiss()
            raise HandshakeError(decided=failure)

    def context(self, admission: Admission) -> SSL.Context:
        """The context of an admission; LocalError where its identity is missing or will not load."""
        known = self._contexts.get(admission)
        if known is None:
            known = self._contexts[admission] = self._build(admission)
        return known

    def shown(self, admission: Admission) -> str:
        """The thumbprint of the certificate that we are under an admission, "" for none."""
        identity = self.snapshot.identities.get(admission.identity or "")
        return "" if identity is None else identity.thumbprint

    def _build(self, admission: Admission) -> SSL.Context:
        name = admission.identity
        trunks = ", ".join(admission.names)
        if name is None and admission.direction == "inbound":
            raise LocalError(f"no server_identity for {trunks}; give the trunk or its tenant one")
        identity = self.snapshot.identities.get(name) if name is not None else None
        if name is not None and identity is None:
            raise LocalError(f"identity {name} of {trunks} is not loaded; `sbc check` says why")
        context = build_context(admission, identity)
        if admission.direction == "outbound":
            if _wants_staple(admission):
                context.set_ocsp_client_callback(
                    lambda connection, staple, _data: judge_of(connection).takes_staple(staple)
                )
        elif identity is not None:
            revocation, thumbprint = self.revocation, identity.thumbprint
            context.set_ocsp_server_callback(lambda _connection, _data: revocation.staple(thumbprint))
        return context


def _wants_staple(admission: Admission) -> bool:
    """Whether what a server of this admission staples would be looked at."""
    policies = [each.revocation for each in admission.candidates]
    return any(each.mode != "off" and "staple" in each.methods for each in policies)
