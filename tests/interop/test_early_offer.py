"""A PJSIP calls without an offer, and the one that it calls gets one of the SBC's: both hear each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, assert_secure, once_idle, talk
from tests.peers.needs import needs
from tests.peers.tone import heard

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB = "127.0.0.2", "127.0.0.3"


@pytest.mark.parametrize("prack", ["off", "optional"])
def test_both_hear_each_other(tmp_path: Path, prack: str) -> None:
    needs("pjsua2")
    rig = Rig(tmp_path)
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0, prack=prack)
    bob = rig.pjsip("bob", BOB, LOW, answer=0, prack=prack)
    wants = Far("bob", bob.port, BOB, more="early_offer: [PCMA, PCMU]")
    with rig.running(Far("alice", alice.port, ALICE), wants, alice, bob):
        pair = Pair(rig, alice, bob)
        call, there, message = pair.ring(offer=False)
        assert "m=audio" in message and "a=crypto:" in message and "a=rtpmap:8 PCMA" in message
        bob.answer(there, 183)
        pair.answer(call, there)
        talk((alice, call), (bob, there))
        for agent in (alice, bob):
            agent.events.clear()
        once_idle(alice, lambda: alice.hold(call))
        assert bob.expect("media", call=there)["direction"] == 2
        once_idle(alice, lambda: alice.reinvite(call, offer=False))
        assert bob.expect("media", call=there)["direction"] == 3
        talk((alice, call), (bob, there))
        alice.hangup(call)
        record = pair.over(call, there)
        assert record["status"] == 200
        assert_secure(record["a"], "alice")
        # What Bob says before Alice's ACK has nowhere to go yet.
        record["b"]["media"]["refused"].pop("no destination", None)
        assert_secure(record["b"], "bob")
        assert heard(alice.recording(call), LOW) and heard(bob.recording(there), HIGH)
        pair.assert_hidden()
