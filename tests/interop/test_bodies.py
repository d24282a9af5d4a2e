"""A PJSIP calls an emergency service and says where it is; another one reads it, and both hear each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.pair import HIGH, LOW
from tests.interop.rig import Far, Rig, talk
from tests.peers.needs import needs

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB = "127.0.0.2", "127.0.0.3"
PLACE = """\
<?xml version="1.0" encoding="UTF-8"?>\r
<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:alice@place.example">\r
 <tuple id="x"><status><geopriv xmlns="urn:ietf:params:xml:ns:pidf:geopriv10"/></status></tuple>\r
</presence>\r
"""
WORDS = "bodies: [pidf-lo]\nlimits: {calls: 0}"


def test_a_location_arrives_beside_the_sdp(tmp_path: Path) -> None:
    """RFC 6442: the INVITE's Geolocation names the part, and both trunks are full."""
    needs("pjsua2")
    rig = Rig(tmp_path, warned=r"\[(emergency|check)\]", more="emergency: {numbers: [112]}\n")
    alice, bob = rig.pjsip("alice", ALICE, HIGH, answer=0), rig.pjsip("bob", BOB, LOW, answer=0)
    far = Far("bob", bob.port, BOB, more=WORDS)
    with rig.running(Far("alice", alice.port, ALICE, more=WORDS), far, alice, bob):
        assert alice.expect_state(alice.call(rig.number()), "DISCONNECTED")["status"] == 503
        part = {"id": "place@place.example", "type": "application/pidf+xml", "body": PLACE}
        headers = {"Geolocation": "<cid:place@place.example>", "Geolocation-Routing": "yes"}
        call = alice.call(rig.number("112"), headers, parts=[part])
        incoming = bob.expect("incoming", seconds=30)
        message, there = incoming["message"], incoming["call"]
        assert "Geolocation: <cid:place@place.example>" in message and "multipart/mixed" in message
        assert "\r\nContent-ID: <place@place.example>\r\n" in message
        assert PLACE in message and "m=audio" in message
        bob.answer(there)
        alice.expect_state(call, "CONFIRMED")
        bob.expect_state(there, "CONFIRMED")
        talk((alice, call), (bob, there))
        alice.hangup(call)
        bob.expect_state(there, "DISCONNECTED")
        record = rig.record()
        assert record["emergency"] and record["status"] == 200 and record["called"] == "112"
