"""PJSIP calls PJSIP through a running Portcullis: mutual TLS and mandatory SRTP on both legs.

All calls of this file go through the same SBC, one after the other, as calls do.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, assert_secure, talk
from tests.peers.needs import needs
from tests.peers.tone import heard

pytestmark = pytest.mark.interop

ALICE, BOB = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    needs("pjsua2")
    rig = Rig(tmp_path_factory.mktemp("pair"))
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0)
    bob = rig.pjsip("bob", BOB, LOW, answer=0)
    with rig.running(Far("alice", alice.port, ALICE), Far("bob", bob.port, BOB), alice, bob):
        yield Pair(rig, alice, bob)


@pytest.fixture
def pair(shared: Pair) -> Iterator[Pair]:
    yield shared
    shared.rig.check_log()


def test_both_hear_each_other_and_learn_nothing_of_each_other(pair: Pair) -> None:
    call, there = pair.connect()
    assert pair.alice.expect("media", call=call)["srtp"]
    assert pair.bob.expect("media", call=there)["srtp"]
    talk((pair.alice, call), (pair.bob, there))
    pair.alice.hangup(call)
    record = pair.over(call, there)
    assert heard(pair.alice.recording(call), LOW)
    assert heard(pair.bob.recording(there), HIGH)
    pair.assert_hidden()
    assert (record["status"], record["ended_by"], record["downgraded"]) == (200, "caller", False)
    for leg, agent in ((record["a"], pair.alice), (record["b"], pair.bob)):
        assert_secure(leg, agent.name)
        assert leg["remote"].startswith(agent.settings.address + ":")
        assert leg["media"]["remote"].startswith(agent.settings.address + ":")


def test_the_callee_may_hang_up(pair: Pair) -> None:
    call, there = pair.connect()
    pair.bob.hangup(there)
    record = pair.over(call, there)
    assert (record["status"], record["ended_by"]) == (200, "callee")
    pair.assert_hidden()


def test_early_media_is_heard_before_the_answer(pair: Pair) -> None:
    call, there, _ = pair.ring()
    pair.bob.answer(there, 183)
    assert pair.alice.expect_state(call, "EARLY")["status"] == 183
    assert pair.alice.expect("media", call=call)["srtp"]
    talk((pair.alice, call), (pair.bob, there))
    pair.bob.answer(there)
    pair.alice.expect_state(call, "CONFIRMED")
    talk((pair.alice, call), (pair.bob, there))
    pair.alice.hangup(call)
    record = pair.over(call, there)
    assert heard(pair.alice.recording(call), LOW, 2.0)
    assert heard(pair.bob.recording(there), HIGH, 2.0)
    assert_secure(record["a"], "alice")
    assert_secure(record["b"], "bob")
    pair.assert_hidden()


def test_a_ringing_call_is_cancelled(pair: Pair) -> None:
    call, there, _ = pair.ring()
    pair.bob.answer(there, 180)
    assert pair.alice.expect_state(call, "EARLY")["status"] == 180
    pair.alice.hangup(call)
    assert pair.bob.expect_state(there, "DISCONNECTED")["status"] == 487
    assert pair.alice.expect_state(call, "DISCONNECTED")["status"] == 487
    record = pair.rig.record()
    assert (record["status"], record["ended_by"], record["answered"]) == (487, "caller", None)
    assert "CANCEL sip:" in pair.at_bob()
    pair.assert_hidden()


@pytest.mark.parametrize(("status", "reason"), [(486, "Busy Here"), (603, "Decline"), (480, "Temporarily")])
def test_a_refusal_reaches_the_caller(pair: Pair, status: int, reason: str) -> None:
    call, there, _ = pair.ring()
    pair.bob.hangup(there, status)
    refused = pair.alice.expect_state(call, "DISCONNECTED")
    assert refused["status"] == status
    assert refused["reason"].startswith(reason)
    record = pair.rig.record()
    assert (record["status"], record["ended_by"]) == (status, "callee")
    pair.assert_hidden()


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_hold_and_resume(pair: Pair, who: str) -> None:
    call, there = pair.connect()
    pair.hold_and_resume(who, call, there)
    pair.alice.hangup(call)
    record = pair.over(call, there)
    assert pair.heard_lately(call, there)
    assert_secure(record["a"], "alice")
    assert_secure(record["b"], "bob")
    pair.assert_hidden()


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_digits_pass(pair: Pair, who: str) -> None:
    call, there = pair.connect()
    ends = [(pair.alice, call), (pair.bob, there)]
    (sender, own), (other, _) = ends if who == "caller" else ends[::-1]
    talk(*ends, packets=10)
    sender.dtmf(own, "4*2#")
    assert [other.expect("dtmf")["digit"] for _ in range(4)] == ["4", "*", "2", "#"]
    pair.bob.hangup(there)
    pair.over(call, there)
