"""Remedies for what only sockets show, of a running SBC: wrong ports, silence, resets, names of nobody.

Each test reads the line (the journal, ``sbc trust``, ``sbc doctor``), does what it says, and sees OPTIONS
answered that was not before.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from gevent import socket, ssl
from gevent.server import StreamServer

from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.pki import LabAuthority
from tests.edge.attacked import Attacked, attacked
from tests.edge.raw_sip import Stream
from tests.edge.sbc_command import sbc
from tests.edge.tls_lab import OPTIONS
from tests.peers.asking import ask
from tests.peers.ports import free_port, free_ports
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: sbc\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
WEB = b"GET / HTTP/1.1\r\nHost: sbc\r\n\r\n"
_KEPT = re.compile(rb"^(?:via|from|to|call-id|cseq):.*\r\n", re.IGNORECASE | re.MULTILINE)
TLS = """\
tls:
  mode: required
  client_identity: sbc
  server_identity: sbc
  trust: [carrier-ca]
  names: [carrier.lab.example]
"""
TRUNK = (
    "trunk: {name}\npeers: ['{host}:{port}']\nlistener: {listener}\ndial_timeout: 1s\nresponse_timeout: 1s\n"
)
PROBED = "options: {every: 200ms, down_after: 1}\n"


class Peer:
    """Whoever is dialled on ``port``; ``manner`` says what it does with a connection, and may change.

    ``sip`` answers requests in the clear, ``tls`` over TLS, ``web`` as an HTTP server does; ``silent`` says
    nothing, ``reset`` breaks off. What is no TLS gets an alert, but where it is ``curt``. One that is
    ``mute`` hangs up on whoever it has taken, and says goodbye in TLS only where it is ``curt`` too.
    """

    def __init__(self, directory: Path, manner: str) -> None:
        self.manner, self.curt, self.mute = manner, False, False
        self.context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(directory / "tls/carrier.pem", directory / "tls/carrier.key")
        self._server = StreamServer((HOST, 0), self._serve)
        self._server.start()
        self.port: int = self._server.server_port

    def close(self) -> None:
        self._server.stop(timeout=0.1)

    def _serve(self, sock: Any, _peer: object) -> None:
        try:
            if self.manner == "reset":
                sock.recv(1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                return
            if self.manner == "tls":
                if sock.recv(1, socket.MSG_PEEK) != b"\x16" and not self.curt:
                    sock.recv(65536)
                    sock.sendall(b"\x15\x03\x01\x00\x02\x02\x46")  # protocol_version
                    return
                sock = self.context.wrap_socket(sock, server_side=True)
                if self.mute:
                    sock.recv(65536)
                    (sock.unwrap if self.curt else sock.close)()
                    return
            while data := sock.recv(65536):
                if self.manner == "web":
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    return
                if self.manner != "silent":
                    kept = b"".join(_KEPT.findall(data))
                    sock.sendall(b"SIP/2.0 200 OK\r\n" + kept + b"Content-Length: 0\r\n\r\n")
        except OSError:
            return  # the SBC hung up, or this is no TLS


class Site:
    """A running SBC with a listener of each transport, whose files are changed as an operator does."""

    def __init__(self, running: Attacked) -> None:
        self.running, self.directory = running, running.directory
        self.tcp = free_port()
        path = self.directory / "sbc.yaml"
        text = path.read_text()
        path.write_text(
            text.replace("identities:", f"  tcp: {{bind: {HOST}:{self.tcp}, transport: tcp}}\nidentities:")
        )
        self.trunk("stream", f"trunk: stream\nsources: [{HOST}]\nlistener: tcp\n")

    def trunk(self, name: str, text: str) -> None:
        """File a trunk, or file it anew, and have that in force."""
        (self.directory / "trunks.d" / f"{name}.yaml").write_text(text)
        assert ask(self.directory / "run" / "sbc.sock", "reload")["changed"]

    def down(self, name: str, count: int = 1) -> str:
        """Why a trunk is down, once its journal says so."""
        return self.running.lines("[trunk]", event="trunk-down", trunk=name, count=count)[-1]["reason"]

    def up(self, name: str) -> None:
        """It answers."""
        self.running.lines("[trunk]", event="trunk-up", trunk=name)

    def trust(self, name: str) -> dict[str, Any]:
        """The last failure of what we dial, as ``sbc trust`` has it, once there is one."""

        found: dict[str, Any] = until(lambda: self._dialled(name)["bad"], "a failure in the ledger")
        return found

    def _dialled(self, name: str) -> dict[str, Any]:
        answer = sbc(self.directory, "trust", name, "--json")
        (view,) = json.loads(answer.out)["trunks"]
        side: dict[str, Any] = view["directions"][-1]
        return side


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with attacked(tmp_path_factory.mktemp("site")) as running:
        yield Site(running)


@pytest.fixture
def peer(site: Site) -> Iterator[Peer]:
    made = Peer(site.directory, "silent")
    yield made
    made.close()


def say(port: int, data: bytes) -> bytes:
    """Say ``data`` to a port of the SBC in the clear; what comes back until it closes."""
    with socket.create_connection((HOST, port)) as sock:
        sock.sendall(data)
        heard = b""
        while got := sock.recv(4096):
            heard += got
            if b"\r\n\r\n" in heard:
                break
        return bytes(heard)


def answered(port: int) -> bool:
    """Whether OPTIONS in the clear is answered."""
    return say(port, OPTIONS).startswith(b"SIP/2.0 ")


def ports_in(remedy: str) -> list[int]:
    """The ports that a remedy names."""
    return [int(port) for port in re.findall(rf"{re.escape(HOST)}:(\d+)", remedy)]


# To a port of ours


def hello() -> bytes:
    """A ClientHello."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=SBC_NAME).do_handshake()
    return bytes(outgoing.read())


