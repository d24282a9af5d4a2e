"""Frozen pictures of what is barred and bounded, of disks and of alerts.

Times are POSIX seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class AclRuleView:
    """A rule of the access list: where it stands, what it says, how often it has decided and when last."""

    place: str
    text: str
    note: str
    hits: int
    last: float


@dataclass(frozen=True, slots=True)
class AclView:
    """The access list: its rules, how often they barred somebody, by kind, and those that did most."""

    rules: int = 0
    denied: tuple[tuple[str, int], ...] = ()
    busiest: tuple[AclRuleView, ...] = ()


@dataclass(frozen=True, slots=True)
class BlocklistView:
    """How many addresses are blocked ``now`` and ever were, and how often they were turned away.

    ``counts`` has what they were blocked for, ``policy`` when one is, in a sentence, or ``off``.
    """

    now: int = 0
    lifetime: int = 0
    refused: int = 0
    counts: Counts = ()
    policy: str = "off"


@dataclass(frozen=True, slots=True)
class TenantView:
    """A tenant: the calls that its trunks hold together, and its limits; None is no limit."""

    name: str
    calls: int = 0
    call_limit: int | None = None
    cps_limit: float | None = None


@dataclass(frozen=True, slots=True)
class CapView:
    """A cap, named by its key, that has ``refused`` so much of a trunk, ``last`` at (POSIX seconds).

    ``reached``: within the last minute.
    """

    trunk: str
    cap: str
    refused: int
    last: float
    reached: bool


@dataclass(frozen=True, slots=True)
class LoadView:
    """How late the loop comes round (seconds), and since when it cannot keep up (POSIX), None if it does."""

    lag: float = 0.0
    overloaded_since: float | None = None


@dataclass(frozen=True, slots=True)
class ExportView:
    """A collector that is told what happens, ``hep`` or ``syslog``: messages that wait, were sent or dropped.

    ``problem`` is why nothing gets there, "" while it does.
    """

    name: str
    to: str
    waiting: int = 0
    sent: int = 0
    dropped: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DiskView:
    """The disk that the ``what`` (records, recordings, log) are written to: octets ``free`` of its ``size``.

    ``problem`` is why nobody knows, "" where somebody does; ``device`` tells one disk from another.
    """

    what: str
    free: int = 0
    size: int = 0
    device: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AlertView:
    """One thing that is wrong ``since`` (POSIX seconds); ``told`` says whether alerts have gone out."""

    urgency: str
    title: str
    detail: str
    remedy: str
    since: float
    told: bool


@dataclass(frozen=True, slots=True)
class SinkView:
    """A place that alerts go to: how many notices wait, went there and are lost; why it takes none, or ""."""

    name: str
    scheme: str
    waiting: int = 0
    sent: int = 0
    lost: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AlertsView:
    """What is wrong now, and where it is told."""

    standing: tuple[AlertView, ...] = ()
    sinks: tuple[SinkView, ...] = ()
