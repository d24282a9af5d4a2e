"""The table of a call's life: total, final at its end, and each row what RFC 3261 9, 13 and 15 want."""

from __future__ import annotations

import pytest

from sbc.b2bua.states import ANSWERED, CALL, EARLY, ENDED, LEFT, RINGING, ROUTING, TRYING, UP, Event, State

STATES: tuple[State, ...] = (*EARLY, ANSWERED, UP, LEFT, ENDED)
EVENTS: tuple[Event, ...] = (
    "decision", "provisional", "answer", "ack", "refused", "redirected", "cancel", "lost", "bye",
    "leave", "moved", "idle", "clear",
)  # fmt: skip


def after(state: State, *events: Event) -> State:
    for event in events:
        state = CALL[state, event][0]
    return state


def test_every_state_has_a_row_for_every_event() -> None:
    assert set(CALL) == {(state, event) for state in STATES for event in EVENTS}


@pytest.mark.parametrize("event", EVENTS)
def test_nothing_happens_to_a_call_that_has_ended(event: Event) -> None:
    assert CALL[ENDED, event] == (ENDED, ())


def test_a_call_that_goes_well() -> None:
    assert after(ROUTING, "decision") == TRYING
    assert after(TRYING, "provisional") == after(RINGING, "provisional") == RINGING
    assert after(TRYING, "answer") == after(RINGING, "answer") == ANSWERED
    assert after(ANSWERED, "ack") == UP
    assert after(UP, "bye") == ENDED


def test_whatever_ends_a_call_gives_back_what_it_held_last_and_once() -> None:
    for (state, _), (next_state, actions) in CALL.items():
        if next_state == ENDED and state != ENDED:
            assert actions[-1] == "release" and actions.count("release") == 1
        else:
            assert "release" not in actions


@pytest.mark.parametrize("state", EARLY)
@pytest.mark.parametrize("event", ["cancel", "lost", "bye", "clear"])
def test_before_the_answer_a_call_is_withdrawn_not_hung_up(state: State, event: Event) -> None:
    assert CALL[state, event] == (ENDED, ("withdraw", "release"))


@pytest.mark.parametrize("state", [ANSWERED, UP, LEFT, ENDED])
@pytest.mark.parametrize("event", ["decision", "provisional", "answer", "refused", "cancel", "lost"])
def test_what_belongs_before_the_answer_comes_too_late_after_it(state: State, event: Event) -> None:
    if (state, event) != (ANSWERED, "lost"):
        assert CALL[state, event] == (state, ())


def test_an_answer_that_reaches_nobody_is_hung_up() -> None:
    assert CALL[ANSWERED, "lost"] == CALL[ANSWERED, "clear"]


@pytest.mark.parametrize("state", [ROUTING, TRYING, RINGING, UP, LEFT, ENDED])
def test_an_ack_means_something_once_after_a_2xx(state: State) -> None:
    assert CALL[state, "ack"] == (state, ())


@pytest.mark.parametrize("state", [ROUTING, TRYING, RINGING, ANSWERED, LEFT, ENDED])
def test_silence_proves_nothing_but_in_a_call_that_is_up(state: State) -> None:
    assert CALL[state, "idle"] == (state, ())
