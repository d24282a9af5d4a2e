"""Portcullis itself as a process: `sbc run -c DIRECTORY`, waited for until its listeners are bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.peers.faults import watch
from tests.peers.process import PeerProcess, listening
from tests.peers.product import ROOT, command

__all__ = ["ROOT", "Portcullis"]


class Portcullis(PeerProcess):
    """``sbc run`` on a configuration directory that is already written; its output is NAME.log there.

    ``tcp`` and ``udp`` are the ports of the listeners that are waited for; ``sbc`` is how the command is
    started where it is not the one of this checkout.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        tcp: Sequence[int] = (),
        udp: Sequence[int] = (),
        cpu: int | None = None,
        sbc: Sequence[str] = (),
    ) -> None:
        self.tcp, self.udp = tuple(tcp), tuple(udp)
        argv = [*(sbc or command()), "run", "-c", str(directory)]
        super().__init__(name, directory, argv, cpu=cpu)

    def start(self) -> None:
        """Start it, and have its journal looked at."""
        watch(self.log)
        super().start()

    def ready(self) -> None:
        """Wait until every listener is bound."""
        where = f"listening ports {self.tcp + self.udp}"
        self.wait_until(lambda: listening(*self.tcp) and listening(*self.udp, udp=True), 30, where)
