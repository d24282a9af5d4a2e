"""HAProxy as a process, with a configuration that a test gives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import PeerProcess, find, listening


class Haproxy(PeerProcess):
    """One HAProxy in the foreground, which listens on ``ports``."""

    def __init__(self, name: str, directory: Path, config: str, ports: Sequence[int]) -> None:
        self.ports = tuple(ports)
        path = directory / f"{name}.cfg"
        path.write_text(config)
        super().__init__(name, directory, [find("haproxy"), "-db", "-f", str(path)])

    def ready(self) -> None:
        """Wait until it listens."""
        self.wait_until(lambda: listening(*self.ports), 30, f"listening ports {self.ports}")
