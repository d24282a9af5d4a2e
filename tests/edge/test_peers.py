"""Two servers of one trunk on mutual TLS: whatever the first fails with, the call goes to the second."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import pytest

from sbc.base import Address
from sbc.commands.status_text import render
from sbc.demo.agent import Agent
from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.link import Link
from sbc.demo.voice import VoiceSettings
from sbc.sip.message import Message, Request, response_to
from tests.edge.attacked import TO, Attacked
from tests.peers.asking import ask
from tests.peers.ports import free_port
from tests.peers.waiting import until_equal

pytestmark = pytest.mark.slow


class Overloaded(Agent):
    """A server that asks for an hour's rest instead of taking a call."""

    def _on_invite(self, link: Link, request: Request) -> None:
        response = response_to(request, 503, "", "busy")
        response.headers.add("Retry-After", "3600")
        link.send(response)


class Mute(Agent):
    """A server that shakes hands and says nothing more."""

    def _receive(self, link: Link, message: Message) -> None:
        """Hear it, and that is all."""


class Maintained(Agent):
    """A server that is taken out of service: it says so when it is asked."""

    def _on_request(self, link: Link, call: AgentCall | None, request: Request) -> None:
        if request.method == "OPTIONS":
            link.send(response_to(request, 503, "", "probe"))
        else:
            super()._on_request(link, call, request)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    attacked = Attacked(tmp_path_factory.mktemp("pe"))
    yield attacked
    attacked.unharmed()
    assert attacked.close() == 0


def trunk_of_two(running: Attacked, first: int, more: str = "", words: str = "") -> None:
    """Give the carrier's trunk a first server on the port ``first``; the second is the one it always had.

    ``more`` are lines of the trunk, ``words`` what its file says of the first server.
    """
    path = running.directory / "trunks.d" / "carrier.yaml"
    lines = [
        each for each in path.read_text().splitlines() if not each.startswith(("peers", "options", "resp"))
    ]
    peers = f"peers: [{{host: {HOST}, port: {first}{words}}}, {HOST}:{running.ports.carrier}]"
    timeout = "" if "response_timeout" in more else "response_timeout: 1s"
    path.write_text("\n".join([*lines, peers, timeout, more, ""]))
    answer = ask(running.directory / "run" / "sbc.sock", "reload")
    assert answer["changed"] and not answer["broken"], answer


@contextmanager
def first_server(
    running: Attacked, kind: Callable[..., Agent], shows: str = "carrier", more: str = "", words: str = ""
) -> Iterator[Agent]:
    """The trunk's first server, while the block lasts; ``shows`` names its certificate."""
    agent = running.agent(kind, shows, VoiceSettings(660))
    port = free_port()
    agent.listen(port)
    try:
        trunk_of_two(running, port, more, words)
        yield agent
    finally:
        agent.close()


def status_of(running: Attacked) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole status, and what it says of the carrier's trunk."""
    status = ask(running.directory / "run" / "sbc.sock", "status")
    (trunk,) = (each for each in status["trunks"] if each["name"] == "carrier")
    return status, trunk


def page(running: Attacked, path: str) -> str:
    """What the admin port shows."""
    with urlopen(f"http://{HOST}:{running.ports.admin}{path}", timeout=5) as answer:
        text: bytes = answer.read()
    return text.decode()


def call(running: Attacked) -> tuple[AgentCall, AgentCall]:
    """A call of the office's that the second server takes: its two ends."""
    link = running.office.dial(running.address, SBC_NAME)
    placed = running.office.call(link, TO)
    assert placed.wait_up(8), (placed.status, placed.reason, running.log()[-2000:])
    taken = running.carrier.incoming.get(timeout=3)
    assert taken.wait_up(3)
    return placed, taken


def ended(running: Attacked, placed: AgentCall, taken: AgentCall) -> dict[str, Any]:
    """Hang up; the record of the call."""
    placed.hang_up()
    assert placed.wait_over(3) and taken.wait_over(3)
    assert taken.ended_by == "peer"
    return running.record_of(placed.call_id)


def heard(agent: Agent, method: str) -> list[Any]:
    return [
        each for each in agent.record if not each.outgoing and getattr(each.message, "method", "") == method
    ]


