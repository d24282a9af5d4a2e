"""Frozen pictures of a running SBC, for the health endpoint, the metrics and the pages.

The app fills them; whoever shows them sees nothing else of the SBC. Times are POSIX seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sbc.base import Address, is_wildcard
from sbc.observe.traffic import Stats

ListenerState = Literal["listening", "failed", "stopped"]
TrunkState = Literal["up", "down", "resting", "unknown", "quarantined", "disabled"]
RegistrationState = Literal["trying", "registered", "failed"]

Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CertificateView:
    """A certificate of ours or of a peer: its names, its SHA-256 thumbprint in hex, its last moment."""

    name: str
    subject: str
    thumbprint: str
    not_after: float


@dataclass(frozen=True, slots=True)
class ListenerView:
    """One listening port; ``reason`` is why it does not listen, ``advertise`` what peers are told instead.

    ``inbound`` counts who came, ``outbound`` what was dialled for its trunks.
    """

    name: str
    transport: str
    address: Address
    state: ListenerState = "listening"
    reason: str = ""
    certificates: tuple[CertificateView, ...] = ()
    inbound: Stats = field(default_factory=Stats)
    outbound: Stats = field(default_factory=Stats)
    advertise: str = ""

    @property
    def held(self) -> int:
        """Messages over the cap of their peers, whoever opened the connection."""
        return self.inbound.held + self.outbound.held

    @property
    def shown(self) -> str:
        """Where it listens, and what that means to peers where it is no address to reach."""
        if self.advertise:
            return f"{self.address} as {self.advertise}"
        return f"{self.address} (every address)" if is_wildcard(self.address.host) else str(self.address)


@dataclass(frozen=True, slots=True)
class PeerView:
    """One peer of a trunk; ``reason`` is why its last probe failed, or why it rests.

    ``rests_until`` (POSIX seconds, 0: it does not rest) is when calls go to it again as before: until then
    one that is ``resting`` gets none, for it asked for that, and any other is tried after the trunk's others.
    """

    address: str
    state: TrunkState = "unknown"
    reason: str = ""
    rests_until: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server that DNS named: the host of the SRV record, its address, priority and weight (RFC 2782)."""

    host: str
    address: str
    priority: int = 0
    weight: int = 0


@dataclass(frozen=True, slots=True)
class NameView:
    """What DNS gave for a domain among the peers of ``trunks``, and until when it is good (POSIX seconds).

    ``problem`` is why nothing was learned the last time, or what is wrong with the records, "" for nothing;
    ``failing`` says that it is the former, and ``until`` is 0 where nothing was ever learned.
    """

    domain: str
    transport: str
    servers: tuple[ServerView, ...] = ()
    until: float = 0.0
    problem: str = ""
    failing: bool = False
    trunks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistrationView:
    """How a trunk is registered: ``address`` is the address of record, ``registrar`` the peer asked last.

    ``reason`` is why it last failed, "" where it has not; ``until`` is when the binding ends and ``due`` when
    REGISTER is sent next, 0 for none. ``associated`` are the numbers that are ours as the carrier says,
    ``service_route`` is the way that it wants calls to take.
    """

    trunk: str
    address: str
    registrar: str
    state: RegistrationState = "trying"
    reason: str = ""
    contact: str = ""
    since: float = 0.0
    until: float = 0.0
    due: float = 0.0
    associated: tuple[str, ...] = ()
    service_route: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrunkView:
    """One trunk: its policy, whether it and which peers are reachable, and the certificates on both sides.

    ``mode`` is the TLS mode, ``off`` where there is none; ``failures`` counts failed handshakes by kind,
    ``alerts`` by the alert that ended them, such as ``sent 48 unknown_ca``;
    ``media_ports`` are the pairs that calls from it hold;
    ``held`` where a file of it is broken and what was in force before still serves; in mode optional,
    ``optional`` says whom ``required`` would refuse, and ``shown`` counts who presents what.
    """

    name: str
    listener: str
    peers: tuple[str, ...] = ()
    transport: str = "tls"
    mode: str = "off"
    srtp: str = "accept"
    sips: str = "warn"
    state: TrunkState = "unknown"
    reason: str = ""
    calls: int = 0
    call_limit: int | None = None
    media_ports: int = 0
    own: CertificateView | None = None
    peer: CertificateView | None = None
    failures: Counts = ()
    revocation: str = "off"
    soft_passes: Counts = ()
    alerts: Counts = ()
    held: bool = False
    optional: str = ""
    shown: Counts = ()
    peer_states: tuple[PeerView, ...] = ()


