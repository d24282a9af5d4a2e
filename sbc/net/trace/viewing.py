"""Who follows a trace: each reader has a queue of its own, and a greenlet that empties it into a socket.

A message costs its call what it takes to put it into the queue. Masking and writing are done some moments
later, for many messages at once, and after each piece of that work a multiple of the time that it took is
rested: all readers together take a fifth of the process at most, whatever peers send to be masked, and what
is too much for that is missed. A reader that takes nothing is ended after a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import gevent
from gevent import socket

from sbc.base import LocalError
from sbc.net.system.clock import Clock
from sbc.net.system.turn import Turn
from sbc.observe.tap import Tap
from sbc.observe.trace.frames import HEARTBEAT, end
from sbc.observe.trace.view import View

#: How many may follow at once.
MOST_READERS: Final = 8
# Seconds for which messages gather before they are written; in which a reader has to take something; after
# which one that hears nothing is told that we are still there; for which the answers of a call that is over
# are waited for.
GATHER: Final = 0.2
STALL: Final = 60.0
BEAT: Final = 5.0
LATE: Final = 2.0
# How long it is rested, as a multiple of the work.
REST: Final = 4.0
# Events that are written in one go: a millisecond's work.
_PIECE: Final = 200

Say = Callable[[Mapping[str, object]], object]


class Readers:
    """All that follow ``tap`` live."""

    def __init__(self, tap: Tap, clock: Clock) -> None:
        self._tap = tap
        self._clock = clock
        self._count = 0

    def open(self, view: View, seconds: float, live: bool, say: Say) -> Reading:
        """A reader of ``view`` for so long; ``say`` is told how it was when it is over. May be LocalError."""
        if self._count >= MOST_READERS:
            raise LocalError(f"{MOST_READERS} traces are under way already; end one of them")
        return Reading(self, view, seconds, live, say)

    def run(self, reading: Reading, connection: socket.socket) -> None:
        """Let ``reading`` go on until it is over, its reader is gone, or the connection is closed."""
        view, why = reading.view, "the reader is gone"
        self._count += 1
        if reading.live:
            self._tap.follow(view)
        try:
            why = self._write(reading, connection)
            connection.sendall(end(why))
        except TimeoutError:
            why = f"the reader took nothing for {STALL:g} s"
        finally:
            self._tap.leave(view)
            self._count -= 1
            reading.say({"messages": view.shown, "missed": view.missed or None, "reason": why})

    def _write(self, reading: Reading, connection: socket.socket) -> str:
        """Write what there is to show until there is no more; returns why that is so."""
        view, monotonic, turn = reading.view, self._clock.monotonic, Turn()
        connection.settimeout(STALL)
        begun = beaten = monotonic()
        until = begun + reading.seconds
        over = False
        while True:
            while not view.idle:
                began = monotonic()
                frames = view.frames(_PIECE)
                spent = monotonic() - began
                connection.sendall(frames)
                beaten = monotonic()
                turn.rest(spent * REST * self._count)
            if view.over:
                return view.over
            at = monotonic()
            if at >= until:
                return "the call is over" if over else f"{reading.seconds:g} s are over"
            if view.ended and not over:
                over, until = True, min(until, at + LATE)
            if _is_gone(connection):
                raise ConnectionResetError
            if at - beaten >= BEAT:
                connection.sendall(HEARTBEAT)
                beaten = at
            gevent.sleep(GATHER)


def _is_gone(connection: socket.socket) -> bool:
    """Whether the reader has closed its end; it says nothing more while it reads."""
    raw: Any = connection._sock
    try:
        return not raw.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False


class Reading:
    """One reader: what the control socket answers, and then runs over the same connection."""

    def __init__(self, readers: Readers, view: View, seconds: float, live: bool, say: Say) -> None:
        self._readers = readers
        self.view = view
        self.seconds = seconds
        self.live = live
        self.say = say

    @property
    def head(self) -> dict[str, Any]:
        """What is answered before the frames."""
        return {"seconds": self.seconds}

    def run(self, connection: socket.socket) -> None:
        """Write frames to ``connection`` until it is over; OSError where the reader is gone."""
        self._readers.run(self, connection)
