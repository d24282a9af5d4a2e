"""A Flow: one live path to a peer, with what TLS proved about who is at its other end.

The core never touches ``channel``; ``sbc/net`` puts there what it needs to write to the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from sbc.base import Address

Transport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """The certificate that a peer presented, and whether we verified it.

    ``sans`` are written ``dns:NAME``, ``uri:URI`` or ``ip:ADDRESS``; ``pin`` is
    ``sha256/HEX`` of the public key; times are POSIX seconds.
    """

    subject: str
    issuer: str
    sans: tuple[str, ...]
    pin: str
    thumbprint: str
    not_before: float
    not_after: float
    verified: bool

    @property
    def label(self) -> str:
        """The subject, or the names of a certificate that has none (RFC 5280 4.1.2.6)."""
        names = ", ".join(self.sans[:4]) or "no names either"
        return self.subject or f"a certificate without a subject ({names})"


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What one handshake agreed: version, cipher, key-exchange group, SNI, peer.

    ``identity`` is the name of the identity that we were (``+next`` for a staged one), ``own`` the
    thumbprint of its certificate, both "" for none. ``revocation`` is what was known of the peer's chain:
    ``good``, another state of ``sbc.tls.revocation.finding`` that a soft trunk lets pass, or "" where nobody
    asked.
    """

    version: str
    cipher: str
    group: str
    sni: str
    identity: str
    peer: PeerIdentity | None
    own: str = ""
    revocation: str = ""


class ReuseKey(NamedTuple):
    """A connection serves another request only where all of this is the same (RFC 5923)."""

    trunk: str
    transport: Transport
    target: Address
    identity: str
    trust_generation: str


class Allowance:
    """How many messages one peer may bring, over all its flows: ``rate`` a second, of them a quarter at once.

    Whoever reads counts ``left`` down, and asks the time only when it has run out. A call that comes about
    earns its peers some more (``earned``): who has many of them is no flood. ``waiting`` are the connections
    that are not read until there is something left again.
    """

    __slots__ = ("_since", "_told", "earned", "left", "rate", "waiting")

    def __init__(self, rate: float, at: float = 0.0) -> None:
        self.rate = rate
        self.left = BURST * rate
        self.earned = 0
        self.waiting = 0
        self._since = at
        self._told = at - TELL_EVERY

    def take(self, count: int, at: float) -> bool:
        """Take ``count`` where anything at all is left at ``at`` (monotonic); False where it has to wait."""
        left, stock = self.left, BURST * self.rate
        if left < stock:
            left = min(stock, left + max(0.0, at - self._since) * self.rate)
        self.left = min(left + self.earned, _MOST * self.rate)
        self.earned = 0
        self._since = at
        if self.left <= 0.0:
            return False
        self.left -= count
        return True

    def tell(self, at: float) -> bool:
        """Whether a flood is to be told of at ``at``: once a second, however many messages it has."""
        if at - self._told < TELL_EVERY:
            return False
        self._told = at
        return True

    def idle(self, at: float) -> bool:
        """Whether it says no more at ``at`` than a new one would."""
        return self.left + (at - self._since) * self.rate >= BURST * self.rate


BURST: Final = 0.25  # seconds' worth
_MOST: Final = 2.0  # the same, with what was earned
EARNED: Final = 8  # messages; a call has three or four of either side, and one with early media or holds more
TELL_EVERY: Final = 1.0
UNBOUNDED: Final = Allowance(float("inf"))
REMEMBERED: Final = 8192  # allowances