@dataclass(frozen=True, slots=True)
class TenantView:
    """A tenant: the calls that its trunks hold together, and its limits; None is no limit."""

    name: str
    calls: int = 0
    call_limit: int | None = None
    cps_limit: float | None = None


@dataclass(frozen=True, slots=True)
class NetworkView:
    """One bound address of media, and how many of its ``pairs`` of ports are ``free``.

    ``name`` is the network's, '' in the short form; ``advertise`` is what SDP says instead, if anything.
    """

    name: str
    address: str
    advertise: str = ""
    ports: str = ""
    free: int = 0
    pairs: int = 0

    @property
    def family(self) -> str:
        """IPv4 or IPv6."""
        return "IPv6" if ":" in self.address else "IPv4"


@dataclass(frozen=True, slots=True)
class LifeView:
    """A certificate of ours, a trusted one or one that a peer presented, and how long it lasts.

    ``whose`` is ours, theirs, trusted or window (the end of a rotation's), ``name`` its entry in sbc.yaml or
    the peer's trunk; ``state`` is ok or the mark that it passed last (``sbc.tls.lifetime.expiry``).
    """

    whose: str
    name: str
    subject: str
    thumbprint: str
    ends: float
    days_left: int
    state: str
    trunks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallView:
    """One live call; ``*_tls`` is a version such as ``TLSv1.3``, ``*_srtp`` a suite, empty for none.

    ``one_way`` is who was not heard: ``caller``, ``callee`` or ``both``.
    """

    id: str
    caller: str
    called: str
    a_trunk: str
    b_trunk: str
    state: str
    started: float
    answered: float | None = None
    a_tls: str = ""
    b_tls: str = ""
    a_srtp: str = ""
    b_srtp: str = ""
    downgraded: bool = False
    emergency: bool = False
    one_way: str = ""


@dataclass(frozen=True, slots=True)
class FailureView:
    """One refused handshake: who, where, which failure, the TLS alert, and what to do about it.

    ``where`` is the line of the configuration that decides it, "" where none of ours does.
    """

    at: float
    peer: str
    trunk: str
    direction: Literal["inbound", "outbound"]
    kind: str
    detail: str
    remedy: str
    alert: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class RevocationView:
    """One source of revocation data: a ``file``, a ``crl`` address or an ``ocsp`` responder, and of whom.

    ``until`` is when what it gave runs out, ``due`` when it is asked again, 0 for never; ``problem`` is why
    it last gave nothing.
    """

    kind: Literal["file", "crl", "ocsp"]
    source: str
    of: str
    until: float = 0.0
    due: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RecordsView:
    """The call records: how many wait to be written, how many are lost, and why none is written, or ""."""

    waiting: int = 0
    lost: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RecordingsView:
    """Calls that are being recorded, bytes of all recordings on disk, packets that are in no file, recordings
    that failed, and why the last one did, or ""."""

    running: int = 0
    used: int = 0
    dropped: int = 0
    failed: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CountersView:
    """What happened since the start; ``inbound`` and ``outbound`` of all listeners, ``events`` by name."""

    inbound: Stats = field(default_factory=Stats)
    outbound: Stats = field(default_factory=Stats)
    calls: int = 0
    sips_arrivals: int = 0
    downgrades: int = 0
    events: Counts = ()

    @property
    def handshakes(self) -> int:
        """Good ones, both ways."""
        return self.inbound.handshakes + self.outbound.handshakes

    @property
    def handshake_failures(self) -> int:
        """Those that failed, both ways."""
        return self.inbound.failures + self.outbound.failures


@dataclass(frozen=True, slots=True)
class StatusView:
    """The whole picture at ``now``; ``version`` is the snapshot in force, ``release`` the software's.

    ``replaced`` are earlier snapshots that calls still hold or that wait to be collected;
    ``transactions`` are SIP transactions that live, ``free_media_ports`` pairs of ports not in use,
    of all ``networks``.
    """

    version: str
    started: float
    listeners: tuple[ListenerView, ...]
    trunks: tuple[TrunkView, ...]
    calls: tuple[CallView, ...]
    counters: CountersView
    now: float = 0.0
    release: str = ""
    failures: tuple[FailureView, ...] = ()
    replaced: int = 0
    transactions: int = 0
    free_media_ports: int = 0
    networks: tuple[NetworkView, ...] = ()
    revocation: tuple[RevocationView, ...] = ()
    certificates: tuple[LifeView, ...] = ()
    records: RecordsView = field(default_factory=RecordsView)
    recordings: RecordingsView = field(default_factory=RecordingsView)
    registrations: tuple[RegistrationView, ...] = ()
    names: tuple[NameView, ...] = ()
    tenants: tuple[TenantView, ...] = ()
