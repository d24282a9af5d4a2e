"""Whatever peers transfer, replace and hang up, in any order: no call waits for another one for ever."""

from __future__ import annotations

from random import Random

import pytest

from sbc.sip.parse import ParseError
from tests.playbook.stage import Peer, Stage
from tests.playbook.transfers import transferring
from tests.property.attacker import WITHIN, Attacker
from tests.property.test_engine_attacked import STEPS, holds_nothing

pytestmark = pytest.mark.slow

RULES = """
rules:
  - name: transferred
    when: referred_by != ""
    then: |
      follow redirects
      route "backup" then "carrier" then "office"
  - name: out
    when: trunk == "office"
    then: route "carrier" then "backup"
  - name: in
    when: true
    then: route "office" then "carrier"
"""
WORDS = ("pass", "perform", "perform", "perform", "refuse")


class Transferring(Attacker):
    """It transfers as often as it does anything else, and knows the identifiers of every dialog."""

    def __init__(self, seed: int, spoiling: float) -> None:
        dice = Random(seed)
        words = {name: dice.choice(WORDS) for name in ("office", "carrier", "backup")}
        super().__init__(seed, spoiling, Stage(transferring(RULES, **words)))
        self.methods = (*("ACK",) * 6, *("REFER",) * 8, *WITHIN, "NOTIFY")
        self.peers = ("office", "carrier", "backup")
        self.statuses = (180, *(200,) * 8, 302, 486, 488, 491)
        self.answers = (*(b"v=0 one",) * 8, b"v=0 unusable")
        self.described = 0.9
        invite, answer = self.stage.established()
        self.heard["carrier"].append(invite)
        self.heard["office"].append(answer)

    def act(self, peer: Peer) -> None:
        """Mostly it answers."""
        if self.dice.random() < 0.7:
            self._respond(peer)
        else:
            super().act(peer)

    def further(self, method: str, other: str) -> list[tuple[str, str]]:
        dice = self.dice
        named = self._dialog() if dice.random() < 0.5 else ""
        if method == "REFER":
            escaped = named.replace(";", "%3B").replace("=", "%3D")
            fields = [("Refer-To", f"<sip:+12125550199@x.example{'?Replaces=' + escaped if named else ''}>")]
            return fields + ([("Refer-Sub", "false")] if dice.random() < 0.2 else [])
        if method == "NOTIFY":
            return [
                ("Event", dice.choice(("refer", "refer;id=1", "refer;id=2"))),
                ("Subscription-State", "active"),
            ]
        return [("Replaces", named)] if method == "INVITE" and named and not other else []

    def _dialog(self) -> str:
        """A dialog of some call, as one of its ends names it."""
        calls = [each for each in self.stage.engine.calls.values() if each.fork is not None]
        if not calls:
            return "nobody;to-tag=a;from-tag=b"
        fork = self.dice.choice(calls).fork
        assert fork is not None
        dialog = fork.dialog(self.dice.choice(("a", "b")))
        tags = [dialog.local_tag, dialog.remote_tag]
        self.dice.shuffle(tags)
        return f"{dialog.call_id};to-tag={tags[0]};from-tag={tags[1]}"


@pytest.mark.parametrize("spoiling", [0.0, 0.2])
def test_any_order_of_transfers(spoiling: float) -> None:
    told: dict[str, int] = {}
    for seed in range(250):
        attacker = Transferring(seed, spoiling)
        try:
            for _ in range(2 * STEPS):
                attacker.step()
            holds_nothing(attacker.stage)
        except (AssertionError, ParseError) as error:
            raise AssertionError(f"seed {seed}, spoiling {spoiling}: {error}") from error
        for note in attacker.stage.notes:
            told[note.event] = told.get(note.event, 0) + 1
    for event in ("transfer-begun", "transferred", "transfer-failed", "replaced"):
        assert told.get(event, 0) >= 10, f"the attacker did not get far: {told}"
