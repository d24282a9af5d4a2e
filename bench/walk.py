"""``python -m bench.walk``: how far a reader walks who follows a ClientHello, an INVITE and a packet.

A lab SBC runs in a process of its own, in pure Python, and notes every function of ours that is entered.
Two agents greet it, call through it and speak. Of each subject the functions are put in the order in
which they were first entered: ``moves`` says how often the next one stands in another file. Counted is what
the greenlets of the connection and its end of a turn do for the subject, and not what others do meanwhile:
the housekeeping, a sweep, a log that is written. What is remembered (an ``lru_cache``) or made once for all
has been asked before.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import gevent
from greenlet import settrace

from sbc.base import Address
from sbc.demo.agent import Agent
from sbc.demo.lab import HOST, SBC_NAME, LabPorts, free_ports, write_configuration
from sbc.demo.link import Link
from sbc.demo.process import OWN_TREE
from sbc.demo.tls import Credentials, Refused
from sbc.demo.voice import VoiceSettings
from sbc.sip.message import Request

ENTERED = "entered.json"
SETTLED = 1.0  # seconds in which what belongs to a step is over
PATIENCE = 120.0  # seconds to start and to end: whoever is watched takes its time
# What works for a subject begins in one of these functions: accepting, serving a connection, ending a turn,
# a look at the media sockets. It is over with what the last of them did.
ROADS = {
    "ClientHello": ("StreamListener._accept", "StreamListener._serve"),
    "INVITE": ("StreamListener._serve", "StreamChannel._flush"),
    "packet": ("Poller._look",),
}


@dataclass(frozen=True, slots=True)
class Walk:
    """What a reader meets: distinct files and functions, and changes of file between functions."""

    files: int
    functions: int
    moves: int


def walk(entered: list[tuple[str, str]]) -> Walk:
    """The walk through ``entered``: file and function, in the order of entry, repeats included."""
    order = list(dict.fromkeys(entered))
    moves = sum(before[0] != after[0] for before, after in itertools.pairwise(order))
    return Walk(len({file for file, _ in order}), len(order), moves)


def measure() -> dict[str, list[tuple[str, str]]]:
    """Run the lab; file and function of everything that was entered for each subject, in order."""
    with tempfile.TemporaryDirectory(prefix="portcullis-walk-") as name:
        directory = Path(name)
        ports = free_ports()
        write_configuration(directory, ports, time.time())
        command = [sys.executable, "-m", "bench.walk", name]
        sbc = subprocess.Popen(command, cwd=OWN_TREE, stdout=subprocess.DEVNULL)
        try:
            spans = _exercise(directory, ports)
        finally:
            sbc.terminate()
            sbc.wait(PATIENCE)
        noted = json.loads((directory / ENTERED).read_text())
    return {
        subject: _of(noted, roots, *span) for (subject, roots), span in zip(ROADS.items(), spans, strict=True)
    }


def _of(
    noted: list[tuple[float, str, str, str]], roots: tuple[str, ...], begin: float, end: float
) -> list[tuple[str, str]]:
    mine = [each for each in noted if begin <= each[0] <= end and each[1] in roots]
    last = max((at for at, each in enumerate(mine) if each[1] == roots[-1]), default=-1)
    return [(file, function) for _, _, file, function in mine[: last + 1]]


def _exercise(directory: Path, ports: LabPorts) -> list[tuple[float, float]]:
    """When each subject began and was done with, by the clock that both processes share."""
    office, carrier = (_agent(directory, name) for name in ("office", "carrier"))
    try:
        carrier.listen(ports.carrier)
        _dial(office, ports).close()  # everything that is made once for a listener is made
        gevent.sleep(SETTLED)
        begun = time.monotonic()
        link = _dial(office, ports)
        gevent.sleep(SETTLED)
        spans = [(begun, time.monotonic())]
        office.call(link, f"sip:+12125550100@{SBC_NAME}").wait_up(PATIENCE)  # the carrier's flow is up
        carrier.incoming.get().hang_up()
        gevent.sleep(SETTLED)
        begun = time.monotonic()
        call = office.call(link, f"sip:+12125550100@{SBC_NAME}")
        answered = carrier.incoming.get()
        spans.append((begun, _arrival(carrier)))
        call.wait_up(PATIENCE)
        gevent.sleep(SETTLED)
        begun = time.monotonic()
        spans.append((begun, begun + 0.1))  # a few packets each way
        gevent.sleep(SETTLED)
        answered.hang_up()
        gevent.sleep(SETTLED)
    finally:
        office.close()
        carrier.close()
    return spans


def _arrival(callee: Agent) -> float:
    """When the latest INVITE came, before it was answered at all."""
    return max(
        each.at
        for each in callee.record
        if isinstance(each.message, Request) and each.message.method == "INVITE"
    )


def _agent(directory: Path, name: str) -> Agent:
    tls = directory / "tls"
    credentials = Credentials(tls / f"{name}.pem", tls / f"{name}.key")
    domain, trust = f"{name}.lab.example", tls / "lab-ca.pem"
    return Agent(name, domain, trust, credentials, VoiceSettings(), clock=time.monotonic)


def _dial(agent: Agent, ports: LabPorts) -> Link:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return agent.dial(Address(HOST, ports.sips), SBC_NAME)
        except Refused:
            if time.monotonic() > deadline:
                raise
            gevent.sleep(0.1)


class Witness:
    """Notes which functions of ours are entered, in every greenlet of this thread."""

    def __init__(self) -> None:
        self.entered: list[tuple[float, str, str, str]] = []
        self._places: dict[CodeType, tuple[str, str] | None] = {}

    def watch(self) -> None:
        """Begin; a greenlet that is switched to is watched from then on."""
        settrace(lambda event, args: sys.setprofile(self._note))
        sys.setprofile(self._note)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and (place := self._place(frame.f_code)):
            *_, root = [each.co_qualname for each in _callers(frame) if self._place(each)]
            self.entered.append((time.monotonic(), root, *place))

    def _place(self, code: CodeType) -> tuple[str, str] | None:
        if code not in self._places:
            file = Path(code.co_filename)
            ours = file.is_relative_to(OWN_TREE) and file.relative_to(OWN_TREE).as_posix()
            mine = ours and ours.startswith(("sbc/", "dsl/")) and "<" not in code.co_name
            self._places[code] = (str(ours), code.co_qualname) if mine else None
        return self._places[code]


def _callers(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _serve(directory: Path) -> None:
    from sbc.app import Portcullis  # only here: the other process has no need of it

    witness = Witness()
    sbc = Portcullis(directory)
    witness.watch()
    try:
        sbc.run()
    finally:
        settrace(None)
        sys.setprofile(None)
        (directory / ENTERED).write_text(json.dumps(witness.entered))


def main() -> int:
    """Print a line a subject; with the name of one, everything that was entered for it."""
    chosen = sys.argv[1:]
    if chosen and chosen[0] not in ROADS:
        _serve(Path(chosen[0]))
        return 0
    for subject, entered in measure().items():
        if subject in chosen:
            print("\n".join(f"  {file:40} {function}" for file, function in dict.fromkeys(entered)))
        found = walk(entered)
        print(f"{subject:12} {found.files:4} files {found.functions:4} functions {found.moves:4} moves")
    return 0


if __name__ == "__main__":
    sys.exit(main())
