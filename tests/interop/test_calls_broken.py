"""The connection to the callee breaks in the middle of a call: the call outlives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.cable import Cable
from tests.interop.rig import Far, Rig, assert_secure, hears_lately, once_idle, talk
from tests.peers.needs import needs

pytestmark = [pytest.mark.interop, pytest.mark.slow]

LOW, HIGH = 440.0, 1000.0
ALICE, BOB = "127.0.0.2", "127.0.0.3"


def test_a_hold_and_the_bye_take_a_new_connection(tmp_path: Path) -> None:
    """Media goes on meanwhile; the new connection is dialled and verified as the first one was."""
    needs("pjsua2")
    rig = Rig(tmp_path)
    alice, bob = rig.pjsip("alice", ALICE, HIGH), rig.pjsip("bob", BOB, LOW)
    with Cable((BOB, bob.port)) as cable:
        with rig.running(Far("alice", alice.port, ALICE), Far("bob", cable.port, source=BOB), alice, bob):
            call = alice.call(rig.number())
            there = bob.expect("incoming")["call"]
            alice.expect_state(call, "CONFIRMED")
            bob.expect_state(there, "CONFIRMED")
            assert cable.connections == 1
            cable.cut()
            talk((alice, call), (bob, there), packets=20)
            assert alice.expect("media", call=call)["direction"] == 3
            assert bob.expect("media", call=there)["direction"] == 3
            once_idle(alice, lambda: alice.hold(call))
            assert bob.expect("media", call=there)["direction"] == 2
            assert alice.expect("media", call=call)["direction"] == 1
            assert cable.connections == 2
            once_idle(alice, lambda: alice.reinvite(call))
            assert bob.expect("media", call=there)["direction"] == 3
            talk((alice, call), (bob, there))
            cable.cut()
            alice.hangup(call)
            bob.expect_state(there, "DISCONNECTED")
            assert cable.connections == 3
            record = rig.record()
            assert hears_lately(alice.recording(call), LOW)
            assert hears_lately(bob.recording(there), HIGH)
    assert_secure(record["a"], "alice")
    assert_secure(record["b"], "bob")
