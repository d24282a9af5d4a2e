"""The load: SIPp, stunnel, the server, stunnel, SIPp; mutual TLS on both sides of the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import LOAD_CORE
from bench.servers import NAME, Server
from tests.peers.lab import Lab
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.stunnel import Stunnel, into, out


@dataclass(frozen=True, slots=True)
class Load:
    """What the caller does: ``calls`` at ``rate`` a second, each ``hold`` milliseconds long."""

    calls: int
    rate: float
    hold: int = 100


@contextmanager
def chain(root: Path, make: Server, trace: bool = False) -> Iterator[tuple[PeerProcess, Caller]]:
    """Bring up callee, tunnels and server under ``root``; yields the server and a factory of callers.

    With ``trace`` the callee keeps every message, which takes time, in callee/callee_messages.log.
    """
    lab, behind, port = Lab(root / "tls"), free_port(), free_port()
    before = into("callee", behind, lab.issue("callee"), lab.ca())
    front = out("caller", port, lab.issue("caller"), lab.ca(), f"{NAME}.lab.example")
    answers = SippSettings("callee", "tcp", port=behind, says="tls", contact_port=before.accept, trace=trace)
    with (
        Sipp("callee", root / "callee", answers, cpu=LOAD_CORE),
        Stunnel("stunnel", root / "stunnel", [before, front], cpu=LOAD_CORE),
        make(root / "server", lab, port, before.accept) as server,
    ):
        yield server, Caller(root / "caller", front.accept)


class Caller:
    """Makes SIPp callers that go through the tunnel on ``port``."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self._port = port
        self._count = 0

    def calls(self, load: Load) -> Sipp:
        """A caller for ``load``, to be entered."""
        self._count += 1
        settings = SippSettings(
            "caller",
            "tcp",
            remote_port=self._port,
            says="tls",
            calls=load.calls,
            rate=load.rate,
            hold=load.hold,
            limit=load.calls,
            seconds=int(load.calls / load.rate + load.hold / 1000) + 30,
        )
        return Sipp(f"caller{self._count}", self._directory, settings, cpu=LOAD_CORE)
