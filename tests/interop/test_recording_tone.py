"""`record with tone` between two PJSIPs: both hear it, now and then, and beside it what the other says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sbc.media.tone import HERTZ
from tests.interop.pair import HIGH, LOW
from tests.interop.rig import Far, Rig, assert_media, rtp_received, talk
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.tone import listen, write_tone
from tests.peers.waiting import until

pytestmark = pytest.mark.interop

ALICE, BOB = "127.0.0.2", "127.0.0.3"
RULES = """\
  - name: recorded, and told so
    when: trunk == "alice"
    then: |
      record with tone
      allow codecs "PCMA", "PCMU"
      route "bob"
"""
RECORDINGS = "recordings: {directory: kept, tone_every: 2s}\n"
#: Spoken softly, so that the tone is by far the louder of the two while it sounds.
SOFT = 0.04


def agent(rig: Rig, name: str, address: str, hz: float, codec: str) -> Pjsip:
    tone = write_tone(rig.root / f"{name}.wav", hz, level=SOFT)
    return rig.pjsip(name, address, hz, tone=str(tone), codecs=(codec, "opus/48000/2"))


def tones(record: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = record["recording"]["tones"]
    return found


@pytest.mark.parametrize("codec", ["PCMU/8000", "PCMA/8000"])
def test_both_hear_the_tone_and_each_other(tmp_path: Path, codec: str) -> None:
    needs("pjsua2")
    rig = Rig(tmp_path, rules=RULES, more=RECORDINGS)
    alice, bob = agent(rig, "alice", ALICE, HIGH, codec), agent(rig, "bob", BOB, LOW, codec)
    with rig.running(Far("alice", alice.port, ALICE), Far("bob", bob.port, BOB), alice, bob):
        call = alice.call(rig.number())
        there = bob.expect("incoming", 30)["call"]
        alice.expect_state(call, "CONFIRMED", 30)
        talk((alice, call), (bob, there), packets=160)
        alice.hangup(call)
        bob.expect_state(there, "DISCONNECTED", 30)
        record = rig.record()
    assert record["a"]["media"]["codec"] == codec.partition("/")[0]
    assert tones(record)["a"] >= 2 <= tones(record)["b"]
    for each, number, other in ((alice, call, LOW), (bob, there, HIGH)):
        recording = each.recording(number)
        assert listen(recording, HERTZ).tone >= 0.3, "two tones of a fifth of a second"
        assert listen(recording, other).tone >= 1.0
    for leg in (record["a"], record["b"]):
        assert leg["media"]["srtp"]
        assert_media(leg["media"])
    (kept,) = record["recording"]["files"]
    assert listen(Path(kept["path"]), HERTZ).tone >= 0.3, "the recording shows that it was heard"


def test_without_the_word_nobody_hears_a_tone(tmp_path: Path) -> None:
    needs("pjsua2")
    rig = Rig(tmp_path, rules=RULES.replace("record with tone", "record"), more=RECORDINGS)
    alice, bob = (
        agent(rig, "alice", ALICE, HIGH, "PCMU/8000"), agent(rig, "bob", BOB, LOW, "PCMU/8000")
    )  # fmt: skip
    with rig.running(Far("alice", alice.port, ALICE), Far("bob", bob.port, BOB), alice, bob):
        call = alice.call(rig.number())
        there = bob.expect("incoming", 30)["call"]
        until(lambda: rtp_received(alice, call) >= 60 and rtp_received(bob, there) >= 60)
        alice.hangup(call)
        bob.expect_state(there, "DISCONNECTED", 30)
        record = rig.record()
    assert record["recording"]["files"] and record["recording"]["tones"] is None
    for each, number in ((alice, call), (bob, there)):
        assert listen(each.recording(number), HERTZ).tone == 0