def test_tls_to_a_tcp_port(site: Site) -> None:
    say(site.tcp, hello())
    line = site.running.lines("[malformed]", trunk="stream", reason="what came is TLS, not SIP")[-1]
    assert line["listener"] == "tcp"
    found = re.match(r"let the peer use listener tls \((\S+)\) for TLS", line["remedy"])
    assert found is not None and found[1] == str(site.running.address)
    stream = Stream(site.running.stream())
    stream.send(OPTIONS)
    assert until(lambda: stream.heard)
    stream.close()


@pytest.mark.parametrize(("data", "what"), [(WEB, "HTTP"), (UPGRADE, "WebSocket")])
def test_the_web_to_a_sip_port(site: Site, data: bytes, what: str) -> None:
    assert say(site.tcp, data) == b""
    line = site.running.lines("[malformed]", trunk="stream", reason=f"what came is {what}, not SIP")[-1]
    assert say(site.running.ports.sips, data) == b""
    refused = site.running.lines("[tls-refused]", detail=f"what arrived on the TLS port is {what}, not TLS")[
        -1
    ]
    assert refused["kind"] == "not-tls" and refused["where"] == "-"
    for remedy in (line["remedy"], refused["remedy"]):
        if what == "WebSocket":
            assert "no listener takes SIP over WebSocket" in remedy
            continue
        url = re.search(r"the admin pages are at (http://[^\s;]+)", remedy)
        assert url is not None, remedy
        with urlopen(url[1], timeout=10) as page:
            assert page.status == 200


def test_sip_to_a_tls_port(site: Site) -> None:
    assert say(site.running.ports.sips, OPTIONS) == b""
    refused = site.running.lines("[tls-refused]", detail="what arrived on the TLS port is SIP, not TLS")[-1]
    assert (
        "let the peer use TLS for this port, or let it come without TLS to listener tcp" in refused["remedy"]
    )
    (port,) = ports_in(refused["remedy"])
    assert answered(port)


# To a port of the peer's


