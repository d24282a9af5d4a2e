"""One SIP connection of an agent: messages in, messages out, and a record of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent

from sbc.demo.tls import Refused, TlsStream
from sbc.sip.message import Message, serialize
from sbc.sip.parse import ParseError
from sbc.sip.stream import PING, MessageStream


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message that an agent sent or received, at POSIX seconds."""

    at: float
    outgoing: bool
    message: Message


class Link:
    """A TLS connection that carries SIP; ``receive`` is called with each message."""

    def __init__(
        self,
        stream: TlsStream,
        receive: Callable[[Link, Message], None],
        record: list[Exchange],
        clock: Callable[[], float],
    ) -> None:
        self.stream = stream
        self.facts = stream.facts()
        self.failure = ""
        self._receive = receive
        self._record = record
        self._clock = clock
        self._reader: Any = gevent.spawn(self._read)

    @property
    def open(self) -> bool:
        """Whether the peer can still be heard."""
        return not self._reader.dead

    def send(self, message: Message) -> None:
        """Send and record ``message``."""
        self._record.append(Exchange(self._clock(), True, message))
        self.stream.send(serialize(message))

    def wait_closed(self, seconds: float) -> bool:
        """Whether the peer closed within ``seconds``; ``failure`` says why where it was an alert."""
        self._reader.join(timeout=seconds)
        return bool(self._reader.dead)

    def close(self) -> None:
        """Close the connection."""
        self._reader.kill()
        self.stream.close()

    def _read(self) -> None:
        messages = MessageStream()
        try:
            while data := self.stream.recv():
                for item in messages.feed(data):
                    self._take(item)
        except Refused as refused:
            self.failure = str(refused)

    def _take(self, item: object) -> None:
        if isinstance(item, Message):
            self._record.append(Exchange(self._clock(), False, item))
            self._receive(self, item)
        elif item is PING:
            self.stream.send(b"\r\n")
        elif isinstance(item, ParseError):
            self.failure = f"malformed SIP: {item}"
