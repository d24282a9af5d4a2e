"""A handshake is followed by no session ticket, and an operator's own OpenSSL settings stay in force."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import gevent
import pytest

from sbc.demo.pki import LabAuthority
from tests.edge.attacked import attacked
from tests.edge.raw_sip import Stream, options
from tests.edge.sbc_command import ROOT

# A process of its own: OpenSSL reads its settings once. It prints how many bytes the server sends after the
# client's Finished, and what is left of the variable.
AFTER_THE_HANDSHAKE = """
import os, sys
from sbc.net.tls.settings import configure_openssl
configure_openssl()
from OpenSSL import SSL

def connection(cert=None):
    context = SSL.Context(SSL.TLS_METHOD)
    if cert:
        context.use_certificate_file(cert)
        context.use_privatekey_file(cert)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return SSL.Connection(context, None)

def step(one, data):
    if data:
        one.bio_write(data)
    try:
        one.do_handshake()
    except SSL.WantReadError:
        pass
    try:
        return one.bio_read(65536)
    except SSL.WantReadError:
        return b""

server, client = connection(sys.argv[1]), connection()
server.set_accept_state()
client.set_connect_state()
finished = step(client, step(server, step(client, b"")))
print(len(step(server, finished)), server.get_protocol_version_name(), os.environ.get("OPENSSL_CONF"))
"""


def sent_after_the_handshake(directory: Path, **environment: str) -> list[str]:
    issued = LabAuthority("lab").issue("sbc.example")
    pem = directory / "server.pem"
    pem.write_bytes(issued.key_pem + issued.chain_pem)
    argv = [sys.executable, "-c", AFTER_THE_HANDSHAKE, str(pem)]
    clean = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
    done = subprocess.run(argv, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_no_ticket_follows_the_handshake_and_the_environment_is_as_it_was(tmp_path: Path) -> None:
    assert sent_after_the_handshake(tmp_path) == ["0", "TLSv1.3", "None"]


@pytest.mark.parametrize("tickets", [1, 2])
def test_an_operators_own_settings_stay(tmp_path: Path, tickets: int) -> None:
    own = tmp_path / "own.cnf"
    own.write_text(f"openssl_conf=a\n[a]\nssl_conf=b\n[b]\nsystem_default=c\n[c]\nNumTickets={tickets}\n")
    count, version, left = sent_after_the_handshake(tmp_path, OPENSSL_CONF=str(own))
    assert int(count) >= 60 * tickets and version == "TLSv1.3" and left == str(own)


@pytest.mark.slow
def test_a_first_request_is_not_held_back_by_our_acknowledgement(tmp_path: Path) -> None:
    """Nagle's algorithm holds a client's request until its Finished is acknowledged: 40 ms, each time.

    Of eight answers one comes before a timer of less than that: a busy machine decides nothing.
    """
    in_time = []
    with attacked(tmp_path) as sbc:
        for _ in range(8):
            tls = sbc.stream()
            tls._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            stream = Stream(tls)
            delayed = gevent.spawn(gevent.sleep, 0.035)
            assert options(stream)
            in_time.append(not delayed.ready())
            stream.close()
    assert any(in_time)
