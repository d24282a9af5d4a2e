"""Floods of messages at listeners that are open to all: bounded, told in few lines, and over when they go."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from bench.flooder import KEEPALIVES, KINDS
from tests.edge.open_ports import Open, open_to_all
from tests.edge.test_phones import Caller
from tests.peers.asking import ask
from tests.peers.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.waits]


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_floods_of_every_method_leave_the_trusted_alone_and_are_few_lines(tmp_path: Path, kind: str) -> None:
    """Each as fast as this process sends it."""
    with open_to_all(tmp_path, patience=5) as sbc:
        _flood(sbc, kind)
        sbc.forgets()
        status = sbc.status()
        counts = {each["cap"]: each["refused"] for each in status["caps"]}
        assert counts["caps.challenges_per_source"] > 500
        assert not [each for each in status["caps"] if each["trunk"] in ("office", "carrier")]
        assert not status["load"]["overloaded_since"]
        about = [line for line in sbc.log() if " WRN " in line or " ERR " in line]
        assert len(about) < 60, "of five thousand messages\n" + "\n".join(about[:80])


def _flood(sbc: Open, kind: str) -> None:
    with ExitStack() as stack:
        for word, template in KINDS.items():
            if word == KEEPALIVES:
                continue
            sock = _speaker(sbc, kind, stack)
            named = template.replace(b"SIP/2.0/TLS", f"SIP/2.0/{kind}".encode())
            for number in range(500):
                try:
                    sock.send(named.replace(b"@@", b"%d" % number))
                except OSError:  # thrown out, for what it says
                    sock = _speaker(sbc, kind, stack)
                if number % 100 == 99:
                    gevent.sleep(0)
            sbc.trusted_call()


DENIED = "rules:\n  - deny: {address: 127.0.8.1}\n    force: true\n"


def test_a_rule_that_is_written_while_it_floods_ends_a_flood(tmp_path: Path) -> None:
    """A file that is broken meanwhile changes nothing, and who was denied is heard again by another rule."""
    rules = tmp_path / "acl.d" / "10.yaml"
    rules.parent.mkdir()
    rules.write_text("rules:\n  - deny: {address: 198.51.100.1}\n")
    with open_to_all(tmp_path, "acl: acl.d\n") as sbc, ExitStack() as stack:
        datagrams, stream = _speaker(sbc, "udp", stack), _speaker(sbc, "tcp", stack)
        flood = gevent.spawn(_says_without_end, datagrams, stream)
        until(lambda: _answered(datagrams), "the flood is answered")
        rules.write_text(DENIED)
        _reload(sbc)  # unless it was noticed already
        until(lambda: _is_over(stream), "its connection is closed")
        _forget(datagrams)
        assert Caller("alice", sbc.alice("udp"), "UDP").says().status == 401
        rules.write_text(DENIED.replace("127.0.8.1", "127.0.8.1.9"))
        assert not _reload(sbc)["changed"]
        sbc.trusted_call()
        assert not _answered(datagrams), "nothing of it was answered any more"
        rules.write_text("rules:\n  - deny: {address: 198.51.100.2}\n")
        _reload(sbc)  # unless it was noticed already
        until(lambda: _answered(datagrams), "it is heard again")
        flood.kill()
        sbc.forgets()


OPTIONS = KINDS["OPTIONS"].replace(b"SIP/2.0/TLS flooder.lab.example:5061;", b"SIP/2.0/UDP 127.0.8.1;rport;")


def _says_without_end(*socks: Any) -> None:
    number = 0
    while True:
        for sock in socks:
            number += 1
            with suppress(OSError):
                sock.send(OPTIONS.replace(b"@@", b"%d" % number))
        gevent.sleep(0.002)


def _answered(sock: Any) -> bool:
    sock.settimeout(0)
    with suppress(OSError):
        return bool(sock.recv(65535))
    return False


def _forget(sock: Any) -> None:
    """What was answered before this is of no interest."""
    while _answered(sock):
        pass


def _is_over(sock: Any) -> bool:
    sock.settimeout(0)
    try:
        return not sock.recv(65535)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _reload(sbc: Open) -> Any:
    return ask(sbc.directory / "run" / "sbc.sock", "reload")


def _speaker(sbc: Open, kind: str, stack: ExitStack) -> Any:
    if kind == "tcp":
        sock = sbc.opened("tcp", "127.0.8.1", stack)
        assert sock is not None
        return sock
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stack.callback(sock.close)
    sock.bind(("127.0.8.1", 0))
    sock.connect(sbc.address("udp"))
    return sock