@pytest.mark.parametrize(("manner", "what"), [("sip", "SIP"), ("web", "HTTP")])
def test_a_dialled_port_without_tls(site: Site, peer: Peer, manner: str, what: str) -> None:
    peer.manner = manner
    name = f"plain-{manner}"
    site.trunk(name, TRUNK.format(name=name, host=HOST, port=peer.port, listener="tls") + PROBED + TLS)
    assert f"not-tls: what the peer answered to our ClientHello is {what}, not TLS" in site.down(name)
    bad = site.trust(name)
    assert (bad["kind"], bad["where"]) == ("not-tls", f"trunks.d/{name}.yaml:2 (peers)")
    if manner == "sip":
        assert "put the trunk on a listener of the transport that the peer has" in bad["remedy"]
        site.trunk(name, TRUNK.format(name=name, host=HOST, port=peer.port, listener="tcp") + PROBED)
    else:
        assert "correct the port in `peers`" in bad["remedy"]
        peer.manner = "tls"  # the port that is right
    site.up(name)


def test_a_dialled_port_with_tls_that_says_nothing_on_a_trunk_without(site: Site, peer: Peer) -> None:
    peer.manner, peer.curt = "tls", True
    site.trunk("curt", TRUNK.format(name="curt", host=HOST, port=peer.port, listener="tcp") + PROBED)
    assert "before it said anything: it may want TLS on that port" in site.down("curt")
    site.trunk("curt", TRUNK.format(name="curt", host=HOST, port=peer.port, listener="tls") + PROBED + TLS)
    site.up("curt")


def test_a_dialled_port_with_tls_on_a_trunk_without(site: Site, peer: Peer) -> None:
    peer.manner = "tls"
    site.trunk("mirror", TRUNK.format(name="mirror", host=HOST, port=peer.port, listener="tcp") + PROBED)
    assert "what came is TLS, not SIP" in site.down("mirror")
    line = site.running.lines("[malformed]", trunk="mirror")[-1]
    found = re.match(r"put the trunk on listener (\w+) \(\S+\), with a `tls:` of its own", line["remedy"])
    assert found is not None, line
    text = TRUNK.format(name="mirror", host=HOST, port=peer.port, listener=found[1])
    site.trunk("mirror", text + PROBED + TLS)
    site.up("mirror")


@pytest.mark.parametrize(
    ("manner", "kind", "what"),
    [
        ("silent", "timeout", "the peer did not go on in time where its ServerHello was due"),
        (
            "reset",
            "reset-by-peer",
            "the peer reset the connection without an alert where its ServerHello was due",
        ),
    ],
)
def test_a_peer_that_says_nothing_of_tls(site: Site, peer: Peer, manner: str, kind: str, what: str) -> None:
    peer.manner = manner
    site.trunk(manner, TRUNK.format(name=manner, host=HOST, port=peer.port, listener="tls") + PROBED + TLS)
    site.down(manner)
    line = site.running.lines("[tls-refused]", trunk=manner)[-1]
    assert (line["kind"], line["where"]) == (kind, f"trunks.d/{manner}.yaml:2 (peers)")
    assert line["detail"].startswith(what) and "the groups X25519MLKEM768" in line["detail"]
    command = re.search(r"`sbc (doctor \S+)`", line["remedy"])
    assert command is not None and "scanner" not in line["remedy"], line
    told = sbc(site.directory, *command[1].split())
    assert told.status == 11 and what in " ".join(told.out.split())
    peer.manner = "tls"  # its operator has looked whether it speaks TLS on that port
    site.up(manner)
    assert sbc(site.directory, *command[1].split()).status == 0


def test_a_peer_that_refuses_us_late(site: Site, peer: Peer) -> None:
    """TLS 1.3: our side of the handshake was over."""
    peer.manner = "tls"
    peer.context.minimum_version = ssl.TLSVersion.TLSv1_3
    peer.context.verify_mode = ssl.CERT_REQUIRED
    peer.context.load_verify_locations(cadata=LabAuthority("Another CA").cert_pem.decode())
    site.trunk("late", TRUNK.format(name="late", host=HOST, port=peer.port, listener="tls") + PROBED + TLS)
    reason = site.down("late")
    assert "rejected-by-peer: the peer sent alert 48 (unknown_ca)" in reason
    assert "give the peer's operator the CA CN=Lab CA" in reason
    peer.context.load_verify_locations(site.directory / "tls/lab-ca.pem")
    site.up("late")


