"""The lab: a whole configuration on free loopback ports, made for one demonstration."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from sbc.demo.pki import write_lab

SBC_NAME = "sbc.lab.example"
HOST = "127.0.0.1"

_SETTINGS = """\
listeners:
  trunk-tls: {{bind: {host}:{sips}, transport: tls}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
trust:
  lab-ca: {{ca: tls/lab-ca.pem}}
  carrier-ca: {{ca: tls/carrier-ca.pem}}
media: {{address: {host}, ports: {first_media}-{last_media}}}
admin: {{bind: {host}:{admin}}}
"""
_TRUNK = """\
trunk: {name}
peers: [{host}:{port}]
sources: [127.0.0.0/8]
listener: trunk-tls
tls:
  mode: required
  server_identity: sbc
  client_identity: sbc
  trust: [{trust}]
  names: [{name}.lab.example]
srtp: {srtp}
sips: forbid
"""
_ROUTES = """\
rules:
  - name: the office calls out
    when: trunk == "office" and to.user matches /^\\+1[2-9]\\d{9}$/
    then: |
      require srtp
      forbid downgrade
      route "carrier"
  - name: everything else
    when: true
    then: reject 404 "No such number"
tests:
  - given: {trunk: office, to: "+12125550100"}
    expect: {route: [carrier], srtp: required, downgrade: forbid}
"""


@dataclass(frozen=True, slots=True)
class LabPorts:
    """The lab's ports on the loopback; media takes a hundred from ``media`` on."""

    sips: int
    admin: int
    office: int
    carrier: int
    media: int


def free_ports() -> LabPorts:
    """Ports that nobody listens on at this moment."""
    sips, admin, office, carrier = _free(4)
    return LabPorts(sips, admin, office, carrier, _free_media())


def write_configuration(directory: Path, ports: LabPorts, now: float) -> None:
    """Write the lab's certificates, trunks and routes to ``directory``; ``now`` is POSIX seconds."""
    write_lab(directory, now)
    for name in ("trunks.d", "routes.d", "hooks"):
        (directory / name).mkdir(exist_ok=True)
    settings = _SETTINGS.format(
        host=HOST,
        sips=ports.sips,
        admin=ports.admin,
        first_media=ports.media,
        last_media=ports.media + 99,
    )
    (directory / "sbc.yaml").write_text(settings)
    trunks = (
        ("office", ports.office, "lab-ca", "required"),
        ("carrier", ports.carrier, "carrier-ca", "offer"),
    )
    for name, port, trust, srtp in trunks:
        text = _TRUNK.format(name=name, host=HOST, port=port, trust=trust, srtp=srtp)
        (directory / "trunks.d" / f"{name}.yaml").write_text(text)
    (directory / "routes.d" / "10-lab.yaml").write_text(_ROUTES)


def _free(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


def _free_media() -> int:
    for first in range(20000, 30000, 100):
        if all(_is_free(port) for port in range(first, first + 100)):
            return first
    raise OSError("no hundred free UDP ports between 20000 and 30000")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