def calls_go_to_the_second(running: Attacked) -> None:
    record = ended(running, *call(running))
    assert record["b"]["peer"] == f"{HOST}:{running.ports.carrier}"
    assert (record["b"]["trunk"], record["status"]) == ("carrier", 200)


def test_a_503(running: Attacked) -> None:
    with first_server(running, Overloaded) as first:
        calls_go_to_the_second(running)
        assert len(heard(first, "INVITE")) == 1 and len(heard(first, "ACK")) == 1
        calls_go_to_the_second(running)
        assert len(heard(first, "INVITE")) == 1, "it rests"
        address = str(Address(HOST, first.links[0].stream.local.port))
        status, trunk = status_of(running)
        (peer,) = (each for each in trunk["peer_states"] if each["address"] == address)
        assert peer["state"] == "resting" and peer["reason"] == "503 Service Unavailable"
        # To the second: five minutes, and not the hour that it asked for.
        assert status["now"] < peer["rests_until"] <= status["now"] + 301
        (told,) = running.lines("event=peer-rests", peer=address)
        assert told["seconds"] == "300"
        shown = render("status", status)
        assert any(address in line and "resting" in line and "until" in line for line in shown.splitlines())
        labels = f'trunk="carrier",peer="{address}"'
        (told_until,) = re.findall(
            rf"sbc_peer_rests_until_seconds{{{labels}}} (.+)", page(running, "/metrics")
        )
        assert abs(float(told_until) - peer["rests_until"]) <= 1
        assert "resting" in page(running, "/")


def test_where_each_peer_rests_the_caller_is_answered_at_once(running: Attacked) -> None:
    with first_server(running, Overloaded) as first:
        path = running.directory / "trunks.d" / "carrier.yaml"
        path.write_text(path.read_text().replace(f", {HOST}:{running.ports.carrier}]", "]"))
        assert ask(running.directory / "run" / "sbc.sock", "reload")["changed"]
        for _ in range(2):
            link = running.office.dial(running.address, SBC_NAME)
            refused = running.office.call(link, TO)
            assert refused.wait_over(8) and refused.status == 503
        assert len(heard(first, "INVITE")) == 1
        assert status_of(running)[1]["state"] == "resting"
        (told,) = running.lines("event=hop-refused")
        assert "no peer takes calls" in told["reason"]


def test_a_servers_own_time_for_a_first_response(running: Attacked) -> None:
    with first_server(running, Mute, more="response_timeout: 60s", words=", try_for: 500ms") as first:
        calls_go_to_the_second(running)
        assert len(heard(first, "INVITE")) == 1


def test_silence_after_the_handshake(running: Attacked) -> None:
    with first_server(running, Mute) as first:
        calls_go_to_the_second(running)
        assert len(heard(first, "INVITE")) == 1
        calls_go_to_the_second(running)
        assert len(heard(first, "INVITE")) == 1, "not every call waits for it"


def test_a_refused_connection(running: Attacked) -> None:
    trunk_of_two(running, free_port())
    calls_go_to_the_second(running)


def test_a_certificate_of_another_authority(running: Attacked) -> None:
    with first_server(running, Agent, shows="office") as first:
        calls_go_to_the_second(running)
        assert not first.record


def test_a_probe_that_is_answered_with_503(running: Attacked) -> None:
    with first_server(running, Maintained, more="options: {every: 1s, down_after: 1}") as first:

        def states() -> list[str]:
            trunk = status_of(running)[1]
            return [trunk["state"], *(each["state"] for each in trunk["peer_states"])]

        until_equal(states, ["up", "down", "up"])
        calls_go_to_the_second(running)
        assert not heard(first, "INVITE"), "one that is down is passed over"
        downs = [each["peer"] for each in running.lines("event=peer-down")]
        assert downs == [str(Address(HOST, first.links[0].stream.local.port))]
        assert not any("event=trunk-down" in line for line in running.log().splitlines())


def test_a_bye_after_a_lost_connection_goes_to_the_server_that_has_the_call(running: Attacked) -> None:
    with first_server(running, Overloaded) as first:
        placed, taken = call(running)
        taken.link.stream._connection.shutdown()
        assert taken.link.wait_closed(3), "the SBC has seen the end of the connection"
        record = ended(running, placed, taken)
        assert not heard(first, "BYE"), json.dumps(record)
