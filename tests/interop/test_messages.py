"""A PJSIP sends a MESSAGE (RFC 3428) to another one, through an SBC with a trunk for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbc.base import Address
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response, serialize
from tests.edge.raw_sip import Datagrams
from tests.edge.test_udp_calls import request_of
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


LAMP = b"Messages-Waiting: yes\r\nMessage-Account: sip:bob@mail.example\r\nVoice-Message: 2/8 (0/2)\r\n"


def test_a_lamp_is_lit_unasked(tmp_path: Path) -> None:
    """RFC 3842: the mail box is a UDP peer, the telephone a PJSIP."""
    needs("pjsua2")
    rig = Rig(tmp_path, rules=RULES.replace("MESSAGE", "NOTIFY").replace("alice", "box"))
    bob = rig.pjsip("bob", BOB, LOW)
    box = Datagrams(Address(SBC, rig.udp))
    words = "methods: [NOTIFY]"
    far = Far("bob", bob.port, BOB, more=words)
    try:
        with rig.running(Far("box", box.port, transport="udp", srtp="accept", more=words), far, bob):
            request = request_of(box)
            fields = dict(request.headers.fields) | {
                "CSeq": "1 NOTIFY", "Event": "message-summary", "Subscription-State": "active",
                "Content-Type": "application/simple-message-summary",
            }  # fmt: skip
            box.send(serialize(Request("NOTIFY", request.uri, Headers(list(fields.items())), LAMP)))
            told = bob.expect("waiting", seconds=30)["whole"]
            assert LAMP.decode() in told and "plain.example" not in told
            answered = until(lambda: [each for each in box.heard if isinstance(each, Response)])
            assert [each.status for each in answered] == [200]
    finally:
        box.close()
