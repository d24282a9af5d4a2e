"""``openssl s_server`` as a trunk's peer: TLS exactly as its options say, and one answer of SIP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find, listening

OK = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"


class SServer(PeerProcess):
    """Listens on ``port`` of the loopback; what it ``says`` goes to the first that connects."""

    def __init__(self, name: str, directory: Path, options: Sequence[str], says: bytes = OK) -> None:
        self.port = free_port()
        self._says = says
        argv = [find("openssl"), "s_server", "-accept", f"127.0.0.1:{self.port}", "-quiet", *options]
        super().__init__(name, directory, argv, pipes=True)

    def ready(self) -> None:
        """Wait until it listens, and have its answer ready."""
        self.wait_until(lambda: listening(self.port), 30, f"listening port {self.port}")
        pipe = self.process.stdin
        assert pipe is not None, "it was started with pipes"
        pipe.write(self._says)
        pipe.flush()
