"""What an agent says to requests that a call's ordinary course does not bring."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.demo.agent import Agent
from sbc.demo.call import AgentCall
from sbc.demo.link import Link
from sbc.demo.pki import write_lab
from sbc.demo.tls import Credentials
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response
from tests.peers.waiting import until

CARRIER = "carrier.lab.example"


class Pair:
    """An office that is connected to a carrier."""

    def __init__(self, tls: Path) -> None:
        self.office = self._agent(tls, "office", tls / "carrier-ca.pem")
        self.carrier = self._agent(tls, "carrier", tls / "lab-ca.pem")
        self.link: Link = self.office.dial(self.carrier.listen(), CARRIER)

    @staticmethod
    def _agent(tls: Path, name: str, trust: Path) -> Agent:
        return Agent(
            name, f"{name}.lab.example", trust, Credentials(tls / f"{name}.pem", tls / f"{name}.key")
        )

    def call(self) -> tuple[AgentCall, AgentCall]:
        call = self.office.call(self.link, f"sip:100@{CARRIER}")
        assert call.wait_up(30)
        answered = self.carrier.incoming.get(timeout=30)
        assert answered.wait_up(30)
        return call, answered

    def ask(self, method: str, **changes: str) -> Response:
        """Send a request outside of any dialog from the office; the answer to it."""
        names = {"To": f"<sip:100@{CARRIER}>", "Call-ID": f"{method}-1"} | changes
        headers = Headers(
            [
                ("Via", f"SIP/2.0/TLS {self.link.stream.local};branch=z9hG4bK{method}"),
                ("From", "<sip:office@office.lab.example>;tag=1"),
                *names.items(),
                ("CSeq", f"1 {method}"),
            ]
        )
        self.link.send(Request(method, f"sip:100@{CARRIER}", headers))
        return self.answer_to(method, 1)

    def answer_to(self, method: str, number: int) -> Response:
        """The final answer that the office received to its request."""

        def answers() -> list[Response]:
            heard = [each.message for each in self.office.record if not each.outgoing]
            finals = [each for each in heard if isinstance(each, Response) and each.status >= 200]
            return [each for each in finals if str(each.cseq) == f"{number} {method}"]

        return until(answers, f"an answer to {method}")[0]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    write_lab(tmp_path, time.time())
    made = Pair(tmp_path / "tls")
    yield made
    made.office.close()
    made.carrier.close()


def test_a_probe_is_answered(pair: Pair) -> None:
    answer = pair.ask("OPTIONS")
    assert answer.status == 200 and answer.to_tag


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "INFO"])
def test_a_request_of_no_call_is_481(pair: Pair, method: str) -> None:
    assert pair.ask(method).status == 481


def test_a_reinvite_is_answered_with_the_same_keys(pair: Pair) -> None:
    call, _ = pair.call()
    first = pair.answer_to("INVITE", 1).body
    again = call.request("INVITE")
    again.headers.set("Content-Type", "application/sdp")
    again.headers.set("Contact", call.party.contact)
    again.body = call.invite.body
    call.link.send(again)
    assert pair.answer_to("INVITE", again.cseq.number).body == first


def test_a_method_that_an_agent_does_not_know_is_501(pair: Pair) -> None:
    call, _ = pair.call()
    unknown = call.request("SUBSCRIBE")
    call.link.send(unknown)
    assert pair.answer_to("SUBSCRIBE", unknown.cseq.number).status == 501


def test_two_calls_on_one_connection_do_not_mix(pair: Pair) -> None:
    first, first_answered = pair.call()
    second, second_answered = pair.call()
    first.hang_up()
    assert first.wait_over(30) and first_answered.wait_over(30)
    assert second.state == second_answered.state == "up"
    second_answered.hang_up()
    assert second.wait_over(30) and second.ended_by == "peer"


def test_a_connection_that_goes_away_is_noticed(pair: Pair) -> None:
    assert pair.link.open
    pair.carrier.close()
    assert pair.link.wait_closed(30) and not pair.link.open
