"""Texts, emergency calls, bodies of several parts, offers of our own, in any order: nothing is held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.config.emergency import Emergency
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.sip.headers import Headers
from sbc.sip.message import Request, serialize
from tests.playbook.stage import Peer, Stage, snapshot
from tests.property.attacker import Attacker
from tests.property.test_engine_attacked import STEPS, holds_nothing

pytestmark = pytest.mark.slow

RULES = """
rules:
  - name: texts
    when: method == "MESSAGE"
    then: |
      limit 3 calls per from.user
      route "carrier" then "backup" on 404, 408, 486, 503, timeout, unreachable
  - name: lamps
    when: method == "NOTIFY" and trunk != "office"
    then: route "office"
  - name: helped
    when: emergency and trunk == "office"
    then: route "backup" then "carrier"
  - name: office to carrier
    when: trunk == "office"
    then: |
      limit 2 calls per trunk
      route "carrier" then "backup" on 415, 503, timeout, unreachable
  - name: carrier to office
    when: true
    then: route "office"
"""
PLACE = b"--x\r\nContent-Type: application/pidf+xml\r\n\r\n<here/>\r\n"
CAUSE = b"--x\r\nContent-Type: application/isup\r\nContent-Disposition: signal;handling=%s\r\n\r\n\x01\r\n"
BODIES = (
    PLACE + b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--\r\n",
    b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n" + CAUSE % b"required" + b"--x--",
    CAUSE % b"optional" + b"--x--",
    b"--x\r\n\r\nhello",
)
CALLED = ("sip:112@sbc.example", "urn:service:sos", "urn:service:sos.fire", "sip:+1212@sbc.example")


def configuration() -> Snapshot:
    """Each trunk knows all of it, but for the backup, which knows nothing."""
    made = snapshot(RULES, "tls", limits={"calls": 4, "cps": 50, "rates": {"message": 20}})
    words = {
        "bodies": ["pidf-lo", "isup"], "methods": ["MESSAGE", "NOTIFY"], "early_offer": ["PCMA"],
        "early_media": "authorized",
    }  # fmt: skip
    trunks = {
        name: each if name == "backup" else Trunk.model_validate({**each.model_dump(by_alias=True), **words})
        for name, each in made.trunks.items()
    }
    given = Emergency.model_validate({"numbers": [112], "reserve": {"calls": 2, "cps": 5}})
    return replace(made, trunks=trunks, settings=made.settings.model_copy(update={"emergency": given}))


class Odd(Attacker):
    """An attacker who begins what is no ordinary call."""

    def _call(self, peer: Peer) -> None:
        stage, dice = self.stage, self.dice
        stage.cseq += 1
        method = dice.choice(("MESSAGE", "MESSAGE", "NOTIFY", "INVITE", "INVITE", "INVITE"))
        to = dice.choice(CALLED)
        fields = [
            ("Via", f"SIP/2.0/TLS {peer.name}.example;branch=z9hG4bK-{peer.name}-{stage.cseq}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:alice@{peer.name}.example>;tag=from-{peer.name}"),
            ("To", f"<{to}>"),
            ("Call-ID", f"call-{dice.randrange(4)}"),
            ("CSeq", f"{stage.cseq} {method}"),
            ("Contact", f"<sip:alice@{peer.name}.example>"),
            ("Geolocation", "<cid:x@y>"),
        ]
        if dice.random() < 0.5:
            fields.append(("Supported", "100rel"))
        if method == "NOTIFY":
            fields.append(("Event", dice.choice(("message-summary", "presence"))))
        body = b""
        if dice.random() < 0.6:
            body = dice.choice(BODIES)
            fields.append(("Content-Type", "multipart/mixed;boundary=x"))
        self._say(peer, serialize(Request(method, to, Headers(fields), body)))


@pytest.mark.parametrize("spoiling", [0.0, 0.1, 0.5])
def test_any_order_of_odd_things(spoiling: float) -> None:
    seen: set[str] = set()
    for seed in range(60):
        stage = Stage(configuration())
        attacker = Odd(seed, spoiling, stage)
        attacker.statuses += (404, 486)
        for _ in range(STEPS):
            attacker.step()
        seen |= {note.event for note in stage.notes}
        try:
            holds_nothing(stage)
            assert not len(stage.engine.rule_limits), "a limit of a rule is still held"
            assert {stage.engine.reserves.calls(name) for name in stage.peers} == {0}
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, spoiling {spoiling}: {error}") from error
    wanted = {"message", "emergency", "parts-dropped", "hop-refused", "failover"}
    assert wanted <= seen and (spoiling == 0.5 or "call-up" in seen)
