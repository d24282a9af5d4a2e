"""Load balancers before a listener: the PROXY header that each of their connections begins with.

A connection of theirs has no source yet, so nothing is judged of it, and no place is taken for it, until its
header is whole; then it is admitted like any other, as from there. Until then it costs a greenlet and no
more, and of those there are as many as a listener has handshakes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import gevent
from gevent.os import nb_read

from sbc.base import Address
from sbc.config.model import Listener
from sbc.policy.proxy_header import HeaderError, source, wanted
from sbc.tls.sources import SourceIndex

Then = Callable[[int, Address, str], None]


class Balancers:
    """Those of one listener; ``then`` takes each connection, who it is of, and what is wrong, if anything."""

    def __init__(self, networks: Iterable[str], then: Then) -> None:
        self._index: SourceIndex | None = None
        self._then = then
        self._waiting = 0
        self.apply(networks)

    def apply(self, networks: Iterable[str]) -> None:
        """Believe these from now on; what has begun goes on."""
        entries = [(each, each) for each in networks]
        self._index = SourceIndex(entries) if entries else None

    def names(self, host: str) -> bool:
        """Whether ``host`` is one of them."""
        return self._index is not None and self._index.first(host) is not None

    def unwrap(self, descriptor: int, balancer: Address, config: Listener) -> bool:
        """Read the header of an accepted connection, and pass that on; False where too many are read now."""
        if self._waiting >= config.handshakes_in_flight:
            return False
        self._waiting += 1
        os.set_blocking(descriptor, False)
        gevent.spawn(self._unwrap, descriptor, balancer, config.handshake_timeout)
        return True

    def _unwrap(self, descriptor: int, balancer: Address, seconds: float) -> None:
        remote, wrong = balancer, ""
        try:
            with gevent.Timeout(seconds):
                remote = source(_read(descriptor)) or balancer
        except gevent.Timeout:
            wrong = f"its PROXY header was not whole after {seconds:g} s"
        except HeaderError as error:
            wrong = str(error)
        except OSError as error:
            wrong = f"it was gone before its PROXY header was whole: {error.strerror or error}"
        finally:
            self._waiting -= 1
        self._then(descriptor, remote, wrong)


def _read(descriptor: int) -> bytes:
    """A whole header, and not an octet of what follows; HeaderError, OSError."""
    taken = b""
    while missing := wanted(taken):
        data = nb_read(descriptor, missing)
        if not data:
            raise HeaderError("it closed the connection before its PROXY header was whole: a health check?")
        taken += data
    return taken
