"""An SBC with listeners that are open to all, phones over UDP, TCP and TLS, and beside them one for trunks.

Whatever strangers do there, two agents with certificates, ``office`` and ``carrier``, call each other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from gevent import socket

from sbc.base import Address
from sbc.demo.agent import Agent
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.pki import write_lab
from sbc.demo.process import whole_lines
from sbc.demo.tls import Credentials, connect
from sbc.demo.voice import VoiceSettings
from sbc.sip.digest import user_hash
from tests.edge.raw_sip import Datagrams, Stream
from tests.edge.test_phones import REALM, Caller
from tests.peers.asking import ask
from tests.peers.canaries import PASSWORD
from tests.peers.faults import in_text
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port, free_ports
from tests.peers.waiting import until

TO = f"sip:+12125550100@{SBC_NAME}"
_SETTINGS = """\
listeners:
  udp: {{bind: 127.0.0.1:{udp}, transport: udp}}
  tcp: {{bind: 127.0.0.1:{tcp}, transport: tcp}}
  tls: {{bind: 127.0.0.1:{tls}, transport: tls, handshake_timeout: {patience}s}}
  trunk: {{bind: 127.0.0.1:{trunk}, transport: tls}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
trust:
  lab-ca: {{ca: tls/lab-ca.pem}}
  carrier-ca: {{ca: tls/carrier-ca.pem}}
media: {{address: 127.0.0.1, ports: {media}-{last}}}
registrar: {{realm: phones.example, users: phones}}
"""
_PHONES = "trunk: phones-{kind}\nphones: true\nsources: [127.0.0.0/8]\nlistener: {kind}\n{more}"
_TLS = "tls: {mode: server, server_identity: sbc}\n"
_TRUSTED = """\
trunk: {name}
peers: [127.0.0.1:{port}]
sources: [127.0.0.1]
listener: trunk
srtp: required
suites: [AES_CM_128_HMAC_SHA1_80, AEAD_AES_128_GCM]
tls:
  mode: required
  server_identity: sbc
  client_identity: sbc
  trust: [{trust}]
  names: [{name}.lab.example]
"""
_RULES = """\
rules:
  - name: the office calls out
    when: trunk == "office"
    then: route "carrier"
  - name: phones call nobody
    when: true
    then: reject 404
"""


class PlainStream:
    """A TCP connection that looks like one of TLS."""

    def __init__(self, address: Address, source: str = HOST) -> None:
        self._sock = socket.create_connection(address, 10, (source, 0))

    def recv(self) -> bytes:
        """The next bytes; b"" at the end."""
        try:
            data: bytes = self._sock.recv(65536)
        except OSError:
            return b""
        return data

    def send(self, data: bytes) -> None:
        """Say ``data``; nobody need listen."""
        try:
            self._sock.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        """End it."""
        self._sock.close()


class Open:
    """The SBC and the two who are trusted; ``words`` is what sbc.yaml says beside."""

    def __init__(self, directory: Path, words: str = "", patience: int = 15) -> None:
        self.directory = directory
        self._phones = 0
        self.udp, self.tcp, self.tls, self.trunk, office, carrier = free_ports(6)
        media = (free_port(101) + 1) & ~1
        write_lab(directory, time.time())
        places = {"udp": self.udp, "tcp": self.tcp, "tls": self.tls, "trunk": self.trunk}
        settings = _SETTINGS.format(media=media, last=media + 99, patience=patience, **places)
        lines = [f"alice:{REALM}:{user_hash('SHA-256', 'alice', REALM, PASSWORD)}\n"]
        trusted = (("office", office, "lab-ca"), ("carrier", carrier, "carrier-ca"))
        files = {
            "sbc.yaml": settings + words, "phones": "".join(lines), "routes.d/10.yaml": _RULES,
            **{
                f"trunks.d/phones-{kind}.yaml": _PHONES.format(kind=kind, more=_TLS if kind == "tls" else "")
                for kind in ("udp", "tcp", "tls")
            },
            **{
                f"trunks.d/{name}.yaml": _TRUSTED.format(name=name, port=port, trust=trust)
                for name, port, trust in trusted
            },
        }  # fmt: skip
        for name, text in files.items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(text)
        self.sbc = Portcullis("sbc", directory, tcp=[self.tcp, self.tls, self.trunk], udp=[self.udp])
        self.office, self.carrier = self._agent("office", 440), self._agent("carrier", 660)
        self._carrier_port = carrier

    def _agent(self, name: str, hertz: int) -> Agent:
        tls = self.directory / "tls"
        own = Credentials(tls / f"{name}.pem", tls / f"{name}.key")
        return Agent(name, f"{name}.lab.example", tls / "lab-ca.pem", own, VoiceSettings(hertz))

    def start(self) -> None:
        """Start all of it."""
        self.carrier.listen(self._carrier_port)
        self.sbc.start()
        self.sbc.ready()

    def close(self) -> None:
        """Stop all of it."""
        self.office.close()
        self.carrier.close()
        self.sbc.stop()

    def wire(self, kind: str) -> Datagrams | Stream:
        """A stranger's way in, over ``udp``, ``tcp`` or ``tls``."""
        address = Address(*self.address(kind))
        if kind == "udp":
            return Datagrams(address)
        if kind == "tcp":
            return Stream(PlainStream(address))  # type: ignore[arg-type]
        return Stream(connect(address, SBC_NAME, self.directory / "tls" / "lab-ca.pem", None))

    def address(self, kind: str) -> tuple[str, int]:
        """Where a stranger finds ``udp``, ``tcp`` or ``tls``."""
        return HOST, {"udp": self.udp, "tcp": self.tcp, "tls": self.tls}[kind]

    def opened(self, kind: str, source: str, stack: ExitStack) -> Any:
        """A connection of ``source`` that is closed at the end; None where it was refused."""
        sock = socket.socket()
        stack.callback(sock.close)
        sock.bind((source, 0))
        sock.settimeout(20)
        with suppress(OSError):
            sock.connect(self.address(kind))
            return sock
        return None

    def alice(self, kind: str) -> Datagrams | Stream:
        """The same, of somebody who has proved a password."""
        wire = self.wire(kind)
        self._phones += 1
        phone = Caller("alice", wire, kind.upper(), f"alice{self._phones}")
        assert phone.registers("Expires: 3600").status == 200
        return wire

    def trusted_call(self) -> None:
        """The office reaches the carrier, and hangs up."""
        made = self.office.call(self.office.dial(Address(HOST, self.trunk), SBC_NAME), TO)
        assert made.wait_up(60), made.reason
        made.hang_up()
        assert made.wait_over(60)
        made.link.close()

    def status(self) -> dict[str, Any]:
        """What ``sbc status --json`` says."""
        found: dict[str, Any] = ask(self.directory / "run" / "sbc.sock", "status")
        return found

    def held(self) -> dict[str, int]:
        """What is held of whom nobody trusts: calls, transactions, open connections, handshakes under way."""
        status = self.status()
        strange = [each["inbound"] for each in status["listeners"] if each["name"] != "trunk"]
        return {
            "calls": len(status["calls"]), "transactions": status["transactions"],
            "connections": sum(each["open"] for each in strange),
            "handshakes": sum(each["in_flight"] for each in strange),
        }  # fmt: skip

    def forgets(self) -> None:
        """In the end nothing is held."""
        nothing = {"calls": 0, "transactions": 0, "connections": 0, "handshakes": 0}
        until(self.held, "nothing is held", holds=lambda held: held == nothing, seconds=90)

    def log(self) -> list[str]:
        """The lines of the journal so far."""
        return whole_lines(self.sbc.log).splitlines()


@contextmanager
def open_to_all(directory: Path, words: str = "", patience: int = 15) -> Iterator[Open]:
    """An ``Open`` for the length of a block, which must be unharmed then."""
    made = Open(directory, words, patience)
    try:
        made.start()
        yield made
        assert not (fault := in_text("\n".join(made.log()))), fault
    finally:
        made.close()
