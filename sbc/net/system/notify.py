"""What a service manager is told: sd_notify(3), which systemd and start-stop-daemon's --notify-await read."""

from __future__ import annotations

import contextlib
import os
import socket


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
