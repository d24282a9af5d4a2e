"""What becomes of a handshake, told once to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sbc.base import Address
from sbc.flow import PeerIdentity, TlsFacts
from sbc.tls.failure import Direction, Failure


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


@dataclass(frozen=True, slots=True)
class Unreached:
    """A peer of a TLS trunk that was dialled and came to no handshake: its name or its port led nowhere.

    ``remote`` is the address that was tried, or the name where that has none; ``host`` is as configured;
    ``at`` is POSIX seconds.
    """

    trunk: str
    listener: str
    remote: str
    host: str
    failure: Failure
    at: float
