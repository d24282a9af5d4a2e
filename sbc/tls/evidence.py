"""What is known of a handshake that failed: what was offered, shown and seen, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from sbc.protocols import Spoken
from sbc.tls.failure import Direction, Failure

Ending = Literal["", "timeout", "reset", "eof", "plain"]
# Which of our ports take what: their names and addresses, by protocol.
Entrances = Mapping[Spoken, str]
NOWHERE: Entrances = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ours:
    """The certificate that we show: ``key`` is ``RSA``, the name of a curve, or another kind of key.

    ``names`` are written as those of a peer are; ``clients`` and ``servers`` say what it may be used as.
    """

    identity: str
    thumbprint: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    key: str
    not_before: float
    not_after: float
    clients: bool = True
    servers: bool = True


@dataclass(frozen=True, slots=True)
class Pinned:
    """A certificate or key that a trunk pins: the entry of the truststore, and what it holds fast."""

    name: str
    kind: Literal["leaf", "pin"]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoIssuer:
    """A chain that ends before anything trusted: the issuer it lacks.

    ``sendable`` says that it is an intermediate, which the peer should have sent; ``namesake`` is
    the truststore entry whose CA has its name and another key. ``place`` is where the certificate says that
    its issuer's can be had (RFC 5280 4.2.2.1), ``itself`` that it is signed by itself; ``pinned`` is what
    the trunks hold fast where they trust no CA at all.
    """

    issuer: str
    sendable: bool = False
    namesake: str = ""
    place: str = ""
    itself: bool = False
    pinned: tuple[Pinned, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """What we offered, or would have accepted: the least version, the groups, and the certificate shown.

    ``sni`` is the name that the client asked for, ``asked`` whether the server asked us for a certificate.
    """

    least: str = "1.2"
    groups: tuple[str, ...] = ()
    ours: Ours | None = None
    sni: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a handshake that failed.

    ``decided`` is what ``trust.match`` refused, ``reasons`` are OpenSSL's reason symbols,
    ``ended`` says how the transport ended where no alert did, ``who`` is the subject shown and ``pin``
    its key; ``filed`` is the truststore entry that has the issuer which OpenSSL objected to, "" for none;
    ``chain`` is what was shown as far as it was built, DER, leaf first. ``first`` are the first
    octets that the peer sent: inbound its whole ClientHello. ``late`` where we believed the handshake to be
    over (RFC 8446 4.4.4). ``now`` is POSIX seconds.
    """

    direction: Direction
    decided: Failure | None = None
    verify_code: int = 0
    verify_depth: int = 0
    verify_text: str = ""
    alert_sent: int | None = None
    alert_received: int | None = None
    reasons: tuple[str, ...] = ()
    ended: Ending = ""
    trunks: tuple[str, ...] = ()
    who: str = ""
    no_issuer: NoIssuer | None = None
    pin: str = ""
    filed: str = ""
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    offer: Offer = Offer()
    first: bytes = field(default=b"", repr=False)
    late: bool = False
    now: float = 0.0
    entrances: Entrances = field(default_factory=dict)

    @property
    def alert(self) -> int | None:
        """The alert that ended it, ours before theirs."""
        return self.alert_sent if self.alert_sent is not None else self.alert_received

    @property
    def candidates(self) -> str:
        """The trunks that it could have been, as a text."""
        return ", ".join(self.trunks) or "the trunk"
