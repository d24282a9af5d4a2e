"""The bound ports of the media plane, which outlive the call that opened them.

Opening and closing the four sockets of a call costs sixteen system calls, more than all else that is
done for its media. So the pair of a call that ended is kept open and *rests*, and the next call takes
the pair that has rested longest. It rests some seconds at least, as late packets of the former call may
still come, and might be taken for the next one's where both are from one gateway. While a pair rests it
is still read, and what comes is thrown away. After a longer rest it is closed, so that nothing is
held when the calls are gone.
"""

from __future__ import annotations

import _socket
import resource
from collections import deque
from collections.abc import Callable
from errno import EACCES, EADDRINUSE

from sbc.base import LocalError
from sbc.media.ports import PortPool
from sbc.media.relay import Port
from sbc.net.media.sockets import MediaSocket, Poller

#: Seconds that an open pair rests before another call gets it, and after which it is closed.
_REST, _LONG = 2.0, 20.0
#: Pairs that may rest: so many, and with them at most a quarter of the files that the process may open.
_RESTING = 1024


class BoundPorts:
    """Takes pairs from the pool and binds them; a port that somebody else holds is passed over.

    ``clock`` returns seconds; it is read whenever a pair is taken or given back.
    """

    __slots__ = ("_clock", "_family", "_host", "_most", "_poller", "_pool", "_resting", "_sockets")

    def __init__(self, host: str, pool: PortPool, poller: Poller, clock: Callable[[], float]) -> None:
        self._host = host
        self._pool = pool
        self._poller = poller
        self._clock = clock
        self._family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
        self._sockets: dict[int, MediaSocket] = {}
        self._resting: deque[tuple[int, float]] = deque()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = _RESTING if files == resource.RLIM_INFINITY else min(_RESTING, files // 8)

    def __len__(self) -> int:
        """Return how many pairs are free."""
        return len(self._pool) + len(self._resting)

    def take(self) -> int:
        """Return the even port of a pair that is bound; LocalError when none is or can be."""
        resting = self._resting
        if resting and self._clock() - resting[0][1] >= _REST:
            return resting.popleft()[0]
        try:
            return self._open_pair()
        except LocalError:
            if not resting:
                raise
            return resting.popleft()[0]

    def give(self, port: int) -> None:
        """Let a pair rest; it is closed and goes back to the pool when it is not whole or too many rest."""
        rtp, rtcp = self._sockets.get(port), self._sockets.get(port + 1)
        if rtp is None or rtcp is None or len(self._resting) >= self._most:
            self._close_pair(port)
            return
        rtp.rest()
        rtcp.rest()
        self._resting.append((port, self._clock()))

    def serve(self, port: int, relay: Port) -> None:
        """See to it that ``relay`` receives and sends on ``port``; without a free port it does not."""
        if relay.channel is not None:
            return
        try:
            found = port in self._sockets or self._open(port)
        except OSError:
            found = False
        if found:
            self._sockets[port].serve(relay)

    def retire(self, port: int) -> None:
        """Close ``port`` of a pair that stays taken: RTCP is multiplexed on the other."""
        self._close(port)

    def trim(self, now: float) -> None:
        """Close the pairs that have rested so long that no call seems to need them."""
        resting = self._resting
        while resting and not 0 <= now - resting[0][1] < _LONG:
            self._close_pair(resting.popleft()[0])

    def close(self) -> None:
        """Close every pair that rests."""
        while self._resting:
            self._close_pair(self._resting.popleft()[0])

    def _open_pair(self) -> int:
        for _ in range(max(1, len(self._pool))):
            port = self._pool.take()
            try:
                if self._bind(port):
                    return port
            except OSError as error:
                self._pool.give(port)
                raise LocalError(f"no media port can be opened on {self._host}: {error}") from error
            self._pool.give(port)
        raise LocalError(f"others hold all media ports of {self._pool.text}: widen media.ports in sbc.yaml")

    def _close_pair(self, port: int) -> None:
        self._close(port)
        self._close(port + 1)
        self._pool.give(port)

    def _bind(self, port: int) -> bool:
        try:
            if self._open(port) and self._open(port + 1):
                return True
        except OSError:
            self._close(port)
            raise
        self._close(port)
        return False

    def _open(self, port: int) -> bool:
        """Bind ``port``; False when somebody else holds it, OSError for what no other port would cure."""
        socket = _socket.socket(self._family, _socket.SOCK_DGRAM)
        try:
            socket.setblocking(False)
            socket.bind((self._host, port))
            opened = MediaSocket(socket)
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
