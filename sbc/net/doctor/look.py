"""A look at a peer, without verification: what it presents, which CAs it names, what it staples.

Nothing is sent on such a connection but the handshake, and of ours the peer sees no certificate. What
comes of it is shown to an operator and decides nothing.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from gevent import socket
from OpenSSL import SSL

from sbc.base import PeerError
from sbc.config.snapshot import Snapshot
from sbc.net.tls.context import observe, set_groups
from sbc.net.tls.end import TlsEnd, group_of, open_session, version_of
from sbc.net.tls.hello import receive
from sbc.observe.examination import CertificateFacts, Seen
from sbc.tls.judge import Judge
from sbc.tls.match import Admission
from sbc.tls.material.certificate import Certificate, CertificateCache
from sbc.tls.names import server_name
from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.link import read_link
from sbc.tls.revocation.ocsp import read_answer


class Only(NamedTuple):
    """What is offered: no later version than ``latest``, and these groups; 0 and () for all."""

    latest: int = 0
    groups: tuple[str, ...] = ()


class Look:
    """One handshake that verifies nobody; ``now`` in POSIX seconds judges a staple."""

    def __init__(
        self, snapshot: Snapshot, certificates: CertificateCache, admission: Admission, sni: str, now: float,
        only: Only | None = None,
    ) -> None:  # fmt: skip
        self._snapshot = snapshot
        self._certificates = certificates
        self._now = now
        self._staples: list[bytes] = []
        judge = Judge(admission, certificates, now)
        context = _blind_context(self._staples, only or Only())
        self._connection = open_session(context, judge, "client", server_name(sni))
        self._connection.request_ocsp()
        self._end = TlsEnd(self._connection, judge, sni)

    def shake(self, sock: socket.socket) -> None:
        """Handshake to its end, whoever it is; HandshakeError, after which there may be much to see."""
        over = self._end.advance()
        while not over:
            with contextlib.suppress(OSError):  # what the peer sent before it went away says more
                sock.sendall(self._end.drain())
            over = self._end.advance(receive(sock))

    def seen(self) -> Seen | None:
        """What the peer showed, None where it did not come to a certificate."""
        chain = self._end.presented()
        if not chain:
            return None
        staple = self._judge_staple(chain, self._staples[0]) if self._staples and self._staples[0] else "none"
        return seen(self._connection, chain, self._end.requested(), self._certificates, staple)

    def _judge_staple(self, chain: tuple[bytes, ...], staple: bytes) -> str:
        try:
            link = read_link(chain[0], read_issuer(self._issuer(chain)))
            answer = read_answer(staple, link, self._now, lambda _serial: False)
        except Unusable as error:
            return f"{error.reason}; {error.remedy}"
        except PeerError as error:
            return error.reason
        if not answer.fresh(self._now):
            return "it is out of date"
        return answer.state if answer.state == "good" else f"it says that the certificate is {answer.state}"

    def _issuer(self, chain: tuple[bytes, ...]) -> bytes:
        """The certificate that issued the leaf: the next one sent, or one of the truststore."""
        known = self._certificates
        issuer = known.read(chain[0]).identity.issuer
        trusted = (der for anchor in self._snapshot.anchors.values() for der in anchor.certificates)
        for der in (*chain[1:], *trusted):
            if known.read(der).identity.subject == issuer:
                return der
        raise Unusable(f"the certificate of {issuer}, which signs it, is not there", "let the peer send it")


def seen(
    connection: SSL.Connection, chain: tuple[bytes, ...], requested: tuple[str, ...] | None,
    known: CertificateCache, staple: str = "",
) -> Seen:  # fmt: skip
    """What a handshake agreed and showed."""
    cipher = connection.get_cipher_name() or ""
    facts = chain_facts(chain, known)
    return Seen(version_of(connection), cipher, group_of(connection), facts, requested, staple)


def chain_facts(chain: tuple[bytes, ...], known: CertificateCache) -> tuple[CertificateFacts, ...]:
    """The facts of each certificate of a chain; one that cannot be read says so in place of its subject."""
    facts = []
    for der in chain:
        try:
            facts.append(_facts(known.read(der)))
        except PeerError as error:
            facts.append(CertificateFacts(f"({error.reason})", "", (), 0.0, 0.0, (), False))
    return tuple(facts)


def _facts(certificate: Certificate) -> CertificateFacts:
    who = certificate.identity
    marks = (("clients", certificate.client_auth), ("servers", certificate.server_auth))
    return CertificateFacts(
        who.label, who.issuer, who.sans, who.not_before, who.not_after,
        tuple(name for name, allowed in marks if allowed), certificate.is_ca,
    )  # fmt: skip


def _blind_context(staples: list[bytes], only: Only) -> SSL.Context:
    """A context that verifies nobody, accepts whatever OpenSSL can speak and shows no certificate."""

    def on_staple(_connection: SSL.Connection, staple: bytes, _data: object) -> bool:
        staples.append(staple)
        return True

    context = SSL.Context(SSL.TLS_METHOD)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    if only.latest:
        context.set_max_proto_version(only.latest)
    if only.groups:
        set_groups(context, only.groups)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_ocsp_client_callback(on_staple)
    observe(context, "outbound")
    return context
