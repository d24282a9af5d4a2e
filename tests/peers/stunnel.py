"""stunnel: mutual TLS for a peer that has none (Debian's SIPp), before it and behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.lab import Credentials
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find, listening


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One direction: ``client`` takes plain TCP and dials TLS, otherwise it takes TLS and dials plain TCP.

    ``checks`` is the host name that the dialled certificate must bear (clients only).
    """

    name: str
    client: bool
    connect: int
    accept: int
    credentials: Credentials
    ca: Path
    checks: str = ""

    def section(self) -> str:
        """The tunnel as a section of stunnel's configuration."""
        lines = [
            f"[{self.name}]",
            f"client = {'yes' if self.client else 'no'}",
            f"accept = 127.0.0.1:{self.accept}",
            f"connect = 127.0.0.1:{self.connect}",
            f"cert = {self.credentials.cert}",
            f"key = {self.credentials.key}",
            f"CAfile = {self.ca}",
            "verifyChain = yes",
            "TIMEOUTclose = 0",
        ]
        if self.client:
            lines += [f"checkHost = {self.checks}", f"sni = {self.checks}"] if self.checks else []
        else:
            lines.append("requireCert = yes")
        return "\n".join(lines)


class Stunnel(PeerProcess):
    """One stunnel process with any number of tunnels."""

    def __init__(
        self, name: str, directory: Path, tunnels: Sequence[Tunnel], *, cpu: int | None = None
    ) -> None:
        self.tunnels = tuple(tunnels)
        self.config = directory / f"{name}.conf"
        super().__init__(name, directory, [find("stunnel4"), str(self.config)], cpu=cpu)

    def start(self) -> None:
        """Write the configuration and start stunnel in the foreground."""
        self.directory.mkdir(parents=True, exist_ok=True)
        head = "foreground = yes\npid =\nsyslog = no\ndebug = notice\nsocket = l:TCP_NODELAY=1\n"
        head += "socket = r:TCP_NODELAY=1\nsocket = a:TCP_NODELAY=1\n"
        self.config.write_text(head + "\n\n".join(each.section() for each in self.tunnels) + "\n")
        super().start()

    def ready(self) -> None:
        """Wait until every tunnel accepts."""
        ports = [each.accept for each in self.tunnels]
        self.wait_until(lambda: listening(*ports), 30, f"listening ports {ports}")


def out(name: str, connect: int, credentials: Credentials, ca: Path, checks: str = "") -> Tunnel:
    """A tunnel in front of a caller: plain TCP in, mutual TLS to ``connect``."""
    return Tunnel(name, True, connect, free_port(), credentials, ca, checks)


def into(name: str, connect: int, credentials: Credentials, ca: Path) -> Tunnel:
    """A tunnel before a callee: mutual TLS in, plain TCP to ``connect``."""
    return Tunnel(name, False, connect, free_port(), credentials, ca)
