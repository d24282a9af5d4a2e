"""Free loopback ports, outside the kernel's ephemeral range so that no outgoing connection takes them.

A port that is free now may be what another process has set aside, for the media of a call that is yet to
come say. So each process that asks has zones of its own, as long as it lives: a lock on a file for each.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

from sbc.demo.lab import LabPorts

_SIZE, _MOST = 1360, 3
# The lab of `make demo` looks for its media ports between 20000 and 30000.
_ZONES = [
    range(first, first + _SIZE)
    for low, high in ((6144, 20000), (30000, 32768), (61000, 65536))
    for first in range(low, high - _SIZE + 1, _SIZE)
]
# For the media of as many calls as a benchmark or a soak makes.
_WIDE = [range(first, first + 4200) for first in range(33000, 61000 - 4200 + 1, 4200)]
_own: list[range] = []
_locks: list[IO[str]] = []
_at = 0
_next = _end = 0


def free_port(consecutive: int = 1) -> int:
    """The first of ``consecutive`` ports free for UDP and TCP; each comes again as late as possible."""
    global _next
    for _ in range(len(_ZONES) * _SIZE):
        if _next + consecutive > _end:
            _move_on()
        first, _next = _next, _next + consecutive
        if all(_is_free(port) for port in range(first, first + consecutive)):
            return first
    raise OSError("no free port on the loopback")


def free_ports(count: int) -> list[int]:
    """``count`` free ports, each as `free_port` finds it."""
    return [free_port() for _ in range(count)]


def lab_ports() -> LabPorts:
    """Those of a lab that runs for longer than a moment, or starts again on them."""
    sips, admin, office, carrier = free_ports(4)
    return LabPorts(sips, admin, office, carrier, (free_port(101) + 1) & ~1)


@cache
def wide_range() -> range:
    """4,200 ports for media, nobody else's while this process lives, and the same whenever it asks."""
    return _claim(_WIDE) or _WIDE[os.getpid() % len(_WIDE)]  # there are more processes than ranges


def _move_on() -> None:
    """Go to a zone that is nobody's, while we have few, or else back to the one that was left longest ago."""
    global _at, _next, _end
    zone = _claim([each for each in _ZONES if each not in _own]) if len(_own) < _MOST else None
    if zone is not None:
        _own.append(zone)
        _at = len(_own) - 1
    elif _own:
        _at = (_at + 1) % len(_own)
    else:
        _own.append(_ZONES[os.getpid() % len(_ZONES)])  # there are more processes than zones
    _next, _end = _own[_at].start, _own[_at].stop


def _claim(zones: list[range]) -> range | None:
    directory = Path(tempfile.gettempdir(), f"portcullis-ports-{os.getuid()}")
    directory.mkdir(exist_ok=True)
    for zone in zones:
        lock = (directory / str(zone.start)).open("w")
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _locks.append(lock)
            return zone
        lock.close()
    return None


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True
