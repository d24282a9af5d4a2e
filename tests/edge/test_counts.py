"""Every count of listeners and handshakes moves by a real event, and is told alike everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from gevent import socket

from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from tests.edge.attacked import Attacked, attacked
from tests.edge.tls_lab import OPTIONS
from tests.peers.asking import ask
from tests.peers.ports import free_ports
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow

STRANGER = "127.0.0.2"
TRUNK = "trunk: {name}\nsources: [{source}]\npeers: [{peer}]\nlistener: {listener}\nresponse_timeout: 1\n"
TLS = "tls: {mode: required, server_identity: sbc, client_identity: sbc, trust: [lab-ca]}\n"
ROW = re.compile(r'<th scope="row">(\w+) <span class="small">\w+</span></th>(.*?)</tr>', re.DOTALL)


class Counted:
    """A running SBC with a listener of each transport, and a trunk on each that dials ``ours``."""

    def __init__(self, running: Attacked) -> None:
        self.running = running
        self.most: dict[str, float] = {}
        self.tcp, self.moved = free_ports(2)
        self.ours = {name: socket.create_server((HOST, 0)) for name in ("silent", "stream")}
        self._configure()
        self.reload()

    def _configure(self) -> None:
        directory = self.running.directory
        peers = {name: f"{HOST}:{sock.getsockname()[1]}" for name, sock in self.ours.items()}
        trunks = {
            "silent": TRUNK.format(name="silent", source="192.0.2.1", peer=peers["silent"], listener="tls")
            + TLS,
            "stream": TRUNK.format(name="stream", source=HOST, peer=peers["stream"], listener="tcp"),
            # The kernel sends nothing to everybody unless it was asked to.
            "void": TRUNK.format(
                name="void", source="192.0.2.2", peer="255.255.255.255:5060", listener="udp"
            ),
        }
        for name, text in trunks.items():
            (directory / "trunks.d" / f"{name}.yaml").write_text(text)
        rules = [
            f'  - name: to {name}\n    when: to.user == "{name}"\n    then: |\n      allow downgrade\n'
            f'      route "{name}"\n'
            for name in trunks
        ]
        (directory / "routes.d" / "05-more.yaml").write_text("rules:\n" + "".join(rules))
        self.edit("trunks.d/plain.yaml", "127.0.0.0/8", HOST)
        self.edit("sbc.yaml", "transport: tls}", "transport: tls, handshakes_in_flight: 1}")
        self.edit(
            "sbc.yaml", "identities:", f"  tcp: {{bind: {HOST}:{self.tcp}, transport: tcp}}\nidentities:"
        )

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.running.directory / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def reload(self) -> None:
        answer = ask(self.running.directory / "run" / "sbc.sock", "reload")
        assert answer["changed"], answer

    def page(self, path: str) -> str:
        with urlopen(f"http://{HOST}:{self.running.ports.admin}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def metrics(self) -> dict[str, float]:
        """What /metrics says of listeners and handshakes."""
        lines = [line.rpartition(" ") for line in self.page("/metrics").splitlines()]
        found = {
            name: float(value) for name, _, value in lines if name.startswith(("sbc_listener_", "sbc_tls_"))
        }
        self.most = {name: max(value, self.most.get(name, 0.0)) for name, value in found.items()}
        return found

    def count(self, name: str, **labels: str) -> float:
        """One sample."""
        inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return self.metrics()[f"sbc_{name}{{{inner}}}"]

    def tls(self, name: str, direction: str) -> float:
        """One sample of the TLS listener."""
        return self.count(f"listener_{name}", listener="tls", transport="tls", direction=direction)

    def call(self, number: str) -> AgentCall:
        link = self.running.office.dial(self.running.address, SBC_NAME)
        return self.running.office.call(link, f"sip:{number}@{SBC_NAME}")


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    with attacked(tmp_path) as running:
        yield Counted(running)


def test_every_count_moves_by_its_event_and_is_told_alike_everywhere(counted: Counted) -> None:
    running = counted.running
    inbound_goes_well(counted)
    inbound_fails_and_is_refused(counted)
    outbound_fails(counted)
    streams_come_and_go(counted)
    datagrams_come_and_go(counted)
    assert [name for name, most in counted.most.items() if not most] == [], "what never moved"
    until_equal(lambda: counted.tls("connections", "inbound"), 0)
    compare(counted)

    before = counted.metrics()
    counted.edit("sbc.yaml", f":{running.ports.sips},", f":{counted.moved},")
    counted.reload()
    after = counted.metrics()
    fallen = [name for name in before if "_total" in name and after[name] < before[name]]
    assert fallen == [], "a total only ever rises, whatever becomes of a socket"


def inbound_goes_well(counted: Counted) -> None:
    """The caller's handshake, and ours with the carrier."""
    before = {way: counted.tls("handshakes_total", way) for way in ("inbound", "outbound")}
    call = counted.call("+12125550100")
    assert call.wait_up(30), call.reason
    assert counted.tls("handshakes_total", "inbound") == before["inbound"] + 1
    assert counted.tls("handshakes_total", "outbound") == before["outbound"] + 1
    assert counted.count("tls_handshakes_total", direction="outbound") == before["outbound"] + 1
    assert (counted.tls("connections", "inbound"), counted.tls("connections", "outbound")) == (1, 1)
    call.hang_up()
    assert call.wait_over(30)
    call.link.close()


