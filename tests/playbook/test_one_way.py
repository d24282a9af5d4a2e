"""One-way audio is named while the call runs, and ends it only where the trunk says so."""

from __future__ import annotations

import pytest

from sbc.media.silence import Quiet
from sbc.media.stats import LegStats, MediaStats, StreamStats
from sbc.sip.message import Response
from tests.playbook.stage import Stage, snapshot

REFUSED = {"authentication": 7, "malformed": 1}


def up(stage: Stage, seconds: float = 100.0) -> Response:
    """A call that has been up for so long; the 200 that its caller got."""
    _, answer = stage.established()
    stage.wait(seconds)
    return answer


def quiet(stage: Stage, a: float, b: float) -> None:
    """A look at the media finds the caller silent for ``a`` seconds, and the callee for ``b``."""
    (call,) = stage.engine.calls
    media = MediaStats((StreamStats("audio", LegStats(packets_in=70), LegStats(refused=REFUSED)),))
    stage.carry_out(stage.engine.media_quiet(Quiet(call, a, b, media), stage.now))


def named(stage: Stage) -> list[tuple[object, object, object]]:
    notes = stage.noted("one-way-audio")
    return [(each.fields["silent"], each.fields["trunk"], each.fields["seconds"]) for each in notes]


def ended(stage: Stage) -> dict[str, object]:
    (note,) = stage.noted("call-ended")
    return dict(note.fields)


def test_a_silent_side_is_named_once_with_its_trunk_and_what_was_refused() -> None:
    stage = Stage()
    up(stage)
    for seconds in (14.0, 15.2, 16.0, 50.0):
        quiet(stage, 0.0, seconds)
    assert named(stage) == [("callee", "carrier", 15)]
    (note,) = stage.noted("one-way-audio")
    assert note.fields["refused"] == "authentication:7,malformed:1" and note.fields["packets"] == 0
    quiet(stage, 20.0, 0.0)
    quiet(stage, 21.0, 0.0)
    assert named(stage) == [("callee", "carrier", 15), ("caller", "office", 20)]
    (call,) = stage.engine.calls.values()
    assert call.one_way == "both"


def test_the_record_says_who_was_not_heard() -> None:
    stage = Stage()
    answer = up(stage)
    quiet(stage, 0.0, 15.0)
    stage.within("office", answer, "BYE")
    assert ended(stage)["one_way"] == "callee"


@pytest.mark.parametrize(("a", "b"), [(60.0, 60.0), (15.0, 12.0), (0.0, 3.0)])
def test_a_pause_of_both_is_not_one_way(a: float, b: float) -> None:
    stage = Stage()
    up(stage)
    quiet(stage, a, b)
    assert named(stage) == []


def test_who_rings_and_who_has_just_answered_need_not_have_spoken() -> None:
    """Early media has one side; what counts are the seconds since the answer."""
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=b"v=0 answer")
    quiet(stage, 60.0, 0.0)
    assert named(stage) == []
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    stage.office.hears(183)
    answer = stage.office.hears_response(200)
    quiet(stage, 60.0, 0.0)
    stage.within("office", answer, "ACK")
    stage.wait(5.0)
    quiet(stage, 65.0, 0.0)
    assert named(stage) == []
    stage.wait(10.0)
    quiet(stage, 75.0, 0.0)
    assert named(stage) == [("caller", "office", 15)]


@pytest.mark.parametrize(("one_way", "least"), [(None, 0.0), (40.0, 40.0)])
def test_how_long_it_takes_is_the_operators_to_say(one_way: float | None, least: float) -> None:
    configuration = snapshot()
    media = configuration.settings.media.model_copy(update={"one_way": one_way})
    object.__setattr__(configuration, "settings", configuration.settings.model_copy(update={"media": media}))
    stage = Stage(configuration)
    up(stage)
    for seconds in (15.0, 39.0, 41.0):
        quiet(stage, seconds, 0.0)
    assert named(stage) == ([("caller", "office", 41)] if least else [])


def test_a_trunk_whose_media_may_not_stop_for_so_long_ends_the_call() -> None:
    stage = Stage(snapshot(media_timeout="30s"))
    up(stage)
    quiet(stage, 0.0, 29.0)
    assert stage.engine.calls
    quiet(stage, 0.0, 30.0)
    stage.office.hears("BYE")
    stage.carrier.hears("BYE")
    fields = ended(stage)
    assert fields["reason"] == "no media from the callee for 30 s" and fields["one_way"] == "callee"


def test_that_holds_where_neither_is_heard_too() -> None:
    stage = Stage(snapshot(media_timeout="30s"))
    up(stage)
    quiet(stage, 31.0, 31.0)
    assert ended(stage)["reason"] == "no media from the caller for 31 s" and named(stage) == []


def test_a_call_that_is_over_is_left_alone() -> None:
    stage = Stage()
    up(stage)
    assert stage.engine.media_quiet(Quiet("nobody", 60.0, 0.0, MediaStats()), stage.now) == []
