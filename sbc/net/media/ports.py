"""The bound ports of the media plane, which outlive the call that opened them.

The next call takes the pair that has been unused longest, whether its sockets are open or not: a gateway
may send for many seconds after its BYE, and what it sends must not be taken for the next call's, which may
well be with the same gateway. Where few pairs are free one may be taken before it has rested long
enough; then the sources of its former call are not latched until it has.

Opening and closing the four sockets of a call costs sixteen system calls, more than all else that is
done for its media. So the sockets of a call that ended stay open while their pair *rests*. They are still
read, and what comes is thrown away. After a longer rest they are closed, so that nothing is
held when the calls are gone.
"""

from __future__ import annotations

import _socket
import resource
from collections.abc import Callable, Iterable
from errno import EACCES, EADDRINUSE

from sbc.base import LocalError, is_wildcard
from sbc.config.model import Listener
from sbc.media.places import Owner, PortPool
from sbc.media.relay import Port, Source
from sbc.net.media.sockets import MediaSocket, Poller
from sbc.net.system.sockets import can_bind, family_of, mark, normal_host

#: Seconds for which the sources of a former call are not latched, and after which a resting pair is closed.
_REST, _LONG = 30.0, 60.0
#: Pairs that may rest open: so many, and with them at most a quarter of the files that the process may open.
_RESTING = 8192


