"""A PJSIP sends a MESSAGE (RFC 3428) to another one, through an SBC with a trunk for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.pair import HIGH, LOW
from tests.interop.rig import SBC, Far, Rig
from tests.peers.needs import needs
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB = "127.0.0.2", "127.0.0.3"
RULES = """\
  - name: texts to bob
    when: method == "MESSAGE" and trunk == "alice"
    then: route "bob"
"""
TEXT = "Is it raining over there? Ja, übermorgen."


def test_a_text_arrives_and_its_sender_is_told(tmp_path: Path) -> None:
    needs("pjsua2")
    rig = Rig(tmp_path, rules=RULES)
    alice, bob = rig.pjsip("alice", ALICE, HIGH), rig.pjsip("bob", BOB, LOW)
    far = Far("bob", bob.port, BOB, more="methods: [MESSAGE]")
    near = Far("alice", alice.port, ALICE, more="methods: [MESSAGE]")
    with rig.running(near, far, alice, bob):
        alice.message(rig.number(), TEXT)
        arrived = bob.expect("message", seconds=30)
        assert (arrived["body"], arrived["kind"]) == (TEXT, "text/plain")
        assert ALICE not in arrived["whole"] and f"{SBC}:" in arrived["whole"]
        assert alice.expect("message status", seconds=30)["status"] == 200
        bob.message(rig.number("alice"), TEXT)  # no rule takes that
        assert bob.expect("message status", seconds=30)["status"] == 404
        lines = until(
            lambda: [line for line in rig.log() if " [message] " in line], holds=lambda found: len(found) == 2
        )
    good, refused = lines
    assert "status=200" in good and "to_trunk=bob" in good and "raining" not in good
    assert "status=404" in refused
