"""The servers under test: each takes calls on one mutual-TLS port and sends them on over mutual TLS."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.measure import SERVER_CORE
from bench.same_job import KamailioSbc
from tests.peers.kamailio import Kamailio, KamailioSettings
from tests.peers.lab import Credentials, Lab
from tests.peers.portcullis import Portcullis
from tests.peers.ports import wide_range
from tests.peers.process import PeerProcess

NAME = "server"

Server = Callable[[Path, Lab, int, int], PeerProcess]

#: How many calls the media ports are enough for; the first call on each port opens it.
CALLS = 1050

_SETTINGS = """\
listeners:
  trunk-tls: {{bind: "127.0.0.1:{port}", transport: tls, handshakes_in_flight: 500}}
identities:
  bench: {{chain: tls/server.pem, key: tls/server.key}}
trust:
  lab: {{ca: tls/lab-ca.pem}}
media: {{address: 127.0.0.1, ports: {first}-{last}}}
caps: {{connections_per_source: 500, handshakes_per_source: 500}}  # all peers have one address
control: run/sbc.sock
"""

_TRUNK = """\
trunk: {name}
peers: [{peers}]
sources: [{source}]
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
    return Kamailio("kamailio", directory, _settings(lab, port, onward), cpu=SERVER_CORE)


def kamailio_tlsf(directory: Path, lab: Lab, port: int, onward: int) -> PeerProcess:
    """The same with the memory manager that costs it least: Debian's looks through lists of what is free."""
    settings = replace(_settings(lab, port, onward), memory="tlsf")
    return Kamailio("kamailio", directory, settings, cpu=SERVER_CORE)


def kamailio_sbc(directory: Path, lab: Lab, port: int, onward: int) -> KamailioSbc:
    """Kamailio and rtpengine doing what Portcullis does for a call, from ``port`` to ``onward``."""
    return KamailioSbc("kamailio", directory, _settings(lab, port, onward))


def kamailio_sbc_tlsf(directory: Path, lab: Lab, port: int, onward: int) -> KamailioSbc:
    """The same with the memory manager that costs it least."""
    return KamailioSbc("kamailio", directory, replace(_settings(lab, port, onward), memory="tlsf"))


def portcullis(directory: Path, lab: Lab, port: int, onward: int, sbc: Sequence[str] = ()) -> PeerProcess:
    """Portcullis with trunks ``caller`` and ``callee`` on one listener; ``sbc`` is another tree's command."""
    write_configuration(directory, lab.issue(NAME), port, onward)
    return Portcullis("portcullis", directory, tcp=[port], cpu=SERVER_CORE, sbc=sbc)


SERVERS: dict[str, Server] = {
    "kamailio": kamailio,
    "kamailio, tlsf": kamailio_tlsf,
    "kamailio+rtpengine": kamailio_sbc,
    "kamailio+rtpengine, tlsf": kamailio_sbc_tlsf,
    "portcullis": portcullis,
}


def _settings(lab: Lab, port: int, onward: int) -> KamailioSettings:
    own = lab.issue(NAME)
    return KamailioSettings(onward, port=port, credentials=own, ca=own.ca, children=2)


def write_trunk(directory: Path, name: str, peers: str = "", source: str = "127.0.0.1/32") -> None:
    """Write a trunk with mutual TLS on the one listener into ``directory``."""
    text = _TRUNK.format(name=name, peers=peers, source=source)
    (directory / "trunks.d" / f"{name}.yaml").write_text(text)


def write_configuration(directory: Path, own: Credentials, port: int, onward: int) -> None:
    """Write sbc.yaml, two trunks, one route and the certificates into ``directory``."""
    for name in ("trunks.d", "routes.d", "hooks", "tls", "run"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for source in (own.cert, own.key, own.ca):
        shutil.copy(source, directory / "tls" / source.name)
    media = wide_range()
    text = _SETTINGS.format(port=port, first=media.start, last=media.stop - 1)
    (directory / "sbc.yaml").write_text(text)
    write_trunk(directory, "caller")
    write_trunk(directory, "callee", f'"127.0.0.1:{onward}"')
    (directory / "routes.d" / "10-all.yaml").write_text(_ROUTES)
