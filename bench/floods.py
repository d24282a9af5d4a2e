"""What others notice while one authenticated peer floods: the set-up of calls, RTP, and the server's memory.

The server has a core to itself and everything else the other. Each flood goes to Portcullis as fast as it is
taken, which tells the rate, and then twice at that rate: to Portcullis, and for the baseline to a sink, which
throws it away while the same calls go through an unflooded Portcullis. So what the generator takes from the
caller and the callee, which share its core, is in both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bystander import Bystander
from bench.flooder import KINDS, LISTENS, SINK
from bench.measure import LOAD_CORE, SERVER_CORE, cpu_seconds, on_core, resident_bytes
from bench.order import Order
from bench.report import Row
from bench.servers import NAME, write_configuration, write_trunk
from bench.strangers import ATTACKS
from tests.peers.lab import Lab
from tests.peers.portcullis import ROOT, Portcullis
from tests.peers.ports import free_port, free_ports
from tests.peers.process import PeerProcess

CALLS = 40.0  # a second
SOURCE = "127.1.0.2"
FLOODS = (*(kind for kind in KINDS if kind != "keepalives"), *ATTACKS)
SETTLES = 30.0  # seconds after which memory is looked at once more
_PLAIN = "trunk: plain\nsources: [127.1.0.2]\nlistener: trunk-tcp\n"


@dataclass(frozen=True, slots=True)
class Run:
    """Milliseconds; but ``rate`` is messages a second, ``core`` the part of it that the server used.

    ``grown`` is by what part its memory grew, ``left`` what of that is there half a minute later; of
    ``setups`` calls ``failed`` are not counted.
    """

    rate: float
    core: float
    p50: float
    p99: float
    rtp: float
    grown: float
    left: float
    failed: int
    setups: int


class Flooding(PeerProcess):
    """A flooder or a sink, on the load's core."""

    def __init__(self, name: str, directory: Path, order: Order) -> None:
        argv = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "bench.flooder", order.words()]
        super().__init__(name, directory, argv, cpu=LOAD_CORE)

    def sent(self) -> int:
        """How many messages it has sent so far."""
        lines = self.log.read_text().split()
        if self.process.poll() is not None or not all(line.isdigit() for line in lines):
            raise self.failed("the connection ended")
        return int(lines[-1]) if lines else 0


def floods(kinds: Sequence[str] = FLOODS, seconds: float = 30, caps: str = "") -> list[Row]:
    """Three rows for each kind and for none; ``caps`` is what sbc.yaml says, the defaults without."""
    rows = _rows("no flood", "portcullis", measure("", seconds, caps))
    for kind in kinds:
        rate = measure(kind, seconds / 3, caps, settles=0).rate
        rows += _rows(kind, "a sink", measure(kind, seconds, caps, rate, to_sink=True, settles=0))
        rows += _rows(kind, "portcullis", measure(kind, seconds, caps, rate))
    return rows


def measure(
    kind: str,
    seconds: float,
    caps: str = "",
    rate: float = 0.0,
    *,
    to_sink: bool = False,
    settles: float = SETTLES,
) -> Run:
    """One kind of flood, or none, for so long, at ``rate`` a second or as fast as it is taken."""
    with (
        TemporaryDirectory(prefix="bench-") as root,
        _server(Path(root), caps) as (server, lab, ports, bystander),
    ):
        order = replace(_order(lab, kind, ports["tcp" if kind == "keepalives" else "tls"]), rate=rate)
        with ExitStack() as stack:
            if to_sink:
                order = replace(order, port=ports["sink"])
                own = lab.issue(NAME)
                sink = replace(order, kind=SINK)
                if kind in ATTACKS:  # in the clear
                    order = replace(order, cert="")
                    sink = replace(order, kind=LISTENS)
                elif order.cert:
                    sink = replace(sink, cert=str(own.cert), key=str(own.key))
                stack.enter_context(Flooding("sink", Path(root, "sink"), sink))
                time.sleep(1)
            bystander.run(1, CALLS)  # what the first calls cost once is not the flood's
            bystander.setups.clear()
            bystander.packets.clear()
            before, cpu = resident_bytes(*server.leaders), cpu_seconds(*server.leaders)
            flooder = stack.enter_context(Flooding("flooder", Path(root, "flooder"), order)) if kind else None
            began = time.monotonic()
            bystander.run(seconds, CALLS)
            took = time.monotonic() - began
            taken = flooder.sent() / took if flooder is not None else 0.0
            core = (cpu_seconds(*server.leaders) - cpu) / took
            grown = resident_bytes(*server.leaders) / before - 1
            if flooder is not None:
                flooder.stop()
            time.sleep(settles)
            left = resident_bytes(*server.leaders) / before - 1
    setups = sorted(bystander.setups)
    return Run(
        taken, core, _part(setups, 0.5), _part(setups, 0.99), _part(sorted(bystander.packets), 1.0), grown,
        left, bystander.failed, len(setups),
    )  # fmt: skip


@contextmanager
def _server(root: Path, caps: str) -> Iterator[tuple[PeerProcess, Lab, dict[str, int], Bystander]]:
    lab, onward = Lab(root / "tls"), free_port()
    ports = dict(zip(("tls", "tcp", "sink"), free_ports(3), strict=True))
    where = root / "server"
    write_configuration(where, lab.issue(NAME), ports["tls"], onward)
    settings = (where / "sbc.yaml").read_text()
    tcp = f'  trunk-tcp: {{bind: "127.0.0.1:{ports["tcp"]}", transport: tcp}}\nidentities:'
    settings = settings.replace("identities:", tcp, 1) + (f"caps: {caps}\n" if caps else "")
    (where / "sbc.yaml").write_text(settings)
    write_trunk(where, "flooder", source="127.1.0.0/16")
    (where / "trunks.d" / "plain.yaml").write_text(_PLAIN)
    server = Portcullis("portcullis", where, tcp=[ports["tls"]], cpu=SERVER_CORE)
    with server, on_core(LOAD_CORE):
        bystander = Bystander(lab.issue("caller"), lab.issue("callee"), ports["tls"], onward)
        try:
            bystander.hold()
            yield server, lab, ports, bystander
        finally:
            bystander.close()


def _order(lab: Lab, kind: str, port: int) -> Order:
    if kind == "keepalives":
        return Order(kind, port, SOURCE)
    own = lab.issue("flooder")
    return Order(kind, port, SOURCE, cert=str(own.cert), key=str(own.key), ca=str(own.ca))


def _part(values: Sequence[float], part: float) -> float:
    """The value below which ``part`` of them are, in milliseconds; NaN of none."""
    return values[min(len(values) - 1, int(len(values) * part))] * 1e3 if values else float("nan")


def _rows(kind: str, who: str, run: Run) -> list[Row]:
    note = (
        f"{run.rate:,.0f}/s; {run.core:.0%} of a core; {run.setups} set-ups, {run.failed} failed;"
        f" memory {run.grown:+.1%}, later {run.left:+.1%}"
    )
    return [
        Row(f"{kind}: set-up p50", who, (run.p50,), "ms", note),
        Row(f"{kind}: set-up p99", who, (run.p99,), "ms"),
        Row(f"{kind}: RTP worst", who, (run.rtp,), "ms"),
    ]
