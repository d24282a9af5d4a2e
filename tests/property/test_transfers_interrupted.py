"""Whatever comes between any two steps of a transfer: we make no mistake, and in the end hold nothing.

What is late or contradicts itself after that (an answer to what has been cancelled) the peers go on saying.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbc.net.media.embedded import MediaIO
from tests.property.driven import DrivenStage, media_plane
from tests.property.test_faults import (
    AGAIN,
    REFERS,
    SCENES,
    Step,
    callee,
    caller,
    closes,
    configuration,
    hung_up,
    unreachable,
    waits,
)

pytestmark = [pytest.mark.pure, pytest.mark.slow]


def lost(name: str) -> Step:
    def act(stage: DrivenStage) -> None:
        unreachable(name)[1](stage)
        closes(name)[1](stage)

    return f"{name} is gone for good", act


NAMES = ("office", "carrier", "backup")
INTERRUPTIONS: tuple[Step, ...] = (
    caller("BYE"), callee("BYE"), *[closes(name) for name in NAMES], *[lost(name) for name in NAMES],
    hung_up(), waits(41), REFERS, callee("INVITE", AGAIN), caller("INVITE", AGAIN), callee("INFO"),
    caller("UPDATE", AGAIN), ("it drains", lambda stage: setattr(stage.engine, "draining", True)),
)  # fmt: skip
# The steps before it are those of a call that comes about.
FIRST = 4


@pytest.fixture(scope="module")
def media() -> Iterator[MediaIO]:
    plane = media_plane()
    yield plane
    plane.close()


def interrupted(media: MediaIO, scene: str, moment: int, interruption: Step) -> list[str]:
    """What is wrong after ``scene`` with ``interruption`` before the step of that number."""
    hooks, steps = SCENES[scene]
    stage = DrivenStage(configuration(hooks), media)
    for name, act in (*steps[:moment], interruption, *steps[moment:]):
        try:
            act(stage)
        except (IndexError, ValueError, AssertionError):
            # Nobody has asked for what this step answers any more.
            assert name not in [each for each, _ in steps[:FIRST]], name
        stage.settle()
    for call in [each for each in stage.engine.calls.values() if each.state in ("answered", "up")]:
        stage.run(stage.engine.end_call, call.id, "over")
    stage.wind_up()
    return stage.faults + stage.left_over()


@pytest.mark.parametrize("scene", [each for each in SCENES if "transfer" in each])
def test_whatever_comes_between(scene: str, media: MediaIO) -> None:
    failed = []
    for moment in range(FIRST, len(SCENES[scene][1]) + 1):
        for interruption in INTERRUPTIONS:
            wrong = interrupted(media, scene, moment, interruption)
            if wrong:
                failed.append(f"{interruption[0]} before step {moment}: {wrong}")
    assert failed == [], "\n".join(failed)
