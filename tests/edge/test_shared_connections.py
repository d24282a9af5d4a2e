"""What ends a connection that many calls share, and what does not: refused messages, silence, keepalives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent import socket

from sbc.net.transport import sweep
from sbc.net.transport.connection import BARREN
from sbc.sip.message import Response
from tests.edge.attacked import TO, attacked
from tests.edge.raw_sip import Reluctant, Stream
from tests.edge.tls_lab import OK, OPTIONS, Lab
from tests.peers.waiting import until, until_equal


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.recorder.answer = OK
    yield made
    made.close()


def start(lab: Lab, **options: Any) -> None:
    lab.listener("edge", "tcp", **options)
    lab.trunk("acme", listener="edge", sources=("127.0.0.1",))
    lab.start()


@pytest.mark.parametrize("wrong", [b"X: \x01", b"X: \0", b"X: \x7f", b"X: a\nb", b"no colon here"])
def test_a_message_that_is_refused_leaves_the_connection_to_the_others(lab: Lab, wrong: bytes) -> None:
    """Three calls ring on it; a fourth INVITE has an octet that no header field has."""
    start(lab)
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS + OPTIONS.replace(b"Max-Forwards: 70", wrong) + OPTIONS)
        until_equal(lambda: len(lab.recorder.messages), 2)
        assert len(lab.recorder.malformed) == 1 and not lab.recorder.closed


@pytest.mark.slow
def test_who_sends_nothing_but_refused_messages_is_given_up(lab: Lab) -> None:
    start(lab)
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS.replace(b"Max-Forwards: 70", b"no colon here") * (BARREN + 1))
        until(lambda: lab.recorder.closed)
    assert "malformed messages" in lab.recorder.closed[0][1]


class PlayedChannel:
    """Stands where a StreamChannel stands before the sweep."""

    def __init__(self) -> None:
        self.heard, self.last_heard, self.ponged = False, 0.0, False
        self.pinged_at: float | None = None
        self.did: list[str] = []

    def send(self, data: bytes) -> None:
        self.did.append(f"send {data!r}")

    def abort(self, reason: str) -> None:
        self.did.append("abort")


def swept(
    ponged: bool, outbound: bool, idle: float = 600.0, hear_at: float | None = None
) -> list[tuple[float, str]]:
    played: Any = PlayedChannel()
    played.ponged = ponged
    log: list[tuple[float, str]] = []
    for step in range(1, 41):
        now = step * 2.5
        played.heard = now == hear_at
        if sweep.check(played, now, idle, outbound):
            log.append((now, "close"))
        log += [(now, did) for did in played.did]
        played.did.clear()
    return log


PING = "send b'\\r\\n\\r\\n'"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ponged": True, "outbound": True}, [(25.0, PING), (35.0, "abort")]),
        ({"ponged": True, "outbound": True, "hear_at": 27.5}, [(25.0, PING), (52.5, PING), (62.5, "abort")]),
        ({"ponged": False, "outbound": True}, [(25.0, PING), (50.0, PING), (75.0, PING), (100.0, PING)]),
        ({"ponged": False, "outbound": False}, []),
        ({"ponged": False, "outbound": False, "idle": 30.0, "hear_at": 20.0}, [(50.0, "close")]),
    ],
)
def test_the_sweep(options: dict[str, Any], expected: list[tuple[float, str]]) -> None:
    log = swept(**options)
    ends = next((index for index, (_, did) in enumerate(log) if did != PING), len(log))
    assert log[: ends + 1] == expected


def test_an_idle_connection_is_closed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PERIOD", 0.05)
    start(lab, idle_timeout=0.2)
    with socket.create_connection(lab.address("edge")) as peer:
        assert peer.recv(1) == b""
    until(lambda: lab.recorder.closed)
    assert "idle" in lab.recorder.closed[0][1]


def test_a_connection_that_a_call_is_on_is_not_idle(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot be dialled says nothing while a call is up, and the BYE still has to reach it."""
    monkeypatch.setattr(sweep, "PERIOD", 0.01)
    start(lab, idle_timeout=0.05)
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS)
        until(lambda: lab.recorder.messages)
        lab.recorder.busy_flows.add(lab.recorder.messages[0][0].id)
        assert peer.recv(len(OK)) == OK
        asked = lab.recorder.in_use_asked
        until(lambda: lab.recorder.closed or lab.recorder.in_use_asked > asked + 3)
        assert not lab.recorder.closed
        lab.recorder.busy_flows.clear()
        assert peer.recv(1) == b""
    until(lambda: lab.recorder.closed)
    assert "idle" in lab.recorder.closed[0][1]


def test_a_pong_is_remembered(lab: Lab) -> None:
    start(lab)
    with socket.create_connection(lab.address("edge")) as peer:
        until(lambda: lab.recorder.opened)
        peer.sendall(b"\r\n")
        until(lambda: lab.recorder.opened[0].channel.ponged)


class Patient(Reluctant):
    """Rings long enough for somebody else's mistake, then is busy."""

    patience = 2.0


def _invite(number: int, name: str = '"Alice"') -> bytes:
    return (
        f"INVITE {TO.replace('0100', '0199')} SIP/2.0\r\n"
        f"Via: SIP/2.0/TLS office.lab.example:5061;rport;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n"
        f"From: {name} <sip:alice@office.lab.example>;tag={number}\r\nTo: <{TO}>\r\n"
        f"Call-ID: shared-{number}\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@office.lab.example:5061>\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


@pytest.mark.slow
def test_calls_that_ring_outlive_a_bad_message_of_another(tmp_path: Path) -> None:
    """The trunk's connection is one; what one telephone behind it does wrong is no other call's affair."""
    with attacked(tmp_path, srtp="accept", carrier=Patient) as sbc:
        trunk = Stream(sbc.stream())

        def statuses(number: int, least: int) -> list[int]:
            heard = [each for each in trunk.heard if isinstance(each, Response) and each.status >= least]
            return [each.status for each in heard if each.headers.get("Call-ID") == f"shared-{number}"]

        for number in range(3):
            trunk.send(_invite(number))
        for number in range(3):
            until(lambda number=number: 180 in statuses(number, 101))  # type: ignore[misc]
        trunk.send(_invite(3, '"Al\x01ice"'))
        until_equal(lambda: statuses(3, 200), [400])
        for number in range(3):
            until_equal(lambda number=number: statuses(number, 200), [486])  # type: ignore[misc]
        assert not trunk.closed
        trunk.close()
