"""Who is told what happens, as the configuration in force has it: the journal by syslog, SIP messages by HEP.

A reload that leaves a collector what it was leaves it its connection and its queue. What one that is gone is
still to be told is sent before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import gevent
from gevent import socket

from sbc.b2bua.commands import Note
from sbc.config.collect import Collector
from sbc.config.snapshot import Snapshot
from sbc.net.export.sender import Sender
from sbc.observe.edge_views import ExportView
from sbc.observe.hep import packet
from sbc.observe.journal import Level
from sbc.observe.syslog import OF_DATAGRAMS, OF_STREAMS, Syslog, counted
from sbc.observe.tap import Ruling, Seen
from sbc.observe.trace.masking import masked

Say = Callable[[Level, str, dict[str, Any]], object]

_TAGS: Final = {"syslog": "[syslog]", "hep": "[hep]"}


class Exports:
    """One for the app; ``say`` hears level, tag and fields of what becomes of collectors."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._senders: dict[str, Sender] = {}
        self._syslog: Syslog | None = None

    def apply(self, snapshot: Snapshot) -> None:
        """Tell those of ``snapshot`` from now on."""
        self._follow("hep", snapshot.hep)
        self._follow("syslog", snapshot.syslog)
        collector = snapshot.syslog
        if collector is None:
            self._syslog = None
        else:
            most = OF_DATAGRAMS if collector.to.way == "udp" else OF_STREAMS
            self._syslog = Syslog(collector.number, socket.gethostname(), os.getpid(), most)

    def _follow(self, name: str, collector: Collector | None) -> None:
        former = self._senders.get(name)
        if former is not None and former.collector == collector:
            return
        if collector is not None:
            encode = partial(_packet, collector) if name == "hep" else bytes
            self._senders[name] = Sender(name, collector, self._teller(name), encode)
        elif former is not None:
            del self._senders[name]
        if former is not None:
            gevent.spawn(former.close)

    def _teller(self, name: str) -> Callable[[Level, str, str], None]:
        return lambda level, event, text: self._tell(name, level, event, text)

    def _tell(self, name: str, level: Level, event: str, text: str) -> None:
        self._say(level, _TAGS[name], {"event": event, "text": text})

    def line(self, level: str, tag: str, fields: Mapping[str, Any], now: float) -> None:
        """An event of the journal, at ``now`` (POSIX seconds)."""
        sender, syslog = self._senders.get("syslog"), self._syslog
        if sender is not None and syslog is not None:
            message = syslog.message(level, tag, fields, now)
            sender(message if sender.collector.to.way == "udp" else counted(message))

    # A follower of the tap (sbc.observe.tap), while there is a collector of SIP messages

    def seen(self, seen: Seen) -> None:
        """A message came or went."""
        sender = self._senders.get("hep")
        if sender is not None:
            sender(seen)

    def decided(self, ruling: Ruling) -> None:
        """The rules decided about a call: no message."""

    def noted(self, note: Note, now: float) -> None:
        """Something else happened: no message."""

    def views(self) -> Iterator[ExportView]:
        """What is told of each collector."""
        for _, sender in sorted(self._senders.items()):
            yield sender.view()

    def close(self) -> None:
        """Send what waits, as far as that can be done soon."""
        for each in list(self._senders.values()):
            each.close()


def _packet(collector: Collector, seen: Seen) -> bytes:
    """What a collector of SIP messages is told of one: its secrets are masked, its call is named."""
    path = seen.path
    near, far = (path.local, path.remote) if seen.sent else (path.remote, path.local)
    named = seen.call or seen.call_id
    return packet(
        masked(seen.octets), path.transport, near, far, seen.now, collector.number, named, collector.password
    )