def inbound_fails_and_is_refused(counted: Counted) -> None:
    """Who says nothing holds the one place for a handshake; the next is refused; then the first gives up."""
    refused = {"listener": "tls", "transport": "tls"}
    before = counted.metrics()
    with socket.create_connection((HOST, counted.running.ports.sips)):
        until_equal(lambda: counted.tls("handshakes_in_flight", "inbound"), 1)
        reset_at_once(HOST, counted.running.ports.sips)
        until_equal(lambda: counted.count("listener_refused_total", **refused), 1)
    until_equal(lambda: counted.tls("handshake_failures_total", "inbound"), 1)
    until_equal(lambda: counted.tls("handshakes_in_flight", "inbound"), 0)
    accepted = 'sbc_listener_accepted_total{listener="tls",transport="tls"}'
    assert counted.metrics()[accepted] == before[accepted] + 2
    assert counted.count("tls_handshake_failures_total", direction="inbound") == 1


def reset_at_once(source: str, port: int) -> None:
    """Connect, and be refused."""
    with pytest.raises(ConnectionResetError):
        with socket.create_connection((HOST, port), source_address=(source, 0)) as sock:
            sock.recv(1)


def outbound_fails(counted: Counted) -> None:
    """A peer that takes our connection and hangs up on our ClientHello."""
    call = counted.call("silent")
    sock, _ = counted.ours["silent"].accept()
    until_equal(lambda: counted.tls("handshakes_in_flight", "outbound"), 1)
    sock.recv(1)
    sock.close()
    until_equal(lambda: counted.tls("handshake_failures_total", "outbound"), 1)
    assert counted.count("tls_handshake_failures_total", direction="outbound") == 1
    assert counted.tls("handshakes_in_flight", "outbound") == 0
    assert call.wait_over(30)
    call.link.close()


def streams_come_and_go(counted: Counted) -> None:
    """TCP: one from an address of the trunk, one from a stranger's, one that we dial."""
    tcp = {"listener": "tcp", "transport": "tcp"}
    with socket.create_connection((HOST, counted.tcp)):
        until_equal(lambda: counted.count("listener_connections", **tcp, direction="inbound"), 1)
        reset_at_once(STRANGER, counted.tcp)
        until_equal(lambda: counted.count("listener_refused_total", **tcp), 1)
        assert counted.count("listener_accepted_total", **tcp) == 2
    call = counted.call("stream")
    sock, _ = counted.ours["stream"].accept()
    until_equal(lambda: counted.count("listener_connections", **tcp, direction="outbound"), 1)
    sock.close()
    until_equal(lambda: counted.count("listener_connections", **tcp, direction="outbound"), 0)
    assert call.wait_over(30)
    call.link.close()


def datagrams_come_and_go(counted: Counted) -> None:
    """UDP: one that is answered, one from a stranger, and what the kernel does not take from us."""
    udp = {"listener": "udp", "transport": "udp"}
    for host in (HOST, STRANGER):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
            sock.sendto(OPTIONS.replace(b"/TLS peer", b"/UDP peer"), (HOST, counted.running.udp))
    until_equal(lambda: counted.count("listener_received_total", **udp), 2)
    assert counted.count("listener_refused_total", **udp) == 1
    call = counted.call("void")
    until(lambda: counted.count("listener_unsent_total", **udp))
    assert call.wait_over(30)
    call.link.close()


def compare(counted: Counted) -> None:
    """The health endpoint, ``sbc status`` and the page against the metrics."""
    metrics = counted.metrics()
    health = json.loads(counted.page("/sip-tls/health"))
    status: dict[str, Any] = ask(counted.running.directory / "run" / "sbc.sock", "status")
    ways = ("inbound", "outbound")
    good, failed = (
        {way: metrics[f'sbc_tls_{what}_total{{direction="{way}"}}'] for way in ways}
        for what in ("handshakes", "handshake_failures")
    )
    both = {"lifetime": sum(good.values()), "failures": sum(failed.values()), "in_flight": 0}
    assert health["handshakes"] == both
    assert status["counters"]["handshakes"] == both["lifetime"]
    assert status["counters"]["handshake_failures"] == both["failures"]
    page = counted.page("/")
    assert f"<strong>{both['lifetime']:.0f}</strong> TLS handshakes" in page
    assert f"<strong>{both['failures']:.0f}</strong> refused handshakes" in page
    rows = {name: re.findall(r'<td class="number">(.*?)</td>', row) for name, row in ROW.findall(page)}
    of_status = {each["name"]: each for each in status["listeners"]}
    for port in health["ports"]:
        name, transport = port["name"], port["transport"]
        came, dialled = (of_status[name][way] for way in ways)
        assert (port["connections"], port["accepted"]) == (came["open"], came["accepted"])
        assert port["refused"] == came["refused"]
        labels = f'listener="{name}",transport="{transport}"'
        assert port["refused"] == metrics[f"sbc_listener_refused_total{{{labels}}}"]
        secure = transport == "tls"
        shown = [
            came["open"], came["accepted"], came["handshakes"] if secure else "–",
            came["refused"] + came["failures"], dialled["open"], dialled["handshakes"] if secure else "–",
            dialled["failures"] if secure else "–",
        ]  # fmt: skip
        assert rows[name] == list(map(str, shown))
        if secure:
            assert (came["handshakes"], dialled["handshakes"]) == tuple(good.values())
            assert (came["failures"], dialled["failures"]) == tuple(failed.values())
            assert (port["handshakes"], port["failures"]) == (came["handshakes"], came["failures"])
            assert port["outbound"] == {
                "connections": dialled["open"], "handshakes": dialled["handshakes"],
                "failures": dialled["failures"],
            }  # fmt: skip
