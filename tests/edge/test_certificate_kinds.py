"""Certificates with keys that peers and we may have beside the usual ones, and what a pin of them hashes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sbc.demo.pki import Issued, LabAuthority
from sbc.net.tls.hello import Peek
from sbc.tls.material.certificate import read_certificate
from tests.edge.tls_lab import Lab, client_context, server_context
from tests.edge.tls_pair import Door
from tests.unit.tls.certs import P384, PSS, PSS_SHA256, der, openssl_leaf

NAMES = "DNS:sbc.example,DNS:localhost"
KINDS = {"P-384": P384, "RSASSA-PSS": PSS, "RSASSA-PSS with SHA-256 alone": PSS_SHA256}
both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabAuthority, dict[str, Issued]]:
    """One leaf of each kind, and who issued them: such keys take their time."""
    authority, directory = LabAuthority("kinds"), tmp_path_factory.mktemp("kinds")
    return authority, {kind: openssl_leaf(authority, directory, key, NAMES) for kind, key in KINDS.items()}


@each_kind
@both_versions
def test_a_peer_may_have_it_whoever_dials(
    lab: Lab, made: tuple[LabAuthority, dict[str, Issued]], kind: str, version: str
) -> None:
    authority, leaves = made
    lab.anchor("kinds", authority)
    lab.trunk("a", {"trust": ("kinds",)}, peers=("localhost:5061",))
    door = Door(lab)
    assert door.enters(leaves[kind], version) == "a"
    assert door.reaches("a", leaves[kind], version) == "a"


@each_kind
@both_versions
def test_we_may_have_it_whoever_dials(
    lab: Lab, made: tuple[LabAuthority, dict[str, Issued]], kind: str, version: str
) -> None:
    authority, leaves = made
    lab.identity("unusual", leaves[kind])
    ours = {"server_identity": "unusual", "client_identity": "unusual"}
    lab.trunk("a", ours, peers=("localhost:5061",))
    door = Door(lab)
    peer = client_context(lab, lab.ca.issue(dns=["peer.example"]), version)
    peer.load_verify_locations(cadata=authority.cert_pem.decode())
    assert door.admits(peer) == "a"
    server = server_context(lab, lab.ca.issue(dns=["localhost"]), version, demand=authority)
    assert door.accepts("a", server) == "a"


@each_kind
def test_a_pin_is_what_the_documented_commands_say(
    lab: Lab, made: tuple[LabAuthority, dict[str, Issued]], kind: str, tmp_path: Path
) -> None:
    issued = made[1][kind]
    (tmp_path / "peer.pem").write_bytes(issued.cert_pem)
    command = "openssl x509 -in peer.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum"
    told = subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True)
    pin = "sha256/" + told.stdout.split()[0]
    assert read_certificate(der(issued.cert_pem)).identity.pin == pin
    lab.anchor_file("key", pin=(pin,))
    lab.trunk("a", {"trust": ("key",)})
    assert Door(lab).enters(issued) == "a"


def test_the_name_that_we_ask_for_has_no_dot_at_its_end(lab: Lab) -> None:
    """RFC 6066 3: the HostName is written without it; as the name of a peer it may have one."""
    lab.trunk("a", {}, peers=("localhost.:5061",))
    door = Door(lab)
    assert Peek().feed(door.outbound("a", "localhost.").drain()) == "localhost"
    assert door.reaches("a", lab.ca.issue(dns=["localhost"]), host="localhost.") == "a"
