"""A running SBC of files that a test writes itself, and what speaks to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from sbc.demo.process import whole_lines
from tests.peers.portcullis import Portcullis


class Closing(Protocol):
    """What is closed in the end."""

    def close(self) -> None: ...


class OwnFiles:
    """Runs while its block lasts, on ``tcp`` and ``udp`` ports; ``wires`` are closed with it.

    ``sbc`` is the command, where it is to be started from nothing each time.
    """

    def __init__(
        self,
        directory: Path,
        files: Mapping[str, str],
        *,
        tcp: Sequence[int] = (),
        udp: Sequence[int] = (),
        sbc: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        for name, text in files.items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(text)
        self.sbc = Portcullis("sbc", directory, tcp=tcp, udp=udp, sbc=sbc)
        self.wires: list[Closing] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.wires:
            each.close()
        self.sbc.stop()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.sbc.start()
        self.sbc.ready()

    def crash(self) -> None:
        """Kill it, and start it again."""
        self.sbc.process.kill()
        self.sbc.process.wait()
        self.start()

    def log(self) -> str:
        """The journal so far."""
        return whole_lines(self.sbc.log)
