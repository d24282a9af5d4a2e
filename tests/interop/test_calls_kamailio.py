"""Kamailio as a carrier between the SBC and the callee: mutual TLS on every stretch, Record-Route.

The carrier stays in the dialog, so requests from the caller must go through its route set, and
the callee's come back through it. Bob also tries the SBC's Contact on his own, as PJSIP does; he is
not the carrier, which his certificate tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.interop.rig import (
    Far,
    Rig,
    assert_hidden,
    assert_secure,
    hears_lately,
    identity_of,
    log_size,
    messages,
    once_idle,
    talk,
)
from tests.peers.kamailio import Kamailio, KamailioSettings
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.tone import heard

pytestmark = pytest.mark.interop

LOW, HIGH = 440.0, 1000.0
ALICE = "127.0.0.2"


@dataclass(slots=True)
class Carried:
    """Alice, the SBC, the carrier, Bob."""

    rig: Rig
    alice: Pjsip
    bob: Pjsip
    carrier: Kamailio
    logs: tuple[int, int] = (0, 0)

    def connect(self) -> tuple[int, int]:
        """Alice calls, Bob answers."""
        self.alice.events.clear()
        self.bob.events.clear()
        self.logs = log_size(self.alice), log_size(self.bob)
        call = self.alice.call(self.rig.number())
        there = self.bob.expect("incoming")["call"]
        self.bob.answer(there)
        self.alice.expect_state(call, "CONFIRMED")
        self.bob.expect_state(there, "CONFIRMED")
        return call, there

    def over(self, call: int, there: int) -> dict[str, Any]:
        """Both ends have seen the call end, neither has learnt of the other; its record."""
        self.alice.expect_state(call, "DISCONNECTED")
        self.bob.expect_state(there, "DISCONNECTED")
        seen = messages(self.alice, "RX", self.logs[0]), messages(self.bob, "RX", self.logs[1])
        sent = messages(self.alice, "TX", self.logs[0]), messages(self.bob, "TX", self.logs[1])
        assert_hidden(seen[1], identity_of(sent[0], self.alice))
        assert_hidden(seen[0], {**identity_of(sent[1], self.bob), "carrier": f":{self.carrier.port}"})
        assert "Record-Route" not in seen[0]
        return self.rig.record()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carried]:
    needs("pjsua2", "kamailio")
    rig = Rig(tmp_path_factory.mktemp("carried"))
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0)
    bob = rig.pjsip("bob", "127.0.0.1", LOW, answer=0)
    settings = KamailioSettings(
        bob.port, credentials=rig.lab.issue("carrier"), ca=rig.lab.ca(), record_route=True
    )
    rig.warned += r"|\[tls-refused\] kind=name-mismatch .* presented=CN=bob\.lab\.example .*"
    carrier = Kamailio("carrier", rig.root / "carrier", settings)
    far = Far("carrier", carrier.port)
    with rig.running(Far("alice", alice.port, ALICE), far, alice, bob, carrier):
        yield Carried(rig, alice, bob, carrier)


@pytest.fixture
def carried(shared: Carried) -> Iterator[Carried]:
    yield shared
    shared.rig.check_log()


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_call_through_a_carrier_is_heard_and_hung_up(carried: Carried, who: str) -> None:
    call, there = carried.connect()
    talk((carried.alice, call), (carried.bob, there))
    if who == "caller":
        carried.alice.hangup(call)
    else:
        carried.bob.hangup(there)
    record = carried.over(call, there)
    assert heard(carried.alice.recording(call), LOW)
    assert heard(carried.bob.recording(there), HIGH)
    assert_secure(record["a"], "alice")
    assert_secure(record["b"], "carrier")
    assert (record["status"], record["ended_by"]) == (200, who)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_hold_and_resume_through_a_carrier(carried: Carried, who: str) -> None:
    call, there = carried.connect()
    ends = [(carried.alice, call), (carried.bob, there)]
    (holder, own), (held, its) = ends if who == "caller" else ends[::-1]
    talk(*ends, packets=10)
    for agent, number in ends:
        agent.expect("media", call=number)
    once_idle(holder, lambda: holder.hold(own))
    assert held.expect("media", call=its)["direction"] == 2
    holder.expect("media", call=own)
    once_idle(holder, lambda: holder.reinvite(own))
    assert held.expect("media", call=its)["direction"] == 3
    assert holder.expect("media", call=own)["direction"] == 3
    talk(*ends)
    carried.bob.hangup(there)
    record = carried.over(call, there)
    assert hears_lately(carried.alice.recording(call), LOW)
    assert hears_lately(carried.bob.recording(there), HIGH)
    assert_secure(record["a"], "alice")
    assert_secure(record["b"], "carrier")


def test_digits_pass_through_a_carrier(carried: Carried) -> None:
    call, there = carried.connect()
    talk((carried.alice, call), (carried.bob, there), packets=10)
    carried.alice.dtmf(call, "19")
    assert [carried.bob.expect("dtmf")["digit"] for _ in range(2)] == ["1", "9"]
    carried.alice.hangup(call)
    carried.over(call, there)


def test_a_call_is_cancelled_through_a_carrier(carried: Carried) -> None:
    alice, bob = carried.alice, carried.bob
    carried.logs = log_size(alice), log_size(bob)
    call = alice.call(carried.rig.number())
    there = bob.expect("incoming")["call"]
    bob.answer(there, 180)
    alice.expect_state(call, "EARLY")
    alice.hangup(call)
    record = carried.over(call, there)
    assert (record["status"], record["ended_by"]) == (487, "caller")


def test_a_carrier_s_callee_is_busy(carried: Carried) -> None:
    alice, bob = carried.alice, carried.bob
    carried.logs = log_size(alice), log_size(bob)
    call = alice.call(carried.rig.number())
    there = bob.expect("incoming")["call"]
    bob.hangup(there, 486)
    record = carried.over(call, there)
    assert (record["status"], record["ended_by"]) == (486, "callee")
