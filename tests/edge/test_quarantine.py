"""One broken certificate stops its own trunk and no other: real TLS, from an operator's directory."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gevent import socket, ssl

from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import LabAuthority
from sbc.net.system.clock import Clock
from sbc.net.tls.contexts import Contexts
from sbc.net.transport.dial import DialFailed
from sbc.net.transport.dialer import Dialer
from sbc.net.transport.listener import Listeners
from sbc.observe.traffic import Tally
from tests.edge.no_names import no_names
from tests.edge.tls_lab import Lab, Recorder, client_context, server_context, serving, try_options
from tests.peers.trunks import with_peers
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

TENANTS = 50
ROUTES = "rules:\n  - name: nobody\n    when: true\n    then: reject 404\n"


@dataclass
class Edge:
    """Fifty tenants on one port, each with a certificate and a CA of its own kind, from files."""

    directory: Path
    lab: Lab
    recorder: Recorder
    listeners: Listeners
    dialer: Dialer
    snapshot: Snapshot

    def reload(self) -> Snapshot:
        self.snapshot = build_snapshot(self.directory, time.time(), self.snapshot)
        self.listeners.apply(self.snapshot)
        self.dialer.apply(self.snapshot)
        return self.snapshot

    def served(self) -> list[str]:
        """The tenants that are answered, each with its own certificate."""
        context = client_context(self.lab, self.lab.ca.issue(dns=["peer.example"]))
        return [name for name in map(_name, range(TENANTS)) if self._answers(context, name)]

    def _answers(self, context: ssl.SSLContext, name: str) -> bool:
        port = self.listeners.address("tls")
        return try_options(port, context, f"sip.{name}.example") is None


def _name(number: int) -> str:
    return f"t{number:02}"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tenants")
    for each in ("tls", "trunks.d", "routes.d"):
        (directory / each).mkdir()
    (directory / "routes.d" / "10.yaml").write_text(ROUTES)
    settings = ["listeners: {tls: {bind: 127.0.0.1:0, transport: tls}}", "identities:"]
    ca = LabAuthority("good CA")
    (directory / "tls" / "peers.pem").write_bytes(ca.cert_pem)
    (directory / "tls" / "peers.key.der").write_bytes(b"")
    for name in map(_name, range(TENANTS)):
        issued = ca.issue(dns=[f"sip.{name}.example"])
        (directory / "tls" / f"{name}.pem").write_bytes(issued.chain_pem)
        (directory / "tls" / f"{name}.key").write_bytes(issued.key_pem)
        settings.append(f"  {name}: {{chain: tls/{name}.pem, key: tls/{name}.key}}")
    settings += ["trust: {peers: {ca: tls/peers.pem}}", "tenants:"]
    for name in map(_name, range(TENANTS)):
        settings.append(f"  {name}: {{domains: [sip.{name}.example], server_identity: {name}}}")
        (directory / "trunks.d" / f"{name}.yaml").write_text(
            f"trunk: {name}\ntenant: {name}\nlistener: tls\nsources: [127.0.0.1]\n"
            f"tls: {{mode: server, trust: [peers], client_identity: {name}}}\npeers: [127.0.0.1:1]\n"
        )
    (directory / "sbc.yaml").write_text("\n".join(settings) + "\n")
    return directory


@pytest.fixture
def directory(material: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(material, tmp_path / "sbc"))


@pytest.fixture
def edge(directory: Path) -> Iterator[list[Edge]]:
    made: list[Edge] = []
    yield made
    for each in made:
        each.dialer.close()
        each.listeners.close()


def start(made: list[Edge], directory: Path) -> Edge:
    snapshot, recorder, clock = build_snapshot(directory, time.time()), Recorder(), Clock()
    recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"
    listeners = Listeners(snapshot, Contexts(snapshot), recorder, clock, Tally())
    listeners.start()
    (directory / "peer").mkdir()
    dialer = Dialer(listeners, recorder, clock, no_names(clock))
    edge = Edge(directory, Lab(directory / "peer"), recorder, listeners, dialer, snapshot)
    made.append(edge)
    return edge


def test_fifty_tenants_one_with_a_corrupt_certificate(edge: list[Edge], directory: Path) -> None:
    corrupt = directory / "tls" / "t17.pem"
    corrupt.write_bytes(corrupt.read_bytes().replace(b"A", b"*", 1))
    running = start(edge, directory)
    served = running.served()
    assert len(served) == 49 and "t17" not in served
    (event,) = running.recorder.failures
    assert (event.failure.kind, event.candidates, event.alert_sent) == ("quarantined", ("t17",), 80)
    assert "tls/t17.pem" in event.failure.detail and "sbc check" in event.failure.remedy
    assert list(running.snapshot.quarantined) == ["t17"] == list(running.snapshot.quarantined_tenants)


def test_it_is_not_dialled_either(edge: list[Edge], directory: Path) -> None:
    (directory / "tls" / "t17.key").write_text("not a key")
    running = start(edge, directory)
    trunk = running.snapshot.trunks["t17"]
    with socket.create_server(("127.0.0.1", 0)) as peer:
        peer.settimeout(0.2)
        port = peer.getsockname()[1]
        aimed = with_peers(trunk, trunk.peers[0]._replace(port=port))
        with pytest.raises(DialFailed, match=r"trunk t17 is quarantined: tls/t17\.key"):
            running.dialer.connect(aimed, running.snapshot)
        with pytest.raises(TimeoutError):
            peer.accept()


def test_at_a_reload_the_broken_one_serves_on_and_the_mended_one_anew(
    edge: list[Edge], directory: Path
) -> None:
    running = start(edge, directory)
    chain = directory / "tls" / "t17.pem"
    good = chain.read_bytes()
    chain.write_bytes(good[:200])
    (directory / "trunks.d" / "t18.yaml").unlink()
    assert list(running.reload().held) == ["t17"]
    served = running.served()
    assert "t17" in served and "t18" not in served and len(served) == 49
    chain.write_bytes(good)
    assert not running.reload().held


def test_a_quarantined_trunk_serves_the_next_handshake_once_it_is_mended(
    edge: list[Edge], directory: Path
) -> None:
    chain = directory / "tls" / "t17.pem"
    good = chain.read_bytes()
    chain.write_bytes(b"")
    running = start(edge, directory)
    context = client_context(running.lab, None)
    address = running.listeners.address("tls")
    assert try_options(address, context, "sip.t17.example") is not None
    chain.write_bytes(good)
    running.reload()
    assert try_options(address, context, "sip.t17.example") is None
    until(lambda: running.recorder.failures)


def test_a_live_connection_of_a_trunk_that_is_stopped_is_closed(edge: list[Edge], directory: Path) -> None:
    running = start(edge, directory)
    context = client_context(running.lab, None)
    up = context.wrap_socket(
        socket.create_connection(running.listeners.address("tls")), server_hostname="sip.t17.example"
    )
    up.settimeout(3)
    settings = (directory / "sbc.yaml").read_text()
    (directory / "sbc.yaml").write_text(
        settings.replace("tls/t17.pem", "tls/gone.pem")
        .replace("t17: {ch", "u17: {ch")
        .replace("server_identity: t17}", "server_identity: u17}")
    )
    trunk = directory / "trunks.d" / "t17.yaml"
    trunk.write_text(trunk.read_text().replace("client_identity: t17", "client_identity: u17"))
    assert list(running.reload().quarantined) == ["t17"]
    assert up.recv(100) == b""
    up.close()


def test_without_sni_a_broken_tenant_is_not_taken_for_its_neighbour(
    edge: list[Edge], directory: Path
) -> None:
    for name in map(_name, range(2, TENANTS)):
        (directory / "trunks.d" / f"{name}.yaml").unlink()
    (directory / "tls" / "t01.pem").write_bytes(b"")
    running = start(edge, directory)
    assert try_options(running.listeners.address("tls"), client_context(running.lab, None), None) is not None
    assert running.recorder.heard_nothing


def test_outbound_the_others_are_dialled(edge: list[Edge], directory: Path) -> None:
    (directory / "tls" / "t17.pem").write_bytes(b"")
    running = start(edge, directory)
    ca = LabAuthority("dialled CA")
    (directory / "tls" / "peers.pem").write_bytes(ca.cert_pem)
    running.reload()
    with serving(server_context(running.lab, ca.issue(ips=["127.0.0.1"]))) as server:
        trunk = running.snapshot.trunks["t18"]
        aimed = with_peers(trunk, trunk.peers[0]._replace(port=server.port))
        assert running.dialer.connect(aimed, running.snapshot).trunk == "t18"
