"""What the transports tell whoever runs the SIP stack: the one interface upward.

Every method is called from a greenlet of the transport and must not block it for long; a
handler that wants to wait starts a greenlet of its own. Flows over TCP and TLS are opened
and closed exactly once; a UDP flow is a cached peer address and is only ever closed when
its trust is withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sbc.base import Address
from sbc.flow import Flow
from sbc.sip.message import Message
from sbc.sip.parse import ParseError
from sbc.tls.events import Admitted, Handshake, HandshakeFailed, Unreached
from sbc.tls.failure import Failure


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

    def on_unreached(self, event: Unreached) -> None:
        """A peer of a TLS trunk could not be connected to."""

    def busy(self, flow: Flow) -> bool:
        """True while closing the flow would lose something: a transaction is under way on it."""

    def in_use(self) -> Iterable[Flow]:
        """The flows that a call is on, or a transaction that has not ended."""

    def on_refused(self, listener: str, address: Address, reason: str) -> None:
        """A connection was refused at accept: limit, address or blocklist (throttled)."""

    def on_flood(self, flow: Flow) -> None:
        """A peer brings more than its allowance, and waits; over UDP what is over it is dropped."""


class Edge(Protocol):
    """Whoever has connections: the listeners, the dialer."""

    @property
    def flows(self) -> list[Flow]:
        """Every open one."""

    def recycle(self, flow: Flow, reason: str) -> None:
        """Close ``flow`` as soon as nothing is lost with it; nothing new goes over it."""
