"""Whatever peers say and whenever: the engine does not fail inside, and in the end it holds nothing."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.net.media.embedded import MediaIO
from sbc.sip.digest_client import Account
from sbc.sip.message import Message
from sbc.sip.parse import parse_message
from tests.playbook.stage import Stage, snapshot
from tests.property.attacker import REALM, Attacker
from tests.property.driven import DrivenStage, media_plane
from tests.property.test_faults import AGAIN, OFFER
from tests.property.test_high_octets import configuration, everywhere

pytestmark = pytest.mark.slow

STEPS = 80


def play(seed: int, spoiling: float) -> Stage:
    attacker = Attacker(seed, spoiling)
    for _ in range(STEPS):
        attacker.step()
    return attacker.stage


def holds_nothing(stage: Stage) -> None:
    """Everybody falls silent; calls that are up are ended; then every timer runs out."""
    engine = stage.engine
    stage.wait(1000)
    assert {call.state for call in engine.calls.values()} <= {"up"}, "neither up nor over"
    for call in list(engine.calls):
        stage.carry_out(engine.end_call(call, "over", stage.now))
    stage.wait(1000)
    assert not engine.calls and not len(engine.dialogs) and not len(engine.transactions)
    assert {engine.limits.calls(name) for name in stage.peers} == {0}


@pytest.mark.parametrize("spoiling", [0.0, 0.1, 0.5])
def test_any_order_of_things(spoiling: float) -> None:
    reasons = set()
    for seed in range(40):
        stage = play(seed, spoiling)
        try:
            holds_nothing(stage)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, spoiling {spoiling}: {error}") from error
        reasons |= {note.fields["reason"] for note in stage.noted("call-ended")}
    assert len(reasons) > 8, f"the attacker did not get far: {reasons}"


@pytest.mark.parametrize("spoiling", [0.0, 0.2])
def test_any_order_of_things_between_peers_who_want_a_password(spoiling: float) -> None:
    accounts = {name: Account(name, REALM, "correct horse") for name in ("office", "carrier", "backup")}
    proven = 0
    for seed in range(40):
        stage = Stage(replace(snapshot(), accounts=accounts))
        attacker = Attacker(seed, spoiling, stage)
        attacker.statuses += (401,) * 8
        if seed % 2:
            invite, answer = stage.established()
            attacker.heard["carrier"].append(invite)
            attacker.heard["office"].append(answer)
        for _ in range(STEPS):
            attacker.step()
        heard = [each for messages in attacker.heard.values() for each in messages]
        proven += sum("Authorization" in each.headers for each in heard)
        try:
            holds_nothing(stage)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, spoiling {spoiling}: {error}") from error
    assert proven > 40, f"few challenges were answered: {proven}"


class PeerWire:
    """What is sent on a flow lies before the attacker."""

    def __init__(self, heard: deque[Message]) -> None:
        self.heard = heard

    def send(self, data: bytes) -> None:
        self.heard.append(parse_message(data))


class Attacked(DrivenStage):
    """The real driver with hooks, rules that look at everything, journal and records; flows end here."""

    def __init__(self, media: MediaIO, made: Snapshot | None = None) -> None:
        super().__init__(made or configuration(), media)
        for peer in self.peers.values():
            peer.flow.channel = PeerWire(peer.heard)

    def flow(self, trunk: Trunk, index: int = 0) -> Flow:
        flow = super().flow(trunk, index)
        if hasattr(self, "peers"):
            flow.channel = PeerWire(self.peers[trunk.trunk].heard)
        return flow

    def play(self, flow: Flow, message: Message) -> None:
        self.driver.on_message(flow, message)


@pytest.fixture(scope="module")
def media() -> Iterator[MediaIO]:
    plane = media_plane()
    yield plane
    plane.close()


def set_up(attacker: Attacker) -> None:
    """A call that is up when the attack begins."""
    stage = attacker.stage
    assert isinstance(stage, Attacked)
    stage.office.invite(OFFER)
    stage.settle()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=OFFER)
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.settle()
    attacker.heard["carrier"].append(invite)
    attacker.heard["office"].append(answer)


def soil(dice: Random, data: bytes) -> bytes:
    return everywhere(dice)(data) if dice.random() < 0.25 else data


@pytest.mark.pure
@pytest.mark.parametrize("spoiling", [0.0, 0.3])
def test_any_order_of_things_with_octets_from_0x80_up(spoiling: float, media: MediaIO) -> None:
    ended = up = 0
    for seed in range(60):
        stage = Attacked(media)
        attacker = Attacker(seed, spoiling, stage, soil)
        attacker.offer, attacker.answers = OFFER, (OFFER, AGAIN, b"v=0 unusable")
        if seed % 2:
            set_up(attacker)
        for _ in range(STEPS):
            attacker.step()
            stage.settle()
        holds_nothing(stage)
        assert (stage.faults, stage.left_over()) == ([], []), f"seed {seed}, spoiling {spoiling}"
        stage.driver._timer.stop()
        for line in stage.lines:
            assert line.isprintable() and line.encode()
        ended += len([json.loads(record) for record in stage.records])
        up += sum("event=call-up" in line for line in stage.lines)
    assert ended > 200 and up >= 30, f"the attacker did not get far: {ended} calls ended, {up} were up"
