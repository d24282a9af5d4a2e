"""Kamailio as a carrier between the SBC and the callee: mutual TLS on every stretch, Record-Route.

The carrier stays in the dialog, so requests from the caller must go through its route set, and
the callee's come back through it. Bob also tries the SBC's Contact on his own, as PJSIP does; he is
not the carrier, which his certificate tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, assert_secure, talk
from tests.peers.kamailio import Kamailio, KamailioSettings
from tests.peers.needs import needs
from tests.peers.tone import heard

pytestmark = pytest.mark.interop

ALICE = "127.0.0.2"


class Carried(Pair):
    """Alice, the SBC, the carrier, Bob."""

    def over(self, call: int, there: int) -> dict[str, Any]:
        """Both ends have seen the call end, neither has learnt of the other; its record."""
        record = super().over(call, there)
        self.assert_hidden()
        assert "Record-Route" not in self.at_alice()
        return record


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
    carried.hold_and_resume(who, call, there)
    carried.bob.hangup(there)
    record = carried.over(call, there)
    assert carried.heard_lately(call, there)
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
    call, there, _ = carried.ring()
    bob.answer(there, 180)
    alice.expect_state(call, "EARLY")
    alice.hangup(call)
    record = carried.over(call, there)
    assert (record["status"], record["ended_by"]) == (487, "caller")


def test_a_carrier_s_callee_is_busy(carried: Carried) -> None:
    call, there, _ = carried.ring()
    carried.bob.hangup(there, 486)
    record = carried.over(call, there)
    assert (record["status"], record["ended_by"]) == (486, "callee")
