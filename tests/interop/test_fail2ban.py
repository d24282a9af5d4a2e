"""fail2ban reads the journal: its filter finds who attacks, and nobody is banned by what a peer writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from gevent import socket

from sbc.b2bua.commands import Note
from sbc.base import Address
from sbc.demo.lab import HOST
from sbc.observe.journal import Journal
from tests.edge.attacked import attacked
from tests.edge.raw_sip import Datagrams
from tests.edge.sbc_command import ROOT
from tests.peers.needs import needs
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

FILTER = ROOT / "packaging" / "fail2ban" / "portcullis.filter"


def found(log: Path, directory: Path) -> list[str]:
    """The addresses that the filter finds, a time each."""
    needs("fail2ban-regex")
    rules = directory / "portcullis.conf"
    rules.write_text(FILTER.read_text())
    done = subprocess.run(
        ["fail2ban-regex", "-o", "ip", str(log), str(rules)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_whose_handshakes_fail_is_found_in_a_real_journal(tmp_path: Path) -> None:
    with attacked(tmp_path / "sbc") as running:
        for _ in range(2):
            with socket.create_connection((HOST, running.ports.sips), 30) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                stranger.recv(1000)
        datagram = Datagrams(Address(HOST, running.udp))
        datagram.send(b"INVITE nothing\r\n\r\n")
        running.lines("[malformed]")
        running.lines("[tls-refused]", count=2)
        datagram.close()
        hosts = until(lambda: found(running.sbc.log, tmp_path), holds=lambda hosts: len(hosts) >= 2)
    assert hosts == ["127.0.0.1", "127.0.0.1"], "the datagram's sender may be forged, and does not count"


FOUR, SIX = "203.0.113.7:5060", "[2001:db8::7]:5061"
LINES = (
    ("phone-refused", {"user": "alice", "remote": FOUR, "transport": "tcp", "status": 401}, True),
    ("phone-refused", {"user": "alice", "remote": SIX, "transport": "tls", "status": 404}, True),
    ("phone-refused", {"user": "alice", "remote": FOUR, "transport": "udp", "status": 401}, False),
    ("phone-refused", {"user": "alice", "remote": FOUR, "transport": "tls", "status": 423}, False),
    ("malformed", {"remote": FOUR, "transport": "tls", "reason": "no SIP"}, True),
    ("malformed", {"remote": FOUR, "transport": "udp", "reason": "no SIP"}, False),
    ("phone-registered", {"user": "alice", "remote": FOUR, "transport": "tls"}, False),
)


@pytest.mark.parametrize(("event", "fields", "counts"), LINES)
def test_what_counts(tmp_path: Path, event: str, fields: dict[str, object], counts: bool) -> None:
    lines: list[str] = []
    Journal(lines.append).note(Note(event, "", fields), 1_780_000_000.0)
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    hosts = found(tmp_path / "log", tmp_path)
    assert hosts == ([str(fields["remote"]).rpartition(":")[0].strip("[]")] if counts else [])


@pytest.mark.parametrize(
    "user",
    [
        "x remote=198.51.100.9:5060 transport=tls status=401",
        'x" remote=198.51.100.9:5060 transport=tls status=401 y="',
        'x\\" remote=198.51.100.9:5060 transport=tls status=401',
        "x\n2026-05-01T10:00:00.250Z WRN [phone] event=phone-refused remote=198.51.100.9:5060"
        " transport=tls status=401",
    ],
)
def test_a_name_that_looks_like_a_line_bans_nobody_else(tmp_path: Path, user: str) -> None:
    lines: list[str] = []
    fields = {"user": user, "remote": "203.0.113.7:5060", "transport": "tls", "status": 401}
    Journal(lines.append).note(Note("phone-refused", "", fields), 1_780_000_000.0)
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    assert found(tmp_path / "log", tmp_path) == ["203.0.113.7"]
