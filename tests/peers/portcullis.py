"""Portcullis itself as a process: `sbc run -c DIRECTORY`, waited for until its listeners are bound."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.peers import preloaded
from tests.peers.faults import watch
from tests.peers.process import PeerProcess, listening
from tests.peers.product import ROOT, command, tree

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
        words = ["run", "-c", str(directory)]
        self._copied = () if sbc or cpu is not None else words
        argv = [*(sbc or command()), *words]
        super().__init__(name, directory, argv, cpu=cpu)

    def start(self) -> None:
        """Start it, and have its journal looked at."""
        watch(self.log)
        super().start()

    def begin(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start it; a copy, where there are copies and nothing else is asked for."""
        copy = None
        if self._copied and not self.environment:
            copy = preloaded.start(tree(), self._copied, cwd=self.directory, out=log, session=True)
        return copy or super().begin(log)

    def ready(self) -> None:
        """Wait until every listener is bound."""
        where = f"listening ports {self.tcp + self.udp}"
        self.wait_until(lambda: listening(*self.tcp) and listening(*self.udp, udp=True), 30, where)
