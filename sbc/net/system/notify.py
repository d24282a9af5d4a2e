"""What a service manager is told: sd_notify(3), which systemd and start-stop-daemon's --notify-await read."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator


def notify(*words: str) -> None:
    """Send ``NAME=value`` words, such as ``READY=1``, to the socket in ``NOTIFY_SOCKET``, if there is one.

    A service manager that is gone is no reason to stop.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto("\n".join(words).encode(), address)


@contextlib.contextmanager
def reloading() -> Iterator[None]:
    """Meanwhile the configuration is read again; whatever comes of it, we are ready then."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        yield
    finally:
        notify("READY=1")
