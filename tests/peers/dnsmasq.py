"""dnsmasq: a DNS server on a loopback port, which knows the names that a test gives it and no others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sbc.base import Address
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find, listening

# Of these domains it says that a name is not there, and does not ask elsewhere.
OWN = ("example", "arpa")


class Dnsmasq(PeerProcess):
    """One dnsmasq; ``lines`` are of dnsmasq.conf(5), such as `host-record=a.example,127.0.0.1`."""

    def __init__(self, name: str, directory: Path, lines: Sequence[str], port: int = 0) -> None:
        self.address = Address("127.0.0.1", port or free_port())
        self.config = directory / f"{name}.conf"
        self.lines = list(lines)
        argv = [find("dnsmasq"), "--keep-in-foreground", f"--conf-file={self.config}"]
        super().__init__(name, directory, argv)

    def start(self) -> None:
        """Write the configuration and start it in the foreground."""
        own = [
            f"port={self.address.port}", f"listen-address={self.address.host}", "bind-interfaces",
            "no-resolv", "no-hosts", "pid-file=", "user=", "log-facility=-", "log-queries",
            *[f"local=/{each}/" for each in OWN],
        ]  # fmt: skip
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config.write_text("\n".join([*own, *self.lines, ""]))
        super().start()

    def ready(self) -> None:
        """Wait until it listens."""
        port = self.address.port
        where = f"listening on port {port}"
        self.wait_until(lambda: listening(port) and listening(port, udp=True), 20, where)

    def knows(self, *lines: str) -> None:
        """Stop, and begin anew with these records."""
        self.stop()
        self.lines = list(lines)
        self.start()
        self.ready()
