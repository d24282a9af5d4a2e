"""From a peer's configured name to addresses to dial: literal, /etc/hosts, A and AAAA.

The system's resolver runs in gevent's thread pool, so only the asking greenlet waits.
"""

from __future__ import annotations

from gevent import socket

from sbc.base import Address
from sbc.tls.names import is_ip


class ResolveFailed(Exception):
    """A name has no address; the text says which name and why."""


def resolve(target: Address) -> list[Address]:
    """The literal addresses of ``target`` in the order to try them; ResolveFailed where there are none."""
    if is_ip(target.host):
        return [target]
    try:
        # Asked here too, for what is raised in a thread of the pool is printed there with its traceback.
        target.host.encode("idna")
        found = socket.getaddrinfo(target.host, target.port, 0, socket.SOCK_STREAM)
    except OSError as error:
        raise ResolveFailed(f"{target.host} does not resolve: {error.strerror or error}") from None
    except UnicodeError:
        raise ResolveFailed(f"{target.host} is no name: a part of it is empty or too long") from None
    addresses = [Address(str(entry[4][0]), int(entry[4][1])) for entry in found]
    return list(dict.fromkeys(addresses))
