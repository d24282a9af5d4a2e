"""SIGTERM: no call begins any more, those that run end by themselves, and after ``drain`` they are ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sbc.sip.dialog import Dialog
from sbc.sip.message import Response, serialize
from tests.edge.attacked import Attacked, attacked
from tests.edge.sbc_command import sbc
from tests.edge.test_full_disk import health
from tests.edge.test_udp_calls import Gateway, final_of, request_of, via_of
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

WHY = 'SIP;cause=503;text="the SBC is shutting down"'
In = Callable[[str], "Talk"]


class Talk:
    """A call between two gateways, through an SBC that is told to stop."""

    def __init__(self, running: Attacked, drain: str) -> None:
        self.running = running
        path = running.directory / "sbc.yaml"
        path.write_text(f"{path.read_text()}drain: {drain}\n")
        self.gateway = Gateway(running)
        self.near, self.far = self.gateway.invite()
        self.gateway.caller.heard.clear()

    def told(self, number: int = signal.SIGTERM) -> None:
        """The process gets a signal."""
        os.kill(self.running.sbc.pid, number)

    def draining(self) -> None:
        """It is told to stop, and waits for this call."""
        self.told()
        assert self.running.lines("[drain]", calls="1")

    def final_of_another(self) -> Response:
        """What a new call gets."""
        caller = self.gateway.caller
        caller.heard.clear()
        caller.send(serialize(request_of(caller)))
        found = until(lambda: final_of(caller))
        assert found is not None
        return found

    def says(self, dialog: Dialog, method: str) -> None:
        """The callee says something within the call."""
        callee = self.gateway.callee
        callee.send(serialize(dialog.request(method, via=via_of(callee), contact="")))

    def ended(self) -> dict[str, Any]:
        """The process ends by itself, and well; the record of the call, which is the only one."""
        status = until(self.running.sbc.ended, holds=lambda status: status is not None)
        assert status == 0, self.running.log()[-2000:]
        (record,) = self.running.records(1)
        return record


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[In]:
    with attacked(tmp_path, srtp="accept") as running:
        made: list[Talk] = []

        def begin(drain: str) -> Talk:
            made.append(Talk(running, drain))
            return made[0]

        yield begin
        for each in made:
            each.gateway.close()


def test_a_call_ends_by_itself_and_then_the_process(begun: In) -> None:
    talk = begun("60s")
    talk.draining()
    refused = talk.final_of_another()
    assert refused.status == 503 and int(str(refused.headers.get("Retry-After"))) > 0
    assert health(talk.running)["status"] == "draining", "a load balancer sends calls elsewhere"
    assert "draining" in sbc(talk.running.directory, "status").out
    talk.says(talk.far, "INFO")
    talk.gateway.hears(talk.gateway.caller, "INFO")  # what is within the call goes on
    talk.says(talk.far, "BYE")
    talk.gateway.hears(talk.gateway.caller, "BYE")
    assert talk.ended()["ended_by"] == "callee"
    assert talk.running.lines("[drain]", event="over", calls="0") and talk.running.lines("[stop]")


def test_a_call_that_does_not_end_is_ended_and_both_sides_hear_why(begun: In) -> None:
    talk = begun("1s")
    talk.draining()
    for peer in (talk.gateway.caller, talk.gateway.callee):
        assert talk.gateway.hears(peer, "BYE").headers.get("Reason") == WHY
    assert talk.ended()["ended_by"] == "us"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(begun: In, second: int) -> None:
    talk = begun("1h")
    talk.draining()
    talk.told(second)
    assert talk.gateway.hears(talk.gateway.callee, "BYE").headers.get("Reason") == WHY
    assert talk.ended()["ended_by"] == "us"


def test_at_a_terminal_it_ends_at_once(begun: In) -> None:
    talk = begun("1h")
    talk.told(signal.SIGINT)
    assert talk.ended()["ended_by"] == "us"


def test_without_calls_it_ends_at_once(tmp_path: Path) -> None:
    with attacked(tmp_path) as running:
        os.kill(running.sbc.pid, signal.SIGTERM)
        assert until(running.sbc.ended, holds=lambda status: status is not None) == 0
        assert running.lines("[drain]", event="over", calls="0")
