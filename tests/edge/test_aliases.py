"""A connection that a peer opened and offers for requests to itself (RFC 5923): to whom it is worth that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.attacked import TO, Attacked
from tests.edge.raw_sip import Stream
from tests.peers.asking import ask
from tests.peers.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    attacked = Attacked(tmp_path_factory.mktemp("al"), srtp="accept")
    rules = attacked.directory / "routes.d" / "10-lab.yaml"
    rules.write_text('rules: [{name: back, when: true, then: route "office"}]\n')
    yield attacked
    attacked.unharmed()
    assert attacked.close() == 0


@pytest.fixture
def streams() -> Iterator[list[Stream]]:
    made: list[Stream] = []
    yield made
    for each in made:
        each.close()


def configure(running: Attacked, alias: str = "alias: true", host: str = HOST, names: bool = True) -> None:
    """The office's trunk, whose peer nobody answers at."""
    path = running.directory / "trunks.d" / "office.yaml"
    own = ("alias", "  names", "dial", "peers")
    kept = [each for each in path.read_text().splitlines() if not each.startswith(own)]
    more = [f"peers: [{host}:{running.ports.office}]", "dial_timeout: 1s", alias, ""]
    text = "\n".join([*kept, *more])
    if names:
        text = text.replace("  trust:", "  names: [office.lab.example]\n  trust:")
    path.write_text(text)
    answer = ask(running.directory / "run" / "sbc.sock", "reload")
    assert not answer["broken"], answer


def opened(running: Attacked, streams: list[Stream], port: int = 0, alias: str = ";alias") -> Stream:
    """The office connects, and its OPTIONS has this in its Via."""
    stream = Stream(running.stream())
    streams.append(stream)
    call_id = os.urandom(8).hex()
    via = f"SIP/2.0/TLS office.lab.example:{port or running.ports.office}{alias};branch=z9hG4bK{call_id}"
    stream.send(
        f"OPTIONS sip:{SBC_NAME} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:o@office.lab.example>;tag=1\r\nTo: <sip:{SBC_NAME}>\r\nCall-ID: {call_id}\r\n"
        "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode()
    )
    until(lambda: [each for each in stream.heard if isinstance(each, Response)], "an answer to OPTIONS")
    return stream


def called(running: Attacked) -> AgentCall:
    """A call of the carrier's to the office."""
    return running.carrier.call(running.carrier.dial(running.address, SBC_NAME), TO)


def requests(stream: Stream, method: str) -> list[Request]:
    return [each for each in stream.heard if isinstance(each, Request) and each.method == method]


def test_a_call_goes_over_the_connection_that_the_peer_opened(
    running: Attacked, streams: list[Stream]
) -> None:
    configure(running)
    stream = opened(running, streams)
    placed = called(running)
    (invite,) = until(lambda: requests(stream, "INVITE"), "an INVITE")
    assert ";alias" in (invite.headers.get("Via") or ""), "and ours is offered to it"
    stream.send(serialize(response_to(invite, 486, "", "callee")))
    until(lambda: requests(stream, "ACK"), "an ACK")
    assert placed.wait_over(5) and placed.status == 486
    stream.close()
    gone = called(running)
    assert gone.wait_over(8) and gone.status == 503


@pytest.mark.parametrize(
    ("configured", "offered"),
    [
        ({"alias": ""}, {}),
        ({}, {"alias": ""}),
        ({}, {"port": 7}),
        ({"host": "127.0.0.2"}, {}),
        ({"host": "localhost", "names": False}, {}),
    ],
    ids=["not wanted", "not offered", "another port", "another address", "a name that it does not prove"],
)
def test_no_other_connection_is_taken(
    running: Attacked, streams: list[Stream], configured: dict[str, Any], offered: dict[str, Any]
) -> None:
    configure(running, **configured)
    stream = opened(running, streams, **offered)
    placed = called(running)
    assert placed.wait_over(8) and placed.status == 503
    assert not requests(stream, "INVITE")
