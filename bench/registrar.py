"""What a refresh of a phone costs: Portcullis beside Kamailio's registrar, MD5 over UDP on either.

Kamailio keeps its bindings in memory (``db_mode`` 0); Portcullis has each on disk before it is confirmed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import LOAD_CORE, SERVER_CORE, cpu_seconds
from bench.registering import Order
from bench.report import Row
from sbc.sip.digest import user_hash
from tests.peers.kamailio import Kamailio, KamailioSettings, RegistrarSettings
from tests.peers.portcullis import ROOT, Portcullis
from tests.peers.ports import free_port
from tests.peers.process import PeerFailed, PeerProcess

REALM, PASSWORD = "phones.example", "correct horse"
PHONES, RATE = 1000, 1000.0
_SETTINGS = """\
listeners: {{phones: {{bind: "127.0.0.1:{port}", transport: udp}}}}
media: {{address: 127.0.0.1}}
caps: {{messages_per_flow: 100000/s, challenges_per_source: 100000/s}}
registrar: {{realm: phones.example, users: users}}
"""
_TRUNK = "trunk: phones\nphones: true\nsources: [127.0.0.0/8]\nlistener: phones\n"


@dataclass(frozen=True, slots=True)
class Run:
    """Microseconds of CPU that each confirmed refresh took; how many were asked anew, and lost."""

    cost: float
    confirmed: int
    asked: int
    lost: int


def registrars(seconds: float, runs: int, phones: int = PHONES, rate: float = RATE) -> list[Row]:
    """Refreshes at ``rate`` a second for ``seconds``, of each server in turn, ``runs`` times."""
    found: dict[str, list[Run]] = {"kamailio": [], "portcullis": []}
    for _ in range(runs):
        for who, some in found.items():
            with TemporaryDirectory() as directory:
                some.append(_run(who, Path(directory), seconds, phones, rate))
    return [_row(who, some, rate) for who, some in found.items()]


def _row(who: str, some: list[Run], rate: float) -> Row:
    told = ", ".join([f"{each.confirmed} ({each.asked} asked anew, {each.lost} lost)" for each in some])
    return Row(f"a refresh, {rate:g}/s", who, tuple([each.cost for each in some]), "µs", told)


def _run(who: str, directory: Path, seconds: float, phones: int, rate: float) -> Run:
    port = free_port()
    server = _kamailio(directory, port) if who == "kamailio" else _portcullis(directory, port, phones)
    server.start()
    try:
        server.ready()
        return _measure(server, Order(port, REALM, PASSWORD, phones, rate, seconds))
    finally:
        server.stop()


def _kamailio(directory: Path, port: int) -> PeerProcess:
    registrar = RegistrarSettings(REALM, PASSWORD, "MD5")
    settings = KamailioSettings(
        free_port(), forward_transport="udp", transport="udp", port=port, registrar=registrar
    )
    return Kamailio("kamailio", directory, settings, cpu=SERVER_CORE)


def _portcullis(directory: Path, port: int, phones: int) -> PeerProcess:
    lines = [
        f"user{number}:{REALM}:{user_hash('MD5', f'user{number}', REALM, PASSWORD)}\n"
        for number in range(phones)
    ]
    files = {
        "sbc.yaml": _SETTINGS.format(port=port), "trunks.d/phones.yaml": _TRUNK, "users": "".join(lines),
        "routes.d/10.yaml": "rules: [{name: nobody, when: true, then: reject 404}]\n",
    }  # fmt: skip
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return Portcullis("portcullis", directory, udp=[port], cpu=SERVER_CORE)


def _measure(server: PeerProcess, order: Order) -> Run:
    argv = ["taskset", "-c", str(LOAD_CORE), "env", f"PYTHONPATH={ROOT}"]
    argv += [sys.executable, "-m", "bench.registering", order.words()]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin is not None and load.stdout is not None
        registered = json.loads(load.stdout.readline())["registered"]
        if registered < order.phones:
            load.kill()
            raise PeerFailed(f"{server.name}: {registered} of {order.phones} phones could register")
        before = cpu_seconds(*server.leaders)
        load.stdin.write("go\n")
        load.stdin.flush()
        said = json.loads(load.stdout.readline())
    spent = cpu_seconds(*server.leaders) - before
    return Run(1e6 * spent / max(1, said["confirmed"]), said["confirmed"], said["asked"], said["lost"])
