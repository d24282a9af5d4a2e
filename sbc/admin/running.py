"""What a running SBC consists of, as far as anybody asks it: the views and verbs know no more of it."""

from __future__ import annotations

from typing import Any, Protocol

from sbc.admin.switches import Switches
from sbc.b2bua.engine import Engine
from sbc.config.snapshot import SnapshotStore
from sbc.net.acme.keeper import AcmeKeeper
from sbc.net.alerts.alerting import Alerting
from sbc.net.dns.names import Names
from sbc.net.export.exports import Exports
from sbc.net.lookups.asked import Lookups
from sbc.net.media.embedded import MediaIO
from sbc.net.media.recordings import Recordings
from sbc.net.revocation.inquiry import Revocation
from sbc.net.rotation.rotator import Rotator
from sbc.net.system.clock import Clock
from sbc.net.system.log_writer import LogWriter
from sbc.net.system.record_writer import RecordWriter
from sbc.net.system.space import Space
from sbc.net.system.store import Store
from sbc.net.trace.viewing import Readers
from sbc.net.transport.blocking import Blocking
from sbc.net.transport.dialer import Dialer
from sbc.net.transport.listener import Listeners
from sbc.observe.recorder import Recorder
from sbc.observe.tap import Rings


class Running(Protocol):
    """The parts of one SBC process; ``started`` is POSIX seconds."""

    started: float
    clock: Clock
    store: SnapshotStore
    saved: Store
    recorder: Recorder
    log: LogWriter
    records: RecordWriter
    recordings: Recordings
    exports: Exports
    engine: Engine
    media: MediaIO
    listeners: Listeners
    dialer: Dialer
    names: Names
    lookups: Lookups
    revocation: Revocation
    rotator: Rotator
    acme: AcmeKeeper
    blocking: Blocking
    switches: Switches
    rings: Rings
    readers: Readers
    space: Space
    alerting: Alerting

    @property
    def refused(self) -> str:
        """The first mistake of the files that were read last, "" where they are in force."""

    def end_call(self, call: str, by: str) -> None:
        """End a live call because ``by`` says so."""

    def reload(self, force: bool = False) -> dict[str, Any]:
        """Read the configuration again: what came of it, with the lines to show."""