class Allowances:
    """The allowance of every peer; one for the life of the process.

    ``rate`` is that of each, in messages a second. What one address brings for one trunk counts together: a
    peer that opens a second connection gets no second allowance, nor does one that closes its connection and
    comes again. Addresses may be forged, so only so many are remembered.
    """

    __slots__ = ("_of", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._of: dict[tuple[str, str], Allowance] = {}

    def __len__(self) -> int:
        return len(self._of)

    def of(self, trunk: str, source: str, at: float) -> Allowance:
        """That of who brings messages of ``trunk`` from ``source``, an address as it counts."""
        key = (trunk, source)
        known = self._of.get(key)
        if known is None:
            if len(self._of) >= REMEMBERED:
                self._forget(at)
            known = self._of[key] = Allowance(self._rate, at)
        return known

    def apply(self, rate: float) -> None:
        """Let everybody have ``rate`` from now on."""
        self._rate = rate
        for each in self._of.values():
            each.rate = rate

    def _forget(self, at: float) -> None:
        self._of = {key: each for key, each in self._of.items() if not each.idle(at)}
        if len(self._of) > REMEMBERED // 2:
            self._of = {}


class Path:
    """What may be told of a flow, and kept when it is gone: all but the connection itself.

    ``flow`` is its number, by which two paths between the same addresses are told apart.
    """

    __slots__ = ("flow", "listener", "local", "outbound", "remote", "tls", "transport", "trunk")

    def __init__(
        self, flow: int, transport: Transport, local: Address, remote: Address, trunk: str = "",
        listener: str = "", outbound: bool = False, tls: TlsFacts | None = None,
    ) -> None:  # fmt: skip
        self.flow = flow
        self.transport: Transport = transport
        self.local = local
        self.remote = remote
        self.trunk = trunk
        self.listener = listener
        self.outbound = outbound
        self.tls = tls


class Flow:
    """One live connection, or one UDP peer of one of our listeners.

    ``trunk`` is what admission settled: by address for UDP and TCP, by address and
    certificate for TLS; None where no trunk matched. ``secure`` says that it is TLS,
    ``trusted`` that the peer's certificate was verified too, which makes its assertions
    about users worth something (RFC 3325 7). ``allowance`` is shared with the peer's other flows;
    ``opened_at`` is of the monotonic clock; ``record`` is how call records tell of it, once they have;
    ``strangers``: whoever knows a password may come on its trunk: its peers are no one party.
    ``path`` is itself for whoever tells of it, and keeps no connection. ``ended`` says why it is gone, ""
    while it is not. ``alias`` is the port for which the peer that opened it offers it for requests to itself
    too (RFC 5923), 0 where it does not. ``former``: we dialled it, and a reload has taken its peer out of the
    trunk since; what it has begun goes on to its end.
    """

    __slots__ = (
        "alias",
        "alive",
        "allowance",
        "channel",
        "ended",
        "former",
        "id",
        "listener",
        "local",
        "opened_at",
        "outbound",
        "path",
        "record",
        "reliable",
        "remote",
        "reuse",
        "secure",
        "strangers",
        "tls",
        "transport",
        "trunk",
        "trusted",
    )

    def __init__(
        self,
        id: int,
        transport: Transport,
        local: Address,
        remote: Address,
        *,
        listener: str = "",
        trunk: str | None = None,
        tls: TlsFacts | None = None,
        outbound: bool = False,
        reuse: ReuseKey | None = None,
        opened_at: float = 0.0,
        channel: Any = None,
        allowance: Allowance = UNBOUNDED,
    ) -> None:
        self.id = id
        self.transport = transport
        self.local = local
        self.remote = remote
        self.listener = listener
        self.trunk = trunk
        self.tls = tls
        self.outbound = outbound
        self.reuse = reuse
        self.alive = True
        self.alias = 0
        self.former = False
        self.strangers = False
        self.ended = ""
        self.record = ""
        self.path = Path(id, transport, local, remote, trunk or "", listener, outbound, tls)
        self.channel = channel
        self.allowance = allowance
        self.opened_at = opened_at
        self.reliable = transport != "udp"
        self.secure = transport == "tls"
        self.trusted = self.secure and tls is not None and tls.peer is not None and tls.peer.verified

    def __repr__(self) -> str:
        return f"<Flow {self.id} {self.transport} {self.local}->{self.remote} trunk={self.trunk}>"
