"""OPTIONS probing: thresholds, recovery, and what a trunk that is down means for calls."""

from __future__ import annotations

import pytest

from sbc.base import Address
from sbc.sip.message import response_to
from tests.playbook.stage import Stage, snapshot


def probing(down_after: int = 2) -> Stage:
    """A stage whose trunks are all probed every ten seconds."""
    return Stage(snapshot(options={"every": 10, "down_after": down_after}))


def probe(stage: Stage) -> None:
    stage.carry_out(stage.engine.probe(stage.now))


def up(stage: Stage, host: str) -> bool | None:
    """What the probes say of a peer of the carrier."""
    trunk = stage.engine.store.current.trunks["carrier"]
    return stage.engine.peers.state(trunk, Address(host, 5061)).up


def down(stage: Stage) -> bool:
    """Whether the carrier is down."""
    return stage.engine.peers.is_down(stage.engine.store.current.trunks["carrier"])


def test_a_trunk_that_answers_is_up() -> None:
    stage = probing()
    probe(stage)
    asked = stage.carrier.hears_request("OPTIONS")
    assert asked.target.user == "" and asked.contact is not None
    stage.carrier.respond(asked, 404)
    assert up(stage, "carrier.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [("Contact", "<sip:trunk@carrier.example;>"), ("Contact", "sip:a b"), ("Record-Route", "<nowhere"),
     ("CSeq", "99 OPTIONS"), ("Max-Forwards", "many")],
)  # fmt: skip
def test_whoever_answers_is_there_however_it_says_so(name: str, value: str) -> None:
    """A response that is malformed is discarded (RFC 3261 16.7), but no trunk is down that answers."""
    stage = probing(down_after=1)
    probe(stage)
    asked = stage.carrier.hears_request("OPTIONS")
    answer = response_to(asked, 200, "", "callee")
    answer.headers.add(name, value)
    stage.carrier.say(answer)
    assert up(stage, "carrier.example")
    stage.wait(60)
    assert up(stage, "carrier.example")


def test_a_refusal_of_service_counts_however_it_is_written() -> None:
    stage = probing(down_after=1)
    probe(stage)
    stage.carrier.respond(stage.carrier.hears_request("OPTIONS"), 503, Contact="sip:a b")
    assert up(stage, "carrier.example") is False


def test_a_probe_is_sent_when_it_is_due_and_only_then() -> None:
    stage = probing()
    probe(stage)
    stage.carrier.respond(stage.carrier.hears("OPTIONS"), 200)
    stage.now += 9
    probe(stage)
    stage.carrier.hears_nothing()
    stage.now += 1
    probe(stage)
    stage.carrier.hears("OPTIONS")


def test_trunks_without_options_are_not_probed() -> None:
    stage = Stage()
    probe(stage)
    stage.carrier.hears_nothing()
    assert not any(stage.engine.peers.known(trunk) for trunk in stage.engine.store.current.trunks.values())


def test_enough_failures_take_a_trunk_down_and_one_answer_brings_it_back() -> None:
    stage = probing(down_after=2)
    stage.dead.add("carrier")
    probe(stage)
    assert not down(stage)
    stage.now += 10
    probe(stage)
    assert down(stage)
    assert [note.fields["trunk"] for note in stage.noted("trunk-down")] == ["carrier"]
    stage.dead.clear()
    stage.now += 10
    probe(stage)
    stage.carrier.respond(stage.carrier.hears("OPTIONS"), 200)
    assert not down(stage)
    assert len(stage.noted("trunk-up")) == 1


def test_503_and_silence_are_failures() -> None:
    stage = probing(down_after=2)
    probe(stage)
    stage.carrier.respond(stage.carrier.hears("OPTIONS"), 503)
    stage.now += 10
    probe(stage)
    stage.carrier.hears("OPTIONS")
    stage.wait(33)
    assert down(stage)


def test_silence_is_a_failure_once_the_trunk_has_waited_long_enough() -> None:
    stage = Stage(snapshot(options={"every": 10, "down_after": 1}, response_timeout=3))
    probe(stage)
    unanswered = stage.carrier.hears("OPTIONS")
    stage.now += 2
    probe(stage)
    assert up(stage, "carrier.example") is None
    stage.now += 1
    probe(stage)
    assert down(stage)
    assert stage.noted("peer-down")[-1].fields["reason"] == "no answer to OPTIONS"
    stage.now += 7
    probe(stage)
    stage.carrier.respond(stage.carrier.hears("OPTIONS"), 200)
    assert not down(stage)
    stage.wait(33)  # the transaction of the first one ends, and counts no second time
    assert not down(stage)
    stage.carrier.respond(unanswered, 200)


def test_an_answer_that_comes_late_brings_a_peer_back() -> None:
    stage = Stage(snapshot(options={"every": 10, "down_after": 1}, response_timeout=3))
    probe(stage)
    late = stage.carrier.hears("OPTIONS")
    stage.now += 3
    probe(stage)
    assert down(stage)
    stage.carrier.respond(late, 200)
    assert not down(stage)


def test_a_call_passes_over_a_trunk_that_is_down() -> None:
    stage = probing(down_after=1)
    stage.dead.add("carrier")
    probe(stage)
    stage.dead.clear()
    stage.backup.heard.clear()
    stage.office.invite()
    stage.carrier.hears_nothing()
    stage.backup.hears("INVITE")
    assert "down" in str(stage.noted("hop-refused")[0].fields["reason"])
