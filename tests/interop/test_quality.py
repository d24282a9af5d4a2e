"""The quality of a call between telephones that exchange RTCP: baresip and PJSIP, each under SRTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.rig import Far, Rig
from tests.peers.asking import ask
from tests.peers.baresip import Baresip, BaresipSettings
from tests.peers.needs import needs
from tests.peers.tone import write_tone
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

BOB = "127.0.0.3"


def test_what_rtcp_tells_of_both_legs_is_in_the_record(tmp_path: Path) -> None:
    needs("pjsua2", "baresip")
    rig = Rig(tmp_path)
    bob = rig.pjsip("bob", BOB, 440.0)
    tone = write_tone(rig.root / "high.wav", 1000.0, 20)
    settings = BaresipSettings(tone, credentials=rig.lab.issue("carol"), ca=rig.lab.ca())
    carol = Baresip("carol", rig.root / "carol", settings)
    with rig.running(Far("carol", carol.port + 1), Far("bob", bob.port, BOB), bob, carol):
        control = rig.root / "sbc" / "run" / "sbc.sock"
        carol.dial(rig.number())
        carol.expect("CALL_ESTABLISHED")
        there = bob.expect("incoming")["call"]

        def reported() -> list[Any]:
            (call,) = ask(control, "calls")
            found = call["a_quality"] or {}, call["b_quality"] or {}
            return [each.get(name) for each in found for name in ("round_trip", "sent_mos")]

        until(reported, "both have reported", 60, holds=lambda found: None not in found)
        carol.hangup()
        bob.expect_state(there, "DISCONNECTED")
        record = rig.record()
    for side in ("a", "b"):
        quality = record[side]["media"]["quality"]
        assert quality["loss"] == 0 and quality["mos"] > 4.2, quality
        assert quality["sent"]["loss"] == 0 and quality["sent"]["mos"] > 4, quality
        assert 0 <= quality["round_trip"] < 2 and 0 <= quality["sent"]["jitter"] < 1, quality
