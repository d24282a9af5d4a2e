"""Calls over real ports: what one trunk takes of them, and what is left to the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbc.net.media.embedded import MediaIO
from tests.playbook.stage import snapshot
from tests.property.driven import DrivenStage, media_plane
from tests.unit.media.kit import audio, sdp

pytestmark = pytest.mark.pure  # the stage's clock takes the place of one that may be compiled

OFFER = sdp(audio())


@pytest.fixture
def media() -> Iterator[MediaIO]:
    plane = media_plane()  # 40 pairs
    yield plane
    plane.close()


def calls(stage: DrivenStage, trunk: str, count: int) -> tuple[int, int]:
    """How many of so many new calls are on their way, and how many got 503."""
    agent = stage.agents[trunk]
    before = stage.engine.limits.calls(trunk), len(agent.finals)
    for number in range(count):
        # Later rounds make calls of their own, for a Call-ID and CSeq are known already.
        agent.peer.request("INVITE", body=OFFER, Call_ID=f"{trunk}-{before[1]}-{number}")
        stage.settle()
    finals = list(agent.finals.values())[before[1] :]
    assert {each.status for each in finals} <= {503}
    return count - len(finals), len(finals)


def test_a_trunk_that_floods_leaves_ports_to_one_that_calls_later(media: MediaIO) -> None:
    stage = DrivenStage(snapshot(), media)
    assert calls(stage, "office", 50) == (18, 32)
    assert (media.held_ports("office"), media.free_ports()) == (36, 4)
    (line, *_) = [each for each in stage.lines if "[ports-refused]" in each]
    assert " WRN " in line and "trunk office holds 36 of 40 pairs" in line and "limits.ports" in line
    assert calls(stage, "carrier", 2) == (2, 0)
    assert (media.held_ports("carrier"), media.free_ports()) == (4, 0)
    stage.wind_up()
    assert media.free_ports() == 40 and not stage.faults


def test_a_trunk_may_hold_what_the_operator_says(media: MediaIO) -> None:
    stage = DrivenStage(snapshot(limits={"ports": 6}), media)
    assert calls(stage, "office", 5) == (3, 2)
    assert calls(stage, "carrier", 5) == (3, 2)
    assert any("its limits.ports is 6" in each for each in stage.lines)
    stage.wind_up()
    assert calls(stage, "office", 1) == (1, 0), "what came back may be taken again"
    stage.wind_up()
