"""What the transports tell whoever runs the SIP stack: the one interface upward.

Every method is called from a greenlet of the transport and must not block it for long; a
handler that wants to wait starts a greenlet of its own. Flows over TCP and TLS are opened
and closed exactly once; a UDP flow is a cached peer address and is only ever closed when
its trust is withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sbc.base import Address
from sbc.flow import Flow, PeerIdentity, TlsFacts
from sbc.sip.message import Message
from sbc.sip.parse import ParseError
from sbc.tls.diagnosis import Direction, Failure


@dataclass(frozen=True, slots=True)
class Handshake:
    """One TLS handshake that both sides accepted, and the trunk that the peer proved to be.

    ``chain`` is what the peer presented as DER, leaf first (RFC 8446 4.4.2), () for no
    certificate; ``anchor`` the truststore entry that vouched for it. ``peer_cas`` are the
    subjects (RFC 4514) that the peer's CertificateRequest named, () where it named none, and
    None where it asked for no certificate; inbound it is None. ``at`` is POSIX seconds.
    """

    direction: Direction
    listener: str
    trunk: str
    remote: Address
    facts: TlsFacts
    chain: tuple[bytes, ...]
    anchor: str | None
    peer_cas: tuple[str, ...] | None
    at: float


class Admitted(NamedTuple):
    """A peer that TLS has just admitted to ``trunk``, before a byte of SIP; ``facts`` is what was agreed."""

    direction: Direction
    listener: str
    trunk: str
    remote: Address
    facts: Callable[[], TlsFacts]


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """One TLS handshake that did not end in a flow, or a TLS 1.3 one that was rejected late.

    ``candidates`` are the trunks that the address and SNI admitted (outbound: the trunk
    dialled); ``peer`` is the certificate shown, as far as there was one; ``chain`` is what it
    presented as far as a chain could be built of it, DER, leaf first; ``alert_sent`` and
    ``alert_received`` are alert numbers (RFC 8446 6.2); ``verify_code`` is OpenSSL's
    X509_V code, 0 where the chain was good; ``at`` is POSIX seconds.
    """

    direction: Direction
    listener: str
    candidates: tuple[str, ...]
    remote: Address
    sni: str
    failure: Failure
    at: float
    alert_sent: int | None = None
    alert_received: int | None = None
    verify_code: int = 0
    version: str = ""
    peer: PeerIdentity | None = None
    chain: tuple[bytes, ...] = ()


class Handler(Protocol):
    """Receives what the listeners and the dialer produce; implemented by ``sbc/net/driver``."""

    def on_message(self, flow: Flow, message: Message) -> None:
        """One whole SIP message arrived; it is parsed, not yet validated."""

    def on_malformed(self, flow: Flow, error: ParseError) -> None:
        """What arrived is no SIP message; where ``error.fatal`` the flow closes after this returns."""

    def on_open(self, flow: Flow) -> None:
        """A TCP or TLS flow is up: connected, handshaken and admitted."""

    def on_close(self, flow: Flow, reason: str) -> None:
        """The flow is gone; nothing can be sent on it."""

    def objection(self, asked: Admitted) -> Failure | None:
        """Why a peer that TLS has just admitted is refused all the same; None lets it in. May wait."""

    def on_handshake(self, event: Handshake) -> None:
        """A TLS handshake succeeded; outbound over TLS 1.3 this is known with the peer's first data."""

    def on_handshake_failed(self, event: HandshakeFailed) -> None:
        """A TLS handshake failed, in either direction."""

    def busy(self, flow: Flow) -> bool:
        """True while closing the flow would lose something: a transaction is under way on it."""

    def in_use(self) -> Iterable[Flow]:
        """The flows that a call is on, or a transaction that has not ended."""

    def on_refused(self, listener: str, address: Address, reason: str) -> None:
        """A connection was refused at accept: limit, address or blocklist (throttled)."""
