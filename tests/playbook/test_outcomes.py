"""What became of the calls of each trunk, counted by what its peers really said."""

from __future__ import annotations

import pytest

from sbc.b2bua.outcomes import Direction
from sbc.histogram import Histogram
from tests.playbook import test_actions, test_challenges
from tests.playbook.stage import RULES, SDP, Stage, snapshot
from tests.playbook.transfers import Transfer, from_target, staged


def codes(stage: Stage, trunk: str, direction: Direction) -> dict[str, int]:
    return stage.engine.outcomes.of(trunk, direction).codes


def test_an_answered_call_counts_for_both_trunks_with_its_delay_and_its_length() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.wait(1.5)
    stage.carrier.respond(invite, 180)
    stage.wait(2)
    stage.carrier.respond(invite, 200, body=SDP)
    assert codes(stage, "office", "inbound") == codes(stage, "carrier", "outbound") == {"200": 1}
    stage.office.hears(100)
    stage.office.hears(180)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.wait(60)
    stage.within("office", answer, "BYE")
    outcomes = stage.engine.outcomes
    for found in (outcomes.of("office", "inbound"), outcomes.of("carrier", "outbound")):
        assert found.ended == 1 and found.seconds == pytest.approx(60, abs=0.1)
        assert found.delays.count == 1 and found.delays.mean == pytest.approx(1.5, abs=0.1)
    assert codes(stage, "office", "outbound") == codes(stage, "carrier", "inbound") == {}


def test_a_refusal_and_what_was_tried_after_it_are_each_their_trunk_s() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears_request("INVITE"), 503)
    stage.backup.respond(stage.backup.hears_request("INVITE"), 486)
    assert codes(stage, "carrier", "outbound") == {"503": 1}
    assert codes(stage, "backup", "outbound") == codes(stage, "office", "inbound") == {"486": 1}
    assert stage.engine.outcomes.of("office", "inbound").delays.count == 0


def test_a_peer_that_cannot_be_had_or_is_silent_has_a_word() -> None:
    stage = Stage()
    stage.dead.add("carrier")
    stage.office.invite()
    stage.backup.hears_request("INVITE")
    stage.wait(40)
    assert codes(stage, "carrier", "outbound") == {"unreachable": 1}
    assert codes(stage, "backup", "outbound") == {"timeout": 1}
    assert codes(stage, "office", "inbound") == {"408": 1}


def test_a_peer_that_rings_for_too_long_is_a_timeout() -> None:
    stage = Stage(snapshot(RULES.replace(' then "backup" on 503, timeout, unreachable', ""), ring_timeout=20))
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears_request("INVITE"), 180)
    stage.wait(30)
    stage.carrier.hears("CANCEL")
    assert codes(stage, "carrier", "outbound") == {"timeout": 1}


def test_a_caller_who_gives_up_has_cancelled_the_try() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears_request("INVITE"), 180)
    stage.office.request("CANCEL")
    assert codes(stage, "carrier", "outbound") == {"cancelled": 1}
    assert codes(stage, "office", "inbound") == {"487": 1}


def test_an_answer_without_usable_media_is_no_answered_call() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears_request("INVITE"), 200, body=b"unusable")
    assert codes(stage, "carrier", "outbound") == {"unusable": 1}
    assert codes(stage, "office", "inbound") == {"488": 1}


def test_what_no_rule_lets_through_is_an_outcome_of_whoever_called() -> None:
    stage = Stage()
    stage.backup.invite()
    assert codes(stage, "backup", "inbound") == {"404": 1}


def test_who_is_transferred_has_not_called() -> None:
    stage = staged()
    ringing, _ = Transfer(stage).accepted().done()
    from_target(stage, ringing, "BYE")
    assert stage.engine.outcomes.known("office")[0][1].codes == {"200": 1}
    assert codes(stage, "carrier", "inbound") == {} and codes(stage, "carrier", "outbound") == {"200": 1}
    assert codes(stage, "backup", "outbound") == {"200": 1}
    assert [stage.engine.outcomes.of(each, "inbound").ended for each in ("office", "carrier")] == [1, 0]
    assert [stage.engine.outcomes.of(each, "outbound").ended for each in ("carrier", "backup")] == [1, 1]


def test_who_is_asked_for_a_password_has_not_called_yet() -> None:
    there = test_actions.stage(
        f'challenge "{test_actions.REALM}"\nroute "carrier"', users=test_actions.users()
    )
    asked = test_actions.challenged(there)
    assert there.engine.outcomes.known("office") == []
    there.office.invite(Proxy_Authorization=test_actions.credentials(asked), Call_ID="second")
    there.carrier.respond(there.carrier.hears_request("INVITE"), 486)
    assert codes(there, "office", "inbound") == {"486": 1}


def test_an_invite_that_is_sent_again_with_a_password_is_one_try() -> None:
    there = test_challenges.stage()
    there.office.invite()
    test_challenges.challenge(there, there.carrier.hears_request("INVITE"))
    there.carrier.hears("ACK")
    there.wait(1)
    there.carrier.respond(there.carrier.hears_request("INVITE"), 200, body=SDP)
    found = there.engine.outcomes.of("carrier", "outbound")
    assert found.codes == {"200": 1} and found.delays.count == 1
    assert found.delays.mean == pytest.approx(1, abs=0.1)


def test_a_session_that_is_too_short_for_the_peer_is_one_try() -> None:
    stage = Stage(snapshot(session_timer={"expires": 600}))
    stage.office.invite()
    first = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(first, 422, Min_SE="1800")
    stage.carrier.hears("ACK")
    stage.carrier.respond(stage.carrier.hears_request("INVITE"), 200, body=SDP)
    assert codes(stage, "carrier", "outbound") == {"200": 1}


def test_an_operator_s_histogram_holds_what_is_on_its_bound() -> None:
    found = Histogram((1.0, 2.0))
    assert found.mean is None
    for value in (0.5, 1.0, 1.5, 2.5):
        found.observe(value)
    assert found.counts == [2, 1, 1] and found.count == 4
    assert found.sum == 5.5
