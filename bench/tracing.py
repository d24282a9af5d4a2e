"""What it costs to keep the last messages, and to show them all to somebody: CPU of the server for a call.

The load is that of `bench.signalling`, mutual TLS twice; whoever follows has the load's core.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.measure import LOAD_CORE, SERVER_CORE
from bench.report import Row
from bench.servers import portcullis
from bench.signalling import Run, measure
from tests.peers.lab import Lab
from tests.peers.portcullis import Portcullis
from tests.peers.process import PeerProcess
from tests.peers.product import command

RATE = 50.0


class Followed(Portcullis):
    """Portcullis, and a `sbc trace` that shows all of it to nobody."""

    _reader: PeerProcess | None = None

    def ready(self) -> None:
        """Wait for both: the journal says that the trace has begun."""
        super().ready()
        argv = [*command(), "trace", "-c", str(self.directory)]
        self._reader = PeerProcess("trace", self.directory / "trace", argv, cpu=LOAD_CORE)
        self._reader.start()
        self.wait_until(lambda: b"act=trace" in self.log.read_bytes(), 30, "the trace has begun")

    def stop(self) -> None:
        """End both."""
        if self._reader is not None:
            self._reader.stop()
        super().stop()


def _ring(most: int) -> Callable[[Path, Lab, int, int], PeerProcess]:
    def make(directory: Path, lab: Lab, port: int, onward: int) -> PeerProcess:
        server = portcullis(directory, lab, port, onward)
        settings = directory / "sbc.yaml"
        settings.write_text(f"{settings.read_text()}trace: {{ring: {most}}}\n")
        return server

    return make


def _followed(directory: Path, lab: Lab, port: int, onward: int) -> PeerProcess:
    bare = portcullis(directory, lab, port, onward)
    assert isinstance(bare, Portcullis)
    return Followed("portcullis", directory, tcp=bare.tcp, cpu=SERVER_CORE)


SERVERS = {"nothing kept": _ring(0), "ring: 200": _ring(200), "ring: 200, and a trace": _followed}


def tracing(seconds: float = 20, runs: int = 3, rate: float = RATE) -> list[Row]:
    """Interleave ``runs`` runs of each at ``rate`` calls a second."""
    done: dict[str, list[Run]] = {name: [] for name in SERVERS}
    for _ in range(runs):
        for name, make in SERVERS.items():
            done[name].append(measure(make, rate, seconds))
    return [
        Row(
            f"a call, {rate:g}/s", name, tuple(run.per_call * 1e6 for run in each), "us CPU",
            f"{sum(run.failed for run in each)} failed",
        )
        for name, each in done.items()
    ]  # fmt: skip
