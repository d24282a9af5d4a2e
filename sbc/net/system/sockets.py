"""Binding, connecting and naming sockets, with errors an operator can act on."""

from __future__ import annotations

import _socket as _kernel
import contextlib
import errno
import socket as _socket
import struct
from collections.abc import Iterable
from typing import Any

from gevent import socket

from sbc.base import Address, LocalError, is_wildcard
from sbc.config.model import Listener

BACKLOG = 1024
UDP_BUFFER = 4 << 20
# How long the other end may leave unacknowledged what it was sent, in seconds (RFC 5482). The kernel by
# itself would repeat it for a quarter of an hour, and so long every call would wait in vain on a connection
# whose peer has lost its power, or that a firewall has forgotten.
UNACKNOWLEDGED = 20.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_REMEDIES = {
    errno.EADDRINUSE: "another process has this port; stop it (ss -lntup shows it) or choose another",
    errno.EACCES: "ports under 1024 need root or CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "no interface of this machine has this address; correct `bind`",
}


def normal_host(host: str) -> str:
    """An IPv4-mapped IPv6 address as plain IPv4, a scope identifier dropped."""
    if host.startswith("::ffff:") and "." in host:
        return host[7:]
    return host.partition("%")[0] if "%" in host else host


def family_of(host: str) -> int:
    """The socket family of a literal address."""
    return int(socket.AF_INET6 if ":" in host else socket.AF_INET)


def can_bind(host: str, port: int = 0) -> bool:
    """Tell whether this machine has the literal address ``host``, and nobody its UDP ``port``.

    OSError where no socket can be had to try it.
    """
    with _socket.socket(family_of(host), _socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def datagram_peer(target: Address, bound: Address) -> tuple[Any, ...]:
    """A literal address as the kernel names it on a UDP socket that is bound to ``bound``; OSError.

    A socket on ``::`` reaches IPv4 too (RFC 3493 3.7); any other reaches its own family only.
    """
    family, host = family_of(bound.host), target.host
    if family == socket.AF_INET6 and ":" not in host and is_wildcard(bound.host):
        host = f"::ffff:{host}"
    if family_of(host) != family:
        raise OSError(errno.EAFNOSUPPORT, f"{host} is of another address family than {bound.host}")
    found = _socket.getaddrinfo(host, target.port, family, _socket.SOCK_DGRAM, 0, _socket.AI_NUMERICHOST)
    return found[0][4]


def own_address(peer: tuple[Any, ...]) -> str:
    """The address that the kernel would send from to a UDP peer; OSError where there is no way to it."""
    host = normal_host(peer[0])
    where = (host, peer[1]) if ":" not in host else peer
    with _socket.socket(family_of(host), _socket.SOCK_DGRAM) as probe:
        probe.connect(where)  # nothing is sent
        return normal_host(probe.getsockname()[0])


def mark(sock: Any, dscp: int) -> None:
    """Send with this DSCP (RFC 2474, RFC 3542 6.5) from now on, also on what ``sock`` accepts; OSError.

    A socket of IPv6 may send to IPv4 too, which has a mark of its own.
    """
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)  # what is left are the bits of ECN


def bind(name: str, config: Listener, succeeds: bool = False, dscp: int = 0) -> socket.socket:
    """A bound (and for TCP and TLS listening) socket; LocalError says what, where and the remedy.

    It ``succeeds`` one of ours on the same port that has stepped aside.
    """
    kind = socket.SOCK_DGRAM if config.transport == "udp" else socket.SOCK_STREAM
    sock = socket.socket(family_of(config.bind.host), kind)
    try:
        if dscp:
            mark(sock, dscp)
        if kind == socket.SOCK_STREAM:
            _share(sock, True)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
            _share(sock, succeeds)
        sock.bind(tuple(config.bind))
        if kind == socket.SOCK_DGRAM:
            _share(sock, False)
        else:
            tune(sock)  # what is accepted inherits it
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        remedy = _REMEDIES.get(error.errno or 0, "check the address and the port")
        where = f"{config.transport} {config.bind}"
        raise LocalError(f"listener {name}: cannot bind {where}: {error.strerror}; {remedy}") from None
    return sock


def step_aside(sock: socket.socket) -> None:
    """Let a successor be bound on the same port; a listening socket refuses from now on.

    To close it would not do: gevent closes what a greenlet waits on a turn later.
    """
    if sock.type == socket.SOCK_DGRAM:
        _share(sock, True)
    else:
        with contextlib.suppress(OSError):  # it may have stepped aside already
            sock.shutdown(socket.SHUT_RDWR)


def step_back(sock: socket.socket) -> None:
    """Take the port again: there was no successor."""
    if sock.type == socket.SOCK_DGRAM:
        _share(sock, False)
    else:
        sock.listen(BACKLOG)


def turn_away(sock: socket.socket) -> None:
    """Let a UDP socket receive nothing more: a successor on its port gets what comes from now on.

    It is connected to where nobody sends from, for the kernel prefers a socket that is not.
    """
    host = sock.getsockname()[0]
    with contextlib.suppress(OSError):
        sock._sock.connect((("::1" if ":" in host else "127.0.0.1") if is_wildcard(host) else host, 9))


def _share(sock: socket.socket, shared: bool) -> None:
    # Two UDP sockets on one port need it on both; TCP needs it for a port with connections of before.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)


def connect(target: Address, local_host: str, dscp: int = 0) -> socket.socket:
    """A TCP connection to a literal address, from ``local_host`` unless that is a wildcard; OSError."""
    sock = socket.socket(family_of(target.host), socket.SOCK_STREAM)
    try:
        if dscp:
            mark(sock, dscp)
        if not is_wildcard(local_host) and family_of(local_host) == sock.family:
            sock.bind((local_host, 0))
        sock.connect(tuple(target))
        tune(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def reach(addresses: Iterable[Address], kind: type[socket.socket] = socket.socket) -> Any:
    """A TCP connection to the first of literal addresses that can be had, as such a socket; OSError."""
    last: OSError = OSError("no address")
    for address in addresses:
        sock = kind(family_of(address.host), socket.SOCK_STREAM)
        try:
            sock.connect(tuple(address))
            return sock
        except OSError as error:
            last = error
            sock.close()
        except BaseException:  # the time of whoever waits is over
            sock.close()
            raise
    raise last


def acknowledge(sock: socket.socket) -> None:
    """Acknowledge what was received now, not 40 ms later (Linux; nothing elsewhere).

    A TLS 1.3 server has nothing to send after the client's Finished, and a client that does not turn
    Nagle off holds its first request back until that is acknowledged.
    """
    with contextlib.suppress(OSError, AttributeError):
        sock._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def tune(sock: socket.socket) -> None:
    """Send each message at once, and let the kernel find a peer that vanished (soon on Linux alone)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED * 1000))


def reset(descriptor: int) -> None:
    """Close an accepted connection with a RST, so that nothing of it stays behind (row S5).

    Thousands a second may be refused, and a socket for gevent costs many times what this does.
    """
    with contextlib.suppress(OSError):
        sock = _kernel.socket(fileno=descriptor)
        try:
            sock.setsockopt(_kernel.SOL_SOCKET, _kernel.SO_LINGER, _RESET_ON_CLOSE)
        finally:
            sock.close()
