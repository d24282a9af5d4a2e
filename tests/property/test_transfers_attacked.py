"""Whatever peers transfer, replace and hang up, in any order: no call waits for another one for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from sbc.config.emergency import Emergency
from sbc.config.snapshot import Snapshot
from sbc.net.media.embedded import MediaIO
from sbc.sip.parse import ParseError
from tests.playbook.stage import Peer, Stage
from tests.playbook.test_transfers_abused import with_tenants
from tests.playbook.transfers import transferring
from tests.property.attacker import WITHIN, Attacker
from tests.property.driven import media_plane
from tests.property.test_engine_attacked import STEPS, Attacked, holds_nothing, set_up
from tests.property.test_faults import AGAIN, OFFER

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


def any_words(dice: Random, options: dict[str, Any] | None = None) -> Snapshot:
    """Each trunk has a word of its own for transfers."""
    words: dict[str, Any] = {name: dice.choice(WORDS) for name in ("office", "carrier", "backup")}
    return transferring(RULES, options, **words)


class Transferring(Attacker):
    """It transfers as often as it does anything else, and knows the identifiers of every dialog."""

    def __init__(self, seed: int, spoiling: float, stage: Stage | None = None) -> None:
        super().__init__(seed, spoiling, stage or Stage(any_words(Random(seed))))
        self.methods = (*("ACK",) * 6, *("REFER",) * 8, *WITHIN, "NOTIFY")
        self.peers = ("office", "carrier", "backup")
        self.statuses = (180, *(200,) * 8, 302, 486, 488, 491)
        self.answers = (b"v=0 one",) * 8 + (b"v=0 unusable",)
        self.described = 0.9
        if stage is not None:
            return
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


class Besieging(Transferring):
    """Meanwhile connections close, the operator reloads and drains, and limits are low; some want 112."""

    def __init__(self, seed: int, spoiling: float, media: MediaIO) -> None:
        dice = Random(seed)
        made = any_words(dice, {"srtp": "off", "limits": {"calls": dice.choice((3, 50))}})
        made = with_tenants(made, dice.choice((3, 50)), office="one", carrier="one", backup="two")
        given = Emergency.model_validate({"numbers": [112]})
        self.made = replace(made, settings=made.settings.model_copy(update={"emergency": given}))
        stage = Attacked(media, self.made)
        super().__init__(seed, spoiling, stage)
        self.methods = (*("ACK",) * 8, *("REFER",) * 10, *WITHIN, "NOTIFY")
        self.statuses = (180, 183, *(200,) * 8, 302, 401, 408, 481, 486, 488, 491, 503)
        self.offer, self.answers = OFFER, (*(OFFER,) * 6, AGAIN, b"v=0 unusable")
        set_up(self)

    def act(self, peer: Peer) -> None:
        """It answers, transfers, or something befalls everybody."""
        dice, engine = self.dice, self.stage.engine
        act = dice.random()
        if act < 0.45:
            self._respond(peer)
        elif act < 0.85:
            self._within(peer)
        elif act < 0.88:
            engine.draining = not engine.draining
        elif act < 0.91:
            engine.store.swap(replace(self.made))
        elif act < 0.94:
            self._close(peer)
        elif act < 0.98:
            self._call(peer)
        else:
            Attacker.act(self, peer)

    def _close(self, peer: Peer) -> None:
        old = peer.flow
        peer.flow = self.stage.flow(self.made.trunks[peer.name])
        self.stage.carry_out(self.stage.engine.flow_closed(old, self.stage.now))

    def further(self, method: str, other: str) -> list[tuple[str, str]]:
        if method == "REFER" and self.dice.random() < 0.2:
            return [("Refer-To", "<sip:112@x.example>")]
        return super().further(method, other)


@pytest.fixture(scope="module")
def media() -> Iterator[MediaIO]:
    plane = media_plane()
    yield plane
    plane.close()


@pytest.mark.pure
@pytest.mark.parametrize("spoiling", [0.0, 0.05])
def test_any_order_of_transfers_while_everything_else_happens_too(spoiling: float, media: MediaIO) -> None:
    told: dict[str, int] = {}
    for seed in range(200):
        attacker = Besieging(seed, spoiling, media)
        stage = attacker.stage
        assert isinstance(stage, Attacked)
        for _ in range(2 * STEPS):
            attacker.step()
            stage.settle()
        stage.engine.draining = False
        holds_nothing(stage)
        held = {name: stage.engine.limits.calls(name) for name in ("tenant one", "tenant two")}
        held |= {f"reserve of {name}": stage.engine.reserves.calls(name) for name in stage.peers}
        assert (stage.faults, stage.left_over()) == ([], []), f"seed {seed}, spoiling {spoiling}"
        assert not any(held.values()), f"seed {seed}, spoiling {spoiling}: {held}"
        stage.driver._timer.stop()
        for line in stage.lines:
            for event in ("transfer-begun", "transferred", "transfer-failed", "replaced"):
                told[event] = told.get(event, 0) + (f"event={event} " in line)
    assert all(number >= 5 for number in told.values()), f"the attacker did not get far: {told}"
