"""PJSIP with session timers and PJSIP without: a call whose sessions are refreshed goes on (RFC 4028)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, assert_secure, talk
from tests.peers.needs import needs
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB = "127.0.0.2", "127.0.0.3"
TIMER = "session_timer: {expires: 90s}"
REFRESHED = 120.0  # seconds to wait for what comes after 45


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    needs("pjsua2")
    rig = Rig(tmp_path_factory.mktemp("timers"))
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0, session_timer="required")
    bob = rig.pjsip("bob", BOB, LOW, answer=0)
    far = Far("alice", alice.port, ALICE, more=TIMER), Far("bob", bob.port, BOB, more=TIMER)
    with rig.running(*far, alice, bob):
        yield Pair(rig, alice, bob)


def test_one_that_requires_timers_and_one_that_has_none(pair: Pair) -> None:
    call, there = pair.connect()
    assert "Session-Expires: 90;refresher=" in pair.at_alice()
    assert "Require: timer" in pair.at_alice()
    assert "Session-Expires: 90" in pair.at_bob()
    talk((pair.alice, call), (pair.bob, there))
    until(lambda: "UPDATE sip:" in pair.at_bob(), "Bob is refreshed", REFRESHED)
    until(lambda: "UPDATE sip:" in pair.at_alice(), "Alice is refreshed", REFRESHED)
    pair.alice.hangup(call)
    record = pair.over(call, there)
    assert (record["status"], record["ended_by"]) == (200, "caller")
    assert_secure(record["a"], "alice")
    assert_secure(record["b"], "bob")
    assert pair.heard_lately(call, there)
    pair.assert_hidden()
