"""``python -m bench.soak --hours 4``: does anything grow while the SBC has all that a day brings?

Calls over mutual TLS through SIPp and stunnel, phones that refresh their registration, reloads (every third
broken), handshakes without a certificate and scanners, all at once. Memory, descriptors, threads, greenlets,
free media ports, calls and transactions are sampled; what has a trend is told, with the types of which there
are more objects at its end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.chain import Caller, Load, chain
from bench.measure import LOAD_CORE, SERVER_CORE
from bench.registering import Order
from bench.servers import NAME, write_configuration
from bench.trend import WARMING, Trend, most_grown, trend
from sbc.base import LocalError
from sbc.commands.asking import ask
from sbc.sip.digest import user_hash
from tests.peers.canaries import PASSWORD
from tests.peers.lab import Lab
from tests.peers.portcullis import ROOT, Portcullis
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess
from tests.peers.product import command

REALM, PHONES = "phones.example", 50
RATE, HOLD = 20.0, 1000
DISTURB_EVERY, RELOAD_EVERY, SAMPLES = 0.5, 5.0, 2000
#: What a trend may be over the whole time: noise of an hour and of a minute alike. Memory in KiB.
ALLOWED = {
    "memory": 8192.0, "descriptors": 12.0, "threads": 3.0, "greenlets": 40.0, "ports in use": 40.0,
    "calls": 20.0, "transactions": 400.0, "media sockets": 200.0,
}  # fmt: skip
#: Seconds until there are as many transactions, and as many media sockets that rest, as there will ever be.
FULL, RESTED = 40.0, 120.0
_PHONES = """
registrar: {realm: phones.example, users: users}
"""
_TRUNK = "trunk: phones\nphones: true\nsources: [127.0.0.0/8]\nlistener: phones\n"
_ROUTE = "rules:\n  - name: more {number}\n    when: false\n    then: reject 403\n"
_BROKEN = "rules:\n  - name: broken\n    when: trunk ==\n    then: reject 403\n"
_SCAN = (
    "OPTIONS sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{number}\r\n"
    "From: <sip:100@1.1.1.1>;tag={number}\r\nTo: <sip:100@1.1.1.1>\r\nCall-ID: {number}\r\n"
    "CSeq: 1 OPTIONS\r\n"
    "User-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
)


@dataclass
class Soak:
    """A running SBC and what disturbs it; ``samples`` by name, each a moment and a value."""

    server: PeerProcess
    directory: Path
    port: int
    phones: int
    media: tuple[int, int]
    seconds: float = 0.0
    free: int = 0
    number: int = 0
    reloads: int = 0
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    types: list[dict[str, int]] = field(default_factory=list)

    def ask(self, verb: str) -> Any:
        """What the running SBC answers."""
        return ask(self.directory / "run" / "sbc.sock", verb)

    def disturb(self) -> None:
        """A handshake without a certificate, what is no TLS, and a scanner, each once."""
        self.number += 1
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), 2) as plain:
                with context.wrap_socket(plain, server_hostname=f"{NAME}.lab.example") as secured:
                    secured.recv(1)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
            scanner.sendto(_SCAN.format(port=9, number=self.number).encode(), ("127.0.0.1", self.phones))

    def reload(self) -> None:
        """Another configuration, every third time a broken one, which changes nothing."""
        self.reloads += 1
        broken = self.reloads % 3 == 0
        text = _BROKEN if broken else _ROUTE.format(number=self.reloads)
        (self.directory / "routes.d" / "20-more.yaml").write_text(text)
        # The SBC may have seen the file before it was asked: then there is nothing to change.
        answer = self.ask("reload")
        assert not (broken and answer["changed"]), answer

    def sample(self, at: float) -> None:
        """Look once at everything."""
        pid, status = self.server.pid, self.ask("status")
        lines = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        media = self._media_sockets()
        self.free = max(self.free, status["free_media_ports"])
        found = {
            "memory": float(lines["VmRSS"].split()[0]), "threads": float(lines["Threads"]),
            "descriptors": float(len(list(Path(f"/proc/{pid}/fd").iterdir())) - media),
            "media sockets": float(media),
            "ports in use": float(self.free - status["free_media_ports"]),
            "calls": float(len(status["calls"])), "transactions": float(status["transactions"]),
        }  # fmt: skip
        counts = self.directory / "counts.json"
        if counts.exists():
            counted = json.loads(counts.read_text())
            found["greenlets"] = float(counted["greenlets"])
            if not self.types or counted["types"] != self.types[-1]:
                self.types.append(counted["types"])
        for name, value in found.items():
            self.samples.setdefault(name, []).append((at, value))

    def _media_sockets(self) -> int:
        """Sockets in the range of the media ports: a port that has been used rests open for a minute."""
        first, last = self.media
        lines = Path(f"/proc/{self.server.pid}/net/udp").read_text().splitlines()[1:]
        ports = [int(line.split()[1].rpartition(":")[2], 16) for line in lines]
        return sum(first <= port <= last for port in ports)

    def trends(self) -> list[Trend]:
        """The trend of everything that was sampled."""
        warming = max(WARMING, FULL / self.seconds)
        names = [each for each in self.samples if each != "media sockets" or self.seconds > 3 * RESTED]
        return [trend(name, self.samples[name], warming) for name in names]

    def report(self) -> tuple[str, bool]:
        """What grew and what did not, a line each; whether nothing did."""
        trends = self.trends()
        grew = [each for each in trends if each.grew(ALLOWED[each.name])]
        lines = [
            f"{'GREW' if each in grew else 'flat':6}{each.name:14}{each.first:10.0f} to {each.last:10.0f},"
            f" trend {each.growth:+.1f}, allowed {ALLOWED[each.name]:g}"
            for each in trends
        ]
        if grew and len(self.types) > 1:
            since = self.types[int(len(self.types) * 0.3)]
            more = ", ".join(f"{count} {name}" for name, count in most_grown(since, self.types[-1]))
            lines.append(f"more objects than before: {more}")
        return "\n".join(lines), not grew


@contextmanager
def running(root: Path) -> Iterator[tuple[Soak, Caller]]:
    """Bring everything up under ``root``; the phones refresh from then on."""
    made: dict[str, Any] = {}

    def make(directory: Path, lab: Lab, port: int, onward: int) -> PeerProcess:
        write_configuration(directory, lab.issue(NAME), port, onward)
        phones = free_port()
        settings = directory / "sbc.yaml"
        listener = f'listeners:\n  phones: {{bind: "127.0.0.1:{phones}", transport: udp}}'
        text = settings.read_text().replace("listeners:", listener)
        # All phones share an address, and register at once.
        settings.write_text(text.replace("caps: {", "caps: {challenges_per_source: 1000/s, ") + _PHONES)
        (directory / "trunks.d" / "phones.yaml").write_text(_TRUNK)
        users = [f"user{number}" for number in range(PHONES)]
        hashes = [f"{user}:{REALM}:{user_hash('MD5', user, REALM, PASSWORD)}\n" for user in users]
        (directory / "users").write_text("".join(hashes))
        (first, last) = re.findall(r"ports: (\d+)-(\d+)", text)[0]
        made.update(directory=directory, port=port, phones=phones, media=(int(first), int(last)))
        sbc = (*command()[:-1], "bench.counted", str(directory / "counts.json"))
        return Portcullis("portcullis", directory, tcp=[port], udp=[phones], cpu=SERVER_CORE, sbc=sbc)

    with chain(root, make) as (server, caller):
        yield Soak(server, **made), caller


@contextmanager
def refreshing(soak: Soak, seconds: float) -> Iterator[None]:
    """Phones that register, and refresh a few times a second."""
    order = Order(soak.phones, REALM, PASSWORD, PHONES, 10.0, seconds)
    argv = ["taskset", "-c", str(LOAD_CORE), "env", f"PYTHONPATH={ROOT}"]
    argv += [sys.executable, "-m", "bench.registering", order.words()]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin is not None and load.stdout is not None
        registered = json.loads(load.stdout.readline())["registered"]
        assert registered == PHONES, f"{registered} of {PHONES} phones could register"
        load.stdin.write("go\n")
        load.stdin.flush()
        try:
            yield
        finally:
            load.kill()


def soak(root: Path, seconds: float) -> tuple[str, bool, Soak]:
    """Disturb a running SBC for ``seconds``: what is to be told, whether nothing grew, and all samples."""
    with running(root) as (held, caller):
        held.seconds = seconds
        calls = int(seconds * RATE)
        with refreshing(held, seconds + 60), caller.calls(Load(calls, RATE, hold=HOLD)) as sipp:
            began = time.monotonic()
            every = max(1.0, seconds / SAMPLES)
            due = {held.disturb: 0.0, held.reload: RELOAD_EVERY}
            next_sample = 0.0
            while (at := time.monotonic() - began) < seconds - 1:
                for deed, when in due.items():
                    if at >= when:
                        deed()
                        due[deed] = at + (DISTURB_EVERY if deed == held.disturb else RELOAD_EVERY)
                if at >= next_sample:
                    held.sample(at)
                    next_sample = at + every
                time.sleep(0.05)
            counts = sipp.finish(120)
        text, flat = held.report()
        failed = calls - counts.successful
        done = f"{held.reloads} reloads, {held.number} disturbances"
        text += f"\n{counts.successful} calls, {failed} failed; {done}"
        return text, flat and not failed, held


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=4.0)
    options = parser.parse_args()
    try:
        with TemporaryDirectory() as directory:
            text, well, _ = soak(Path(directory), options.hours * 3600)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
