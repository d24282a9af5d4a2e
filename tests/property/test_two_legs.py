"""Whatever two user agents do, and whichever connections close: both legs end, and nothing is left.

Whoever had a 2xx, or gave one, is told BYE or has said it; whoever asked has a final answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sbc.net.media.embedded import MediaIO
from tests.property.driven import media_plane
from tests.property.two_legs import Walk

pytestmark = pytest.mark.pure
TRANSPORTS = ("udp", "tcp", "tls")


@pytest.fixture(scope="module")
def media() -> Iterator[MediaIO]:
    plane = media_plane()
    yield plane
    plane.close()


def walk(seed: int, transport: str, media: MediaIO, steps: int) -> Walk:
    """A walk that ends well; where it does not its story is told."""
    walked = Walk(seed, transport, media)
    stage = walked.stage
    try:
        walked.run(steps)
        found = (stage.faults, stage.left_over(), stage.owed())
        assert found == ([], [], [])
        followed = sum("event=redirect-followed" in line for line in stage.lines)
        assert len(stage.records) <= 1 + followed, "one record a call, and a redirect that is followed is one"
    except AssertionError as error:
        story = "\n".join([f"seed {seed}, {transport}: {error}", *walked.told])
        raise AssertionError(story) from error
    finally:
        stage.driver._timer.stop()
    return walked


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_few_walks(transport: str, media: MediaIO) -> None:
    for seed in range(12):
        walk(seed, transport, media, 25)


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_walks(transport: str, media: MediaIO) -> None:
    reasons: set[str] = set()
    up = 0
    for seed in range(100, 500):
        walked = walk(seed, transport, media, 20 + seed % 40)
        reasons |= {json.loads(record)["reason"] for record in walked.stage.records}
        up += any("event=call-up" in line for line in walked.stage.lines)
    assert up > 40 and len(reasons) > 8, f"they did not get far: {up} were up; {reasons}"
