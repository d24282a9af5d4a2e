"""The servers under test: each takes calls on one mutual-TLS port and sends them on over mutual TLS."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from bench.measure import SERVER_CORE
from tests.peers.kamailio import Kamailio, KamailioSettings
from tests.peers.lab import Credentials, Lab
from tests.peers.portcullis import Portcullis
from tests.peers.process import PeerProcess

NAME = "server"

Server = Callable[[Path, Lab, int, int], PeerProcess]

_SETTINGS = """\
listeners:
  trunk-tls: {{bind: "127.0.0.1:{port}", transport: tls, handshakes_in_flight: 500}}
identities:
  bench: {{chain: tls/server.pem, key: tls/server.key}}
trust:
  lab: {{ca: tls/lab-ca.pem}}
media: {{address: 127.0.0.1, ports: 40000-59999}}
control: run/sbc.sock
"""

_TRUNK = """\
trunk: {name}
{peers}
sources: [127.0.0.1/32]
listener: trunk-tls
tls:
  mode: required
  server_identity: bench
  client_identity: bench
  trust: [lab]
  names: [{name}.lab.example]
srtp: "off"
"""

_ROUTES = """\
rules:
  - name: all to the callee
    when: trunk == "caller"
    then: route "callee"
"""


def kamailio(directory: Path, lab: Lab, port: int, onward: int) -> PeerProcess:
    """Kamailio as a stateful proxy from ``port`` to ``onward``."""
    own = lab.issue(NAME)
    settings = KamailioSettings(onward, port=port, credentials=own, ca=own.ca)
    return Kamailio("kamailio", directory, settings, cpu=SERVER_CORE)


def portcullis(directory: Path, lab: Lab, port: int, onward: int) -> PeerProcess:
    """Portcullis with a trunk ``caller`` and a trunk ``callee`` on one listener."""
    write_configuration(directory, lab.issue(NAME), port, onward)
    return Portcullis("portcullis", directory, tcp=[port], cpu=SERVER_CORE)


SERVERS: dict[str, Server] = {"kamailio": kamailio, "portcullis": portcullis}


def write_configuration(directory: Path, own: Credentials, port: int, onward: int) -> None:
    """Write sbc.yaml, two trunks, one route and the certificates into ``directory``."""
    for name in ("trunks.d", "routes.d", "hooks", "tls", "run"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for source in (own.cert, own.key, own.ca):
        shutil.copy(source, directory / "tls" / source.name)
    (directory / "sbc.yaml").write_text(_SETTINGS.format(port=port))
    caller = _TRUNK.format(name="caller", peers="peers: []")
    callee = _TRUNK.format(name="callee", peers=f'peers: ["127.0.0.1:{onward}"]')
    (directory / "trunks.d" / "caller.yaml").write_text(caller)
    (directory / "trunks.d" / "callee.yaml").write_text(callee)
    (directory / "routes.d" / "10-all.yaml").write_text(_ROUTES)
