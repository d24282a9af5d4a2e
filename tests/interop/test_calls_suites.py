"""Every SRTP suite on either leg: what the two peers speak need not be the same.

PJSIP's wheel knows the AES-CM suites alone, so AEAD is spoken with baresip.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.rig import Far, Rig, assert_secure, talk
from tests.peers.baresip import Baresip, BaresipSettings
from tests.peers.needs import needs
from tests.peers.tone import heard, write_tone

pytestmark = [pytest.mark.interop, pytest.mark.slow]

LOW, HIGH = 440.0, 1000.0
ALICE, BOB = "127.0.0.2", "127.0.0.3"
EIGHTY, THIRTY_TWO = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"
LONG_EIGHTY, LONG_THIRTY_TWO = "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32"
GCM_128, GCM_256 = "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (EIGHTY, THIRTY_TWO),
        (THIRTY_TWO, EIGHTY),
        (LONG_EIGHTY, LONG_THIRTY_TWO),
        (LONG_THIRTY_TWO, LONG_EIGHTY),
        (EIGHTY, LONG_EIGHTY),
    ],
)
def test_a_call_from_one_suite_to_another(tmp_path: Path, near: str, far: str) -> None:
    needs("pjsua2")
    rig = Rig(tmp_path)
    alice = rig.pjsip("alice", ALICE, HIGH, suites=(near,))
    bob = rig.pjsip("bob", BOB, LOW, suites=(far,))
    with rig.running(Far("alice", alice.port, ALICE), Far("bob", bob.port, BOB), alice, bob):
        call = alice.call(rig.number())
        there = bob.expect("incoming")["call"]
        alice.expect_state(call, "CONFIRMED")
        assert alice.expect("media", call=call)["srtp"] == near
        assert bob.expect("media", call=there)["srtp"] == far
        talk((alice, call), (bob, there))
        alice.hangup(call)
        bob.expect_state(there, "DISCONNECTED")
        record = rig.record()
        assert heard(alice.recording(call), LOW)
        assert heard(bob.recording(there), HIGH)
    assert_secure(record["a"], "alice", near)
    assert_secure(record["b"], "bob", far)


@pytest.mark.parametrize("suite", [GCM_128, GCM_256])
def test_a_call_to_aead(tmp_path: Path, suite: str) -> None:
    needs("pjsua2", "baresip")
    rig = Rig(tmp_path)
    alice = rig.pjsip("alice", ALICE, HIGH, suites=(EIGHTY,))
    settings = BaresipSettings(
        write_tone(tmp_path / "low.wav", LOW, 10), credentials=rig.lab.issue("carol"), ca=rig.lab.ca()
    )
    carol = Baresip("carol", tmp_path / "carol", settings)
    far = Far("carol", carol.port + 1, more=f"suites: [{suite}]")
    with rig.running(Far("alice", alice.port, ALICE), far, alice, carol):
        call = alice.call(rig.number("carol"))
        alice.expect_state(call, "CONFIRMED")
        talk((alice, call))
        alice.hangup(call)
        alice.expect_state(call, "DISCONNECTED")
        carol.expect("CALL_CLOSED")
        record = rig.record()
        assert heard(alice.recording(call), LOW)
        assert heard(carol.recording(), HIGH)
    assert_secure(record["a"], "alice", EIGHTY)
    assert_secure(record["b"], "carol", suite)