class BoundPorts:
    """Takes pairs from the pool and binds them; a port that somebody else holds is passed over.

    ``clock`` returns seconds; it is read whenever a pair is given back. ``advertise`` is what peers
    are told instead of ``host``, and ``listeners`` returns where signalling arrives. Of the files that the
    process may open, what rests here takes one ``share``-th of what may rest. ``ours`` finds a port of ours
    at an address, by default one of these.
    """

    __slots__ = (
        "_both", "_clock", "_dscp", "_family", "_host", "_late", "_listeners", "_most", "_own",
        "_poller", "_pool", "_resting", "_sockets", "ours",
    )  # fmt: skip

    def __init__(
        self, host: str, pool: PortPool, poller: Poller, clock: Callable[[], float], advertise: str = "",
        listeners: Callable[[], Iterable[Listener]] = tuple, share: int = 1,
    ) -> None:  # fmt: skip
        self._host = host
        self._pool = pool
        self._poller = poller
        self._clock = clock
        self._own = {host, advertise}
        self._listeners = listeners
        self._family = family_of(host)
        self._dscp = 0
        #: A socket on :: takes both families (RFC 3493 3.7), whatever the machine's default.
        self._both = host == "::"
        self._sockets: dict[int, MediaSocket] = {}
        #: The free pairs whose sockets are open, by since when; the one that rests longest is first.
        self._resting: dict[int, float] = {}
        #: The sources of a port's former call, and until when they are not latched.
        self._late: dict[int, tuple[tuple[Source, ...], float]] = {}
        self.ours: Callable[[Source], Port | None] = self.find
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = _RESTING if files == resource.RLIM_INFINITY else min(_RESTING, files // 8)
        self._most = max(1, most // share)

    def __len__(self) -> int:
        """Return how many pairs are free."""
        return len(self._pool)

    @property
    def total(self) -> int:
        """How many pairs there are, free or not."""
        return self._pool.total

    def take(self, trunk: str = "", most: int | None = None) -> int:
        """Return the even port of a pair that is bound; LocalError when none is or can be.

        ``trunk`` and ``most`` are the pool's, see PortPool.take.
        """
        failed: OSError | None = None
        for _ in range(max(1, len(self._pool.free))):
            port, taken = self._pool.take(trunk, most), False
            try:
                # Where nothing can be opened any more, a pair that is open still serves.
                taken = (failed is None or self._is_open(port)) and self._bind(port)
            except OSError as error:
                failed = error
            finally:
                if not taken:
                    self._pool.give(port)
            if taken:
                self._resting.pop(port, None)
                return port
        if failed is not None:
            raise LocalError(f"no media port can be opened on {self._host}: {failed}") from failed
        pool = self._pool
        raise LocalError(f"others hold all media ports of {pool.text}: widen {pool.key} in sbc.yaml")

    def give(self, port: int) -> None:
        """Let a pair rest, or close it when too many rest."""
        now = self._clock()
        for each in (port, port + 1):
            socket = self._sockets.get(each)
            if socket is not None:
                served = socket.port
                if served is not None and served.former:
                    self._late[each] = tuple(served.former), now + _REST
                socket.rest()
        if len(self._resting) < self._most:
            self._resting[port] = now
        else:
            self._close_pair(port)
        self._pool.give(port)

    def serve(self, port: int, relay: Port) -> None:
        """See to it that ``relay`` receives and sends on ``port``; without a free port it does not."""
        if relay.channel is not None:
            return
        try:
            found = port in self._sockets or self._open(port)
        except OSError:
            found = False
        if not found:
            return
        relay.ours = self.ours
        late = self._late.pop(port, None)
        if late is not None:
            relay.shun(late[0], late[1])
        self._sockets[port].serve(relay)

    def find(self, source: Source) -> Port | None:
        """Return what the port of ours at ``source`` serves; None for an address of somebody else."""
        socket = self._sockets.get(source[1])
        return socket.port if socket is not None and self._is_own(source[0]) else None

    def owner(self, host: str, port: int) -> Owner:
        """Tell who receives what is sent to ``port`` of a literal address; LocalError if we cannot see."""
        try:
            for each in self._listeners():  # what comes to it, or to what stands before it
                bind, shown = each.bind, each.advertise
                if shown is not None and (host, port) == (normal_host(shown.host), shown.port):
                    return "signalling"
                if port == bind.port:
                    if can_bind(host) if is_wildcard(bind.host) else host == normal_host(bind.host):
                        return "signalling"
            taken = self._pool.is_taken(port)
            if taken is None or not self._is_own(host):
                return "other"
            if taken:
                return "call"
            # A free pair that rests open is ours, and so is one of which nobody else has a port.
            even = port & ~1
            if all(each in self._sockets or can_bind(self._host, each) for each in (even, even + 1)):
                return "nobody"
            return "other"
        except OSError as error:
            raise LocalError(f"whose media port {port} is cannot be seen: {error}") from None

    def keep(self, pairs: int) -> None:
        """Let so many pairs be for emergency calls, see PortPool.keep."""
        self._pool.keep(pairs)

    def retire(self, port: int) -> None:
        """Close ``port`` of a pair that stays taken: RTCP is multiplexed on the other."""
        self._close(port)

    def mark(self, dscp: int) -> None:
        """Send media with this DSCP from now on, that of running calls too; OSError."""
        if dscp != self._dscp:
            self._dscp = dscp
            for each in self._sockets.values():
                mark(each.socket, dscp)

    def trim(self, now: float) -> None:
        """Close the pairs that have rested so long that no call seems to need them."""
        for port, since in list(self._resting.items()):
            if 0 <= now - since < _LONG:
                break
            self._close_pair(port)

    def close(self) -> None:
        """Close every pair that rests."""
        for port in list(self._resting):
            self._close_pair(port)

    def _is_own(self, host: str) -> bool:
        if host in self._own:
            return True
        if not is_wildcard(self._host) or not can_bind(host):
            return False
        self._own.add(host)
        return True

    def _is_open(self, port: int) -> bool:
        return port in self._sockets and port + 1 in self._sockets

    def _close_pair(self, port: int) -> None:
        self._resting.pop(port, None)
        self._close(port)
        self._close(port + 1)

    def _bind(self, port: int) -> bool:
        """Open what of a pair is not open yet; what cannot be had whole is closed."""
        whole = False
        try:
            whole = all(each in self._sockets or self._open(each) for each in (port, port + 1))
        finally:
            if not whole:
                self._close_pair(port)
        return whole

    def _open(self, port: int) -> bool:
        """Bind ``port``; False when somebody else holds it, OSError for what no other port would cure."""
        socket = _socket.socket(self._family, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
        try:
            if self._both:
                socket.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0)
            if self._dscp:
                mark(socket, self._dscp)
            socket.bind((self._host, port))
            opened = MediaSocket(socket, self._both)
            self._poller.add(opened)
        except OSError as error:
            socket.close()
            if error.errno in (EADDRINUSE, EACCES):
                return False
            raise
        self._sockets[port] = opened
        return True

    def _close(self, port: int) -> None:
        found = self._sockets.pop(port, None)
        if found is not None:
            self._poller.remove(found)
            found.socket.close()
