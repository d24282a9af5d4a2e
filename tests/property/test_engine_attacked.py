"""Whatever peers say and whenever: the engine does not fail inside, and in the end it holds nothing."""

from __future__ import annotations

import pytest

from tests.playbook.stage import Stage
from tests.property.attacker import Attacker

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
    assert not engine.calls and not engine.reception._dialogs and not len(engine.transactions)
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