def test_the_doctor_shows_which_group_a_peer_takes(site: Site, peer: Peer) -> None:
    peer.manner = "tls"
    peer.context.set_ecdh_curve("secp521r1")
    text = TRUNK.format(name="groups", host=HOST, port=peer.port, listener="tls") + PROBED + TLS
    site.trunk("groups", text)
    site.down("groups")
    line = site.running.lines("[tls-refused]", trunk="groups")[-1]
    command = re.search(
        r"`sbc (doctor groups)` offers everything and shows what it would take", line["remedy"]
    )
    assert command is not None, line
    told = " ".join(sbc(site.directory, *command[1].split()).out.split())
    found = re.search(
        r"remedy: add (\S+) to the trunk's `groups` line: trunks.d/groups.yaml:\d+ \(tls.groups\)", told
    )
    assert found is not None, told
    site.trunk("groups", text + f"  groups: [X25519, P-256, {found[1]}]\n")
    site.up("groups")
    assert sbc(site.directory, *command[1].split()).status == 0


def test_the_doctor_shows_which_cipher_a_peer_takes(site: Site, peer: Peer) -> None:
    peer.manner = "tls"
    peer.context.maximum_version = ssl.TLSVersion.TLSv1_2
    peer.context.set_ciphers("ECDHE-ECDSA-AES128-SHA")
    site.trunk(
        "ciphers", TRUNK.format(name="ciphers", host=HOST, port=peer.port, listener="tls") + PROBED + TLS
    )
    site.down("ciphers")
    told = " ".join(sbc(site.directory, "doctor", "ciphers").out.split())
    assert "the cipher it takes, ECDHE-ECDSA-AES128-SHA, is none that we speak" in told
    assert "remedy: enable ECDHE with AES-GCM or ChaCha20 at the peer" in told
    peer.context.set_ciphers("ECDHE+AESGCM")
    site.up("ciphers")


@pytest.mark.parametrize("says", ["goodbye", "nothing"])
def test_a_peer_that_takes_us_and_hangs_up(site: Site, peer: Peer, says: str) -> None:
    """TLS 1.3: its handshake is over when it has judged us, and ours was before."""
    peer.manner, peer.mute, peer.curt = "tls", True, says == "goodbye"
    peer.context.minimum_version = ssl.TLSVersion.TLSv1_3
    name = f"mute-{says}"
    site.trunk(name, TRUNK.format(name=name, host=HOST, port=peer.port, listener="tls") + PROBED + TLS)
    assert site.down(name) == "closed by the peer before it said anything: it may not take our certificate"
    peer.mute = False
    site.up(name)


def test_a_name_that_leads_nowhere(site: Site, peer: Peer) -> None:
    peer.manner = "tls"
    text = TRUNK.format(name="lost", host="{host}", port=peer.port, listener="tls") + PROBED
    text += TLS
    site.trunk("lost", text.replace("{host}", "nowhere.invalid"))
    assert "nowhere.invalid does not resolve" in site.down("lost")
    bad = site.trust("lost")
    assert (bad["kind"], bad["where"]) == ("unresolved", "trunks.d/lost.yaml:2 (peers)")
    assert "correct the name in the trunk's `peers`" in bad["remedy"]
    assert (
        "last failure never"
        not in " ".join(sbc(site.directory, "trust", "lost").out.split()).split("OUTBOUND")[1]
    )
    site.trunk("lost", text.replace("{host}", HOST))
    site.up("lost")


def test_a_port_where_nobody_is(site: Site, peer: Peer) -> None:
    peer.manner = "tls"
    (empty,) = free_ports(1)
    site.trunk("closed", TRUNK.format(name="closed", host=HOST, port=empty, listener="tls") + PROBED + TLS)
    assert "no TCP connection: Connection refused" in site.down("closed")
    bad = site.trust("closed")
    assert (bad["kind"], bad["where"]) == ("unreachable", "trunks.d/closed.yaml:2 (peers)")
    assert "look at the address and port in `peers`" in bad["remedy"]
    site.trunk(
        "closed", TRUNK.format(name="closed", host=HOST, port=peer.port, listener="tls") + PROBED + TLS
    )
    site.up("closed")
