"""Free loopback ports, below the kernel's ephemeral range so that no outgoing connection takes them."""

from __future__ import annotations

import os
import socket

_FIRST, _LAST = 10240, 32000
_next = _FIRST + (os.getpid() * 97) % (_LAST - _FIRST)


def free_port(consecutive: int = 1) -> int:
    """The first of ``consecutive`` ports free for UDP and TCP; none is handed out twice by one process."""
    global _next
    for _ in range(_LAST - _FIRST):
        first, _next = _next, _next + consecutive
        if _next >= _LAST:
            _next = _FIRST
            continue
        if all(_is_free(port) for port in range(first, first + consecutive)):
            return first
    raise OSError("no free port on the loopback")


def free_ports(count: int) -> list[int]:
    """``count`` free ports, each as `free_port` finds it."""
    return [free_port() for _ in range(count)]


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True
