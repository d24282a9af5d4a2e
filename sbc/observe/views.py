"""Frozen pictures of a running SBC, for the health endpoint, the metrics and the pages.

The app fills them; whoever shows them sees nothing else of the SBC. Times are POSIX seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sbc.b2bua.outcomes import Direction
from sbc.base import Address, is_wildcard
from sbc.media.quality import Quality
from sbc.observe.edge_views import (
    AclView,
    AlertsView,
    BlocklistView,
    CapView,
    Counts,
    DiskView,
    ExportView,
    LoadView,
    TenantView,
)
from sbc.observe.traffic import Stats
from sbc.policy.allowances import SpentView

ListenerState = Literal["listening", "failed", "stopped"]
TrunkState = Literal["up", "down", "resting", "unknown", "quarantined", "disabled"]
RegistrationState = Literal["trying", "registered", "failed"]


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
class HistogramView:
    """How many values are up to each of ``bounds``, not counting those of the bound before; and their sum.

    ``counts`` has one more, for what is above the last bound.
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = (0,)
    sum: float = 0.0


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """What became of the ``calls`` from a trunk (inbound), or of the tries to reach it, since the start.

    ``codes`` counts final statuses, ``asr`` is the share that was ``answered``; ``ended`` answered calls took
    ``seconds``, ``acd`` on average. ``pdd`` is the mean of the ``delays`` from an INVITE to the first 18x or
    2xx. None is not known yet.
    """

    direction: Direction
    codes: Counts = ()
    calls: int = 0
    answered: int = 0
    asr: float | None = None
    ended: int = 0
    seconds: float = 0.0
    acd: float | None = None
    pdd: float | None = None
    delays: HistogramView = field(default_factory=HistogramView)


@dataclass(frozen=True, slots=True)
class QualityView:
    """The quality of a trunk's legs that are over: of what was ``received`` from it, or ``sent`` to it.

    ``mos``, ``loss`` (0 to 1), ``jitter`` and ``round_trip`` (seconds) are means over legs, None for unknown.
    """

    way: Literal["received", "sent"]
    mos: float | None = None
    loss: float | None = None
    jitter: float | None = None
    round_trip: float | None = None
    scores: HistogramView = field(default_factory=HistogramView)
    losses: HistogramView = field(default_factory=HistogramView)
    jitters: HistogramView = field(default_factory=HistogramView)
    round_trips: HistogramView = field(default_factory=HistogramView)


@dataclass(frozen=True, slots=True)
class PhoneView:
    """One place at which a user of ours is registered; ``reachable``: its connection is there."""

    user: str
    trunk: str
    contact: str
    remote: str
    transport: str
    reachable: bool
    since: float
    until: float
    q: float = 1.0
    instance: str = ""
    reg_id: int = 0
    user_agent: str = ""
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PhonesView:
    """The phones of one trunk: its users, the places they are registered at, and those with a connection."""

    trunk: str
    users: int = 0
    contacts: int = 0
    reachable: int = 0


@dataclass(frozen=True, slots=True)
class TrunkView:
    """One trunk: its policy, whether it and which peers are reachable, and the certificates on both sides.

    ``mode`` is the TLS mode, ``off`` where there is none; ``failures`` counts failed handshakes by kind,
    ``alerts`` by the alert that ended them, such as ``sent 48 unknown_ca``;
    ``media_ports`` are the pairs that calls from it hold;
    ``held`` where a file of it is broken and what was in force before still serves; in mode optional,
    ``optional`` says whom ``required`` would refuse, and ``shown`` counts who presents what. ``outcomes``
    are of its calls, for each direction that there were any in, ``quality`` each way that media went.
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
    outcomes: tuple[OutcomeView, ...] = ()
    quality: tuple[QualityView, ...] = ()


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
    ``remedy`` is what to do about it.
    """

    whose: str
    name: str
    subject: str
    thumbprint: str
    ends: float
    days_left: int
    state: str
    trunks: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class CallView:
    """One live call; ``*_tls`` is a version such as ``TLSv1.3``, ``*_srtp`` a suite, empty for none.

    ``one_way`` is who was not heard: ``caller``, ``callee`` or ``both``.
    ``*_quality`` is that of the leg so far, None while nothing is known.
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
    a_quality: Quality | None = None
    b_quality: Quality | None = None


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
class LookupView:
    """A service that rules ask, at ``host``: whether it is asked, and how questions have ended, by kind.

    ``state`` is closed while it is asked, open while it is left alone for ``retry_in`` seconds, and probing
    when one question goes first; ``reason`` is why. ``under_way`` questions wait, ``kept`` answers are used
    again; ``seconds`` is the time that all questions have taken together. ``answered`` are those with an
    answer, a fresh one, a kept one or that of another call; of all others the `else` counted.
    """

    name: str
    host: str
    state: Literal["closed", "open", "probing"] = "closed"
    under_way: int = 0
    kept: int = 0
    counts: Counts = ()
    seconds: float = 0.0
    reason: str = ""
    retry_in: float = 0.0
    answered: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class RecordingsView:
    """Calls being recorded, bytes on disk, packets in no file, recordings that failed, why the last did."""

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
    frames_missed: int = 0

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
    ``registers`` says how often what came of a phone's REGISTER.
    ``transactions`` are SIP transactions that live, ``free_media_ports`` pairs of ports not in use,
    of all ``networks``. ``limits`` are the allowances that are nearly spent, of all ``limit_keys``, and
    ``limit_refusals`` how often each limit has refused. ``draining``: it is about to stop, no call begins.
    ``refused`` is the first mistake of files that were read since and are not in force, "" for none.
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
    lines_lost: int = 0
    records: RecordsView = field(default_factory=RecordsView)
    recordings: RecordingsView = field(default_factory=RecordingsView)
    exports: tuple[ExportView, ...] = ()
    registrations: tuple[RegistrationView, ...] = ()
    phones: tuple[PhonesView, ...] = ()
    registers: tuple[tuple[str, int], ...] = ()
    names: tuple[NameView, ...] = ()
    tenants: tuple[TenantView, ...] = ()
    draining: bool = False
    lookups: tuple[LookupView, ...] = ()
    limits: tuple[SpentView, ...] = ()
    caps: tuple[CapView, ...] = ()
    load: LoadView = field(default_factory=LoadView)
    limit_refusals: tuple[tuple[str, int], ...] = ()
    limit_keys: int = 0
    acl: AclView = field(default_factory=AclView)
    blocklist: BlocklistView = field(default_factory=BlocklistView)
    disks: tuple[DiskView, ...] = ()
    refused: str = ""
    alerts: AlertsView = field(default_factory=AlertsView)
