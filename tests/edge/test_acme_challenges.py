"""The HTTP-01 responder answers pending challenges and nothing else, to whomever, for seconds only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gevent import socket

from sbc.base import Address, LocalError
from sbc.net.acme import challenges as acme_challenges
from sbc.net.acme.challenges import PREFIX, Challenges
from sbc.net.system.turn import DISCARDED
from tests.edge.rounds import flood


@pytest.fixture
def challenges() -> Iterator[Challenges]:
    with Challenges(Address("127.0.0.1", 0)) as made:
        made.expect("token", "token.thumbprint")
        yield made


def exchange(challenges: Challenges, request: bytes) -> bytes:
    with socket.create_connection(challenges.address, 30) as sock:
        sock.sendall(request)
        answer = b""
        try:
            while data := sock.recv(4096):
                answer += data
        except ConnectionResetError:
            pass
        return answer


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: sip.acme.example\r\n\r\n".encode()


def test_a_pending_challenge_is_answered(challenges: Challenges) -> None:
    head, _, body = exchange(challenges, get(PREFIX + "token")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"token.thumbprint"


@pytest.mark.parametrize(
    "request_",
    [
        get("/"),
        get(PREFIX),
        get(PREFIX + "tok"),
        get(PREFIX + "token/"),
        get(PREFIX + "../acme-challenge/token"),
        get("/token"),
        get(PREFIX + "token", "POST"),
        get(PREFIX + "token", "PUT"),
    ],
)
def test_anything_else_is_an_empty_404(challenges: Challenges, request_: bytes) -> None:
    head, _, body = exchange(challenges, request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert body == b""


@pytest.mark.parametrize("rubbish", [b"\x16\x03\x01\x02\x00\x01", b"GET " + b"x" * 100_000, b"\r\n" * 5000])
def test_rubbish_gets_no_answer_that_matters(challenges: Challenges, rubbish: bytes) -> None:
    assert b"thumbprint" not in exchange(challenges, rubbish + b"\r\n\r\n")
    assert exchange(challenges, get(PREFIX + "token")).endswith(b"token.thumbprint")


def test_who_says_nothing_is_gone_in_time(challenges: Challenges, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acme_challenges, "LIFE", 0.2)
    assert exchange(challenges, b"GET /") == b""


def test_a_body_that_never_ends_is_not_waited_for(
    challenges: Challenges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acme_challenges, "LIFE", 0.2)
    endless = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nx"
    assert b"thumbprint" not in exchange(challenges, endless)


def test_it_is_bound_only_while_it_is_needed() -> None:
    with Challenges(Address("127.0.0.1", 0)) as made:
        address = made.address
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 1)


def test_a_port_that_is_taken_is_said_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalError, match=r"cannot bind 127.0.0.1:\d+ for HTTP-01: .* set acme.listen"):
            with Challenges(Address("127.0.0.1", port)):
                pass


def test_a_body_in_tiny_chunks_is_not_read(challenges: Challenges, tmp_path: Path) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with flood(tmp_path, challenges.address, head, b"1\r\nx\r\n" * 100_000, 1 << 30) as attacker:
        assert exchange(challenges, get(PREFIX + "token")).endswith(b"token.thumbprint")
        assert attacker.sent() < DISCARDED + (24 << 20)
