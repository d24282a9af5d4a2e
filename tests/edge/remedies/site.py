"""A configuration as an operator has it, in files: a fault is seen in its journal, and mended in its files.

One trunk, ``carrier``, on mutual TLS both ways, and the ends of ``tls_pair``: no sockets. What tells of a
failed handshake is the product's own journal and ledger.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from sbc.commands.trust_text import render
from sbc.config.load import build_snapshot
from sbc.config.places import place_to_change
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import Issued, LabAuthority
from sbc.demo.process import words
from sbc.observe.journal import Journal
from sbc.observe.recorder import Recorder
from sbc.observe.trust import trust_views
from sbc.tls.failure import Direction
from tests.edge.tls_lab import OK, OPTIONS, Lab, client_context, server_context
from tests.edge.tls_pair import Door, Pair

HOST = "localhost"  # the peer as it is dialled
NAME = "carrier.example"
_SETTINGS: dict[str, Any] = {
    "listeners": {"tls": {"bind": "127.0.0.1:5061", "transport": "tls"}},
    "identities": {"sbc": {"chain": "tls/sbc.pem", "key": "tls/sbc.key"}},
    "trust": {"carrier-ca": {"ca": "tls/carrier-ca.pem"}},
}
_TRUNK: dict[str, Any] = {
    "trunk": "carrier",
    "peers": [f"{HOST}:5061"],
    "sources": ["127.0.0.1"],
    "listener": "tls",
    "tls": {
        "mode": "required", "server_identity": "sbc", "client_identity": "sbc", "trust": ["carrier-ca"],
        "names": [NAME],
    },
}  # fmt: skip
_ROUTES = "rules:\n  - name: none\n    when: true\n    then: reject 403\n"


class Site(Lab):
    """The files, and what reads them: ``config`` is written as sbc.yaml, ``entry`` as the trunk's.

    ``now`` is the moment of the handshakes: peers that verify go by the machine's clock.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.ours, self.theirs = LabAuthority("Our CA"), LabAuthority("Carrier CA")
        self.config: dict[str, Any] = copy.deepcopy(_SETTINGS)
        self.entry: dict[str, Any] = copy.deepcopy(_TRUNK)
        self.now = time.time()
        self.lines: list[str] = []
        self.product = Recorder(Journal(self.lines.append), lambda line: None, self._place)
        self.identify("sbc", self.ours.issue(dns=["sbc.example"]))
        self.put("tls/carrier-ca.pem", self.theirs.cert_pem)
        self.put("routes.d/10.yaml", _ROUTES.encode())
        self._current: Snapshot | None = None
        self._door: Door | None = None

    # The files

    def put(self, name: str, data: bytes) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def identify(self, name: str, issued: Issued) -> None:
        """Give the SBC an identity, or an identity another certificate."""
        self.put(f"tls/{name}.pem", issued.chain_pem)
        self.put(f"tls/{name}.key", issued.key_pem)
        self.config["identities"][name] = {"chain": f"tls/{name}.pem", "key": f"tls/{name}.key"}

    @property
    def tls(self) -> dict[str, Any]:
        """The trunk's ``tls:``."""
        tls: dict[str, Any] = self.entry["tls"]
        return tls

    def trusting(self, name: str, **entry: Any) -> None:
        """Let the truststore have an entry, and the trunk trust that alone."""
        self.config["trust"][name] = entry
        self.tls["trust"] = [name]

    def snapshot(self) -> Snapshot:
        """The configuration as it lies there (JSON is YAML); ConfigError where that is broken."""
        self.put("sbc.yaml", json.dumps(self.config, indent=1).encode())
        self.put("trunks.d/carrier.yaml", json.dumps(self.entry, indent=1).encode())
        self._current = build_snapshot(self.directory, self.now)
        return self._current

    def _place(self, trunk: str, failure: Any, direction: Direction) -> str:
        assert self._current is not None
        return place_to_change(self._current.places, trunk, failure, direction)

    # Handshakes

    def reload(self) -> Snapshot:
        """What the files say is in force."""
        if self._door is None:
            self._door = Door(self)
        else:
            self._door.reload()
        self._door.clock.at = self.now
        assert self._current is not None
        return self._current

    @property
    def door(self) -> Door:
        """The SBC's ends."""
        if self._door is None:
            self.reload()
        assert self._door is not None
        return self._door

    def shows(self, direction: Direction, issued: Issued | None, version: str | None) -> Any:
        """A peer with this certificate, who connects or is dialled, and verifies nobody."""
        make = client_context if direction == "inbound" else server_context
        return make(self, issued, version)

    def works(self, direction: Direction, peer: Any) -> bool:
        """Whether a peer is admitted and OPTIONS is answered."""
        door = self.door
        if isinstance(peer, Strict):
            host = self._host
            door.ours = door.outbound("carrier", host, OPTIONS) if peer.server else door.inbound()
            Pair(door.ours, peer).drive()
            return door.ours.error is None and door.ours.heard == (OK if peer.server else OPTIONS)
        if direction == "inbound":
            return door.admits(peer) == "carrier"
        return door.accepts("carrier", peer, self._host) == "carrier"

    @property
    def _host(self) -> str:
        host: str = self.entry["peers"][0].partition(":")[0]
        return host

    def line(self) -> dict[str, str]:
        """The words of the journal's line about the last handshake, which failed; `sbc trust` agrees."""

        event = self.door.ours.failure()
        self.product.handshake_failed(event)
        said = words(self.lines[-1])
        assert said["kind"] == event.failure.kind and "[tls-refused]" in self.lines[-1]
        assert self._current is not None
        views = trust_views(self._current, self.product.ledger, self.now)
        text = " ".join(render([asdict(each) for each in views], self.now).split())
        assert f"remedy: {' '.join(said['remedy'].split())}" in text
        return said

    def good(self, **options: Any) -> Issued:
        """A certificate that the carrier is known by."""
        return self.theirs.issue(**{"dns": [NAME, HOST], **options})


class Strict:
    """A peer made of the same OpenSSL as ours, for what Python's ``ssl`` cannot ask for.

    As a client it takes signatures by ``schemes`` alone; as a server it may have no certificate at all.
    """

    def __init__(
        self, issued: Issued | None, version: str, schemes: bytes = b"", *, server: bool = False
    ) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        number = SSL.TLS1_2_VERSION if version == "1.2" else SSL.TLS1_3_VERSION
        context.set_min_proto_version(number)
        context.set_max_proto_version(number)
        if schemes:
            library: Any = SSL._lib
            assert library.SSL_CTX_set1_sigalgs_list(context._context, schemes) == 1
        if issued is not None:
            context.use_certificate(x509.load_pem_x509_certificate(issued.cert_pem))
            context.use_privatekey(load_pem_private_key(issued.key_pem, None))
        self.server = server
        self._connection = SSL.Connection(context, None)
        if server:
            self._connection.set_accept_state()
        else:
            self._connection.set_tlsext_host_name(b"sbc.example")
            self._connection.set_connect_state()
        self._over = False
        self.error: Exception | None = None
        self.heard = b""
        self._go_on()

    def receive(self, data: bytes) -> None:
        self._connection.bio_write(data)
        if self.error is None:
            self._go_on()

    def drain(self) -> bytes:
        try:
            return bytes(self._connection.bio_read(1 << 16))
        except SSL.WantReadError:
            return b""

    def _go_on(self) -> None:
        try:
            if not self._over:
                self._connection.do_handshake()
                self._over = True
                self._connection.send(OK if self.server else OPTIONS)
            while data := self._connection.recv(1 << 16):
                self.heard += data
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.error = error
