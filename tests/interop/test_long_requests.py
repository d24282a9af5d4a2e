"""A PJSIP over UDP is sent an INVITE that is too long for a datagram: by TCP where it has that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, messages, talk
from tests.peers.needs import needs

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB = "127.0.0.2", "127.0.0.3"
RULES = f"""\
  - name: much is said
    when: trunk == "alice"
    then: |
      set header "X-Said" = "{"x" * 1000}"
      route "bob"
"""


@pytest.mark.parametrize("tcp", [True, False], ids=["TCP too", "UDP alone"])
def test_a_long_invite(tmp_path: Path, tcp: bool) -> None:
    needs("pjsua2")
    rig = Rig(tmp_path, rules=RULES)
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0)
    plain = {"transport": "udp", "srtp": "off", "secure_signalling": 0}
    bob = rig.pjsip("bob", BOB, LOW, answer=0, also_tcp=tcp, **plain)
    with rig.running(Far("alice", alice.port, ALICE), Far("bob", bob.port, BOB, "udp", "off"), alice, bob):
        pair = Pair(rig, alice, bob)
        call, there, message = pair.ring()
        assert len(message) > 1300
        assert f"Via: SIP/2.0/{'TCP' if tcp else 'UDP'} 127.0.0.1:{rig.udp}" in message
        pair.answer(call, there)
        talk((alice, call), (bob, there))
        bob.hold(there)
        alice.expect("media", call=call)
        alice.hangup(call)
        assert pair.over(call, there)["status"] == 200
        ack = next(each for each in messages(bob, "RX").split("ACK sip:")[1:])
        assert ack.splitlines()[1].startswith("Via: SIP/2.0/UDP"), "our Contact, and so the dialog, is UDP's"
        assert ("event=no-tcp" in "\n".join(rig.log())) is not tcp
