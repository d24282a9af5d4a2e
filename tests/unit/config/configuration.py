"""A right configuration with one trunk, to be spoilt by the tests one line at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

SBC = """\
listeners:
  tls: {bind: 127.0.0.1:5061, transport: tls}
  udp: {bind: 127.0.0.1:5060, transport: udp}

# the keystore
identities:
  sbc: {chain: tls/sbc.pem, key: tls/sbc.key}
# the truststore
trust:
  carrier-ca: {ca: tls/carrier-ca.pem}
media: {address: 127.0.0.1, ports: 20000-29999}
"""
CARRIER = """\
trunk: carrier
peers: [127.0.0.1:16061]
sources: [10.0.0.0/8]
listener: tls
tls:
  mode: required
  server_identity: sbc
  client_identity: sbc
  trust: [carrier-ca]
  name_match: rfc5922
srtp: accept
"""
ROUTES = """\
rules:
  - name: out
    when: true
    then: route "carrier"
"""
FILES = {"sbc.yaml": SBC, "trunks.d/carrier.yaml": CARRIER, "routes.d/10.yaml": ROUTES}

# Writes FILES, with those given in place of them, to a directory that has the lab's certificates.
Write = Callable[[dict[str, str]], Path]
