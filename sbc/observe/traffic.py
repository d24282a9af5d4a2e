"""What is counted of connections and handshakes: each event once, and whatever shows numbers reads them here.

Whoever accepts, dials or receives counts that in the ``Stats`` of its listener and direction, and the
recorder counts the handshakes of which it is told. They outlive sockets and reloads: a total never falls.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from sbc.tls.failure import Direction


@dataclass(slots=True)
class Stats:
    """One listener, one direction: outbound is what was dialled for trunks of the listener.

    ``in_flight`` (handshakes) and ``open`` (connections) are of this moment, the others since the start.
    ``accepted`` has those too that were ``refused``; over UDP datagrams are ``received`` instead,
    ``refused`` where no trunk admits their source, and ``unsent`` where the kernel takes none.
    ``failures`` are handshakes. ``crowded`` are those ``refused`` because there was no place left, or none
    for their address or trunk; ``held`` are messages over their peer's allowance: they waited, and over UDP
    were dropped.
    """

    accepted: int = 0
    refused: int = 0
    handshakes: int = 0
    failures: int = 0
    in_flight: int = 0
    open: int = 0
    received: int = 0
    unsent: int = 0
    held: int = 0
    crowded: int = 0


class Tally:
    """The Stats of every listener there has been since the start."""

    def __init__(self) -> None:
        self._stats: dict[tuple[str, Direction], Stats] = {}

    def of(self, listener: str, direction: Direction) -> Stats:
        """Where what happens at ``listener`` is counted."""
        return self._stats.setdefault((listener, direction), Stats())

    def gone(self) -> int:
        """How many connections have come, those that failed to shake hands too, and are there no more."""
        rows = self._stats.items()
        return sum(
            (each.accepted - each.refused if way == "inbound" else each.handshakes + each.failures)
            - each.open
            - each.in_flight
            for (_, way), each in rows
        )

    def total(self, direction: Direction) -> Stats:
        """The sums over all listeners."""
        rows = [astuple(stats) for (_, way), stats in self._stats.items() if way == direction]
        return Stats(*map(sum, zip(*rows, strict=True)))
