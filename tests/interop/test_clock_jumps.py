"""The wall clock jumps by an hour, both ways, under load: no call ends of it, and every duration is right.

The SBC is ``sbc run`` in a process whose wall clock is the system's and what a file says; its monotonic
clock is the system's own. SIPp makes 20 calls a second, each held for four seconds.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.peers.call_records import calls_in
from tests.peers.needs import needs
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port
from tests.peers.product import command
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.interop

HOUR, HOLD, CALLS = 3600.0, 4.0, 240
CALLER, CALLEE, SBC = "127.0.0.2", "127.0.0.5", "127.0.0.1"
JUMPING = """\
import pathlib, sys, threading, time
shift, wall, where = [0.0], time.time, pathlib.Path(sys.argv[1])
def follow():
    while True:
        try:
            shift[0] = float(where.read_text())
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
threading.Thread(target=follow, daemon=True).start()
time.time = lambda: wall() + shift[0]
from sbc.cli import main
sys.exit(main(sys.argv[2:]))
"""
SETTINGS = """\
listeners:
  udp: {{bind: "127.0.0.1:{udp}", transport: udp}}
media: {{address: 127.0.0.1, ports: {first}-{last}}}
"""
TRUNK = "trunk: {name}\npeers: ['{address}:{port}']\nsources: ['{address}']\nlistener: udp\nsrtp: off\n"
RULES = """\
rules:
  - name: through
    when: trunk == "caller"
    then: route "callee"
"""


class Jumping(Portcullis):
    """The SBC, whose wall clock goes by ``jump``."""

    def __init__(self, directory: Path, udp: int) -> None:
        self.shift = directory / "shift"
        words = command()
        python = words[: words.index("-m")]
        super().__init__("sbc", directory, udp=[udp], sbc=[*python, "-c", JUMPING, str(self.shift)])

    def jump(self, seconds: float) -> None:
        """Let the wall clock be ``seconds`` off from now on."""
        self.shift.with_suffix(".new").write_text(str(seconds))
        self.shift.with_suffix(".new").rename(self.shift)

    def records(self) -> list[dict[str, object]]:
        """The records of calls that are over."""
        return calls_in(self.directory)


def configure(directory: Path, udp: int, caller: int, callee: int) -> None:
    """Write what lets the one call the other."""
    first = free_port(1200)
    first += first % 2
    for folder in ("trunks.d", "routes.d"):
        (directory / folder).mkdir(parents=True)
    (directory / "sbc.yaml").write_text(SETTINGS.format(udp=udp, first=first, last=first + 1199))
    for name, address, port in (("caller", CALLER, caller), ("callee", CALLEE, callee)):
        text = TRUNK.format(name=name, address=address, port=port)
        (directory / "trunks.d" / f"{name}.yaml").write_text(text)
    (directory / "routes.d" / "10.yaml").write_text(RULES)


def test_an_hour_either_way_ends_no_call_and_bills_none(tmp_path: Path) -> None:
    needs("sipp")
    udp = free_port()
    callee = Sipp("callee", tmp_path / "callee", SippSettings("callee", address=CALLEE))
    caller = Sipp(
        "caller", tmp_path / "caller",
        SippSettings(
            "caller", address=CALLER, remote_port=udp, calls=CALLS, rate=20, hold=int(HOLD * 1000)
        ),
    )  # fmt: skip
    configure(tmp_path / "sbc", udp, caller.port, callee.port)
    before = time.time()
    with Jumping(tmp_path / "sbc", udp) as sbc, callee, caller:
        until(lambda: len(sbc.records()) >= 20, "the first calls are over, others held")
        sbc.jump(HOUR)
        until(lambda: len(sbc.records()) >= 80)
        sbc.jump(-HOUR)
        until(lambda: len(sbc.records()) >= 140)
        sbc.jump(0)
        counts = caller.finish(60)
        until_equal(lambda: len(sbc.records()), CALLS)
        records = sbc.records()
    assert (counts.successful, counts.failed, counts.unexpected) == (CALLS, 0, 0)
    assert {(each["status"], each["reason"], each["ended_by"]) for each in records} == {
        (200, "normal", "caller")
    }
    # Whoever reads an hour into one of them is off by far more than a busy machine can be.
    wrong = [each["seconds"] for each in records if not HOLD - 1 < float(str(each["seconds"])) < HOLD + 60]
    assert wrong == []
    begun = {round((_date(str(each["started"])) - before) / HOUR) for each in records}
    assert begun == {0, 1, -1}, "a date is the wall clock's, as it goes"


def _date(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
