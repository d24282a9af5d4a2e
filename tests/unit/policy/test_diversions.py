"""Diversion and History-Info, each made of the other (RFC 7544)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.policy.diversions import Diverted, converted

TARGET = "sip:+4933@carrier.example;user=phone"
LAST = "<sip:+4933@carrier.example;user=phone;cause={}>;index={};mp={}"


def history(*diversions: str) -> list[str]:
    """The entries of the History-Info that these Diversions become."""
    fields = [("Subject", "x"), *[("Diversion", each) for each in diversions]]
    left, (name, value) = converted(fields, "history-info", TARGET)
    assert (left, name) == (("Subject", "x"), "History-Info")
    return value.split(", ")


def diversion(*entries: str) -> list[str]:
    """The Diversions that a History-Info becomes."""
    found = converted([("History-Info", ", ".join(entries))], "diversion", TARGET)
    assert {name for name, _ in found} <= {"Diversion"}
    return [value for _, value in found]


REASONS = {
    "unconditional": 302, "user-busy": 486, "no-answer": 408, "deflection": 480, "unavailable": 503,
    "unknown": 404, "time-of-day": 404, "do-not-disturb": 404, "follow-me": 404, "out-of-service": 404,
    "away": 404, "something": 404, '"user-busy"': 486, "User-Busy": 486,
}  # fmt: skip


@pytest.mark.parametrize(("reason", "cause"), REASONS.items())
def test_a_reason_is_the_cause_of_the_next_place(reason: str, cause: int) -> None:
    assert history(f"<sip:+4911@a.example>;reason={reason}") == [
        "<sip:+4911@a.example>;index=1", LAST.format(cause, "1.1", "1"),
    ]  # fmt: skip


def test_the_last_diversion_comes_first_and_the_first_place_too() -> None:
    assert history(
        '"B" <sip:+4922@b.example>;reason=user-busy, "A" <sip:+4911@a.example;user=phone>;reason=no-answer'
    ) == [
        '"A" <sip:+4911@a.example;user=phone>;index=1',
        '"B" <sip:+4922@b.example;cause=408>;index=1.1;mp=1',
        LAST.format(486, "1.1.1", "1.1"),
    ]
    assert history("<sip:2@b>;reason=user-busy", "<sip:1@a>;reason=no-answer") == [
        "<sip:1@a>;index=1", "<sip:2@b;cause=408>;index=1.1;mp=1", LAST.format(486, "1.1.1", "1.1"),
    ]  # fmt: skip


def test_who_is_withheld_stays_so() -> None:
    assert history("<sip:1@a>;reason=user-busy;privacy=full")[0] == "<sip:1@a?Privacy=history>;index=1"
    assert history("<sip:1@a>;reason=user-busy;privacy=off")[0] == "<sip:1@a>;index=1"
    entries = ("<sip:1@a?Privacy=history>;index=1", "<sip:2@b;cause=486>;index=1.1")
    assert diversion(*entries) == ["<sip:1@a>;reason=user-busy;privacy=full;counter=1"]


def test_diversions_that_only_a_counter_tells_of() -> None:
    entries = history("<sip:+4911@a.example>;reason=user-busy;counter=3")
    assert entries == [
        "<sip:unknown@unknown.invalid>;index=1",
        "<sip:unknown@unknown.invalid;cause=404>;index=1.1;mp=1",
        "<sip:+4911@a.example;cause=404>;index=1.1.1;mp=1.1",
        LAST.format(486, "1.1.1.1", "1.1.1"),
    ]
    assert diversion(*entries) == ["<sip:+4911@a.example>;reason=user-busy;privacy=off;counter=3"]


@pytest.mark.parametrize("count", ["0", "x", "999999", "99999999999"])
def test_a_counter_is_bounded(count: str) -> None:
    assert len(history(f"<sip:1@a>;counter={count}")) <= 22


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (302, "unconditional"), (486, "user-busy"), (408, "no-answer"), (480, "deflection"),
        (487, "deflection"), (503, "unavailable"), (404, "unknown"),
    ],
)  # fmt: skip
def test_a_cause_is_the_reason_of_whom_it_came_from(cause: int, reason: str) -> None:
    entries = ("<sip:1@a;user=phone>;index=1", f"<sip:2@b;cause={cause}>;index=1.1;mp=1")
    assert diversion(*entries) == [f"<sip:1@a;user=phone>;reason={reason};privacy=off;counter=1"]


def test_what_older_equipment_says_beside_who_diverted() -> None:
    """RFC 4244: a Reason of the place that was left, and no cause of the next one."""
    entries = (
        "<sip:1@a?Privacy=none&Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%22>;index=1", "<sip:2@b>;index=1.1",
    )  # fmt: skip
    assert diversion(*entries) == ["<sip:1@a>;reason=unconditional;privacy=off;counter=1"]


def test_a_place_that_the_call_was_only_sent_on_to_has_diverted_nothing() -> None:
    assert diversion("<sip:1@a>;index=1") == []
    assert diversion("<sip:1@a>;index=1", "<sip:2@b>;index=1.1;rc=1") == []
    assert diversion("<sip:1@a>;index=1", "<sip:2@b;cause=200>;index=1.1") == []


def test_whence_a_place_comes_is_told_by_mp_or_by_the_index() -> None:
    first, second = "<sip:1@a>;index=1", "<sip:2@b>;index=1.1"
    named = diversion(first, second, "<sip:3@c;cause=486>;index=1.2;mp=1")
    assert named == diversion(first, second, "<sip:3@c;cause=486>;index=1.2")
    assert named == ["<sip:1@a>;reason=user-busy;privacy=off;counter=1"]


@pytest.mark.parametrize("wanted", ["diversion", "history-info"])
def test_what_is_wanted_and_there_stays_as_it_is(wanted: Diverted) -> None:
    fields = [("Diversion", "<sip:1@a>;reason=away;limit=5"), ("History-Info", "<sip:9@z>;index=1")]
    kept = fields[0] if wanted == "diversion" else fields[1]
    assert converted(fields, wanted, TARGET) == [kept]
    assert converted(fields, "pass", TARGET) == fields and converted(fields, "none", TARGET) == []


@pytest.mark.parametrize("value", ["", "nobody", "<sip:", "<sip:1@a", ";reason=away", "<sip:1@a>;;="])
def test_what_cannot_be_read_is_left_out(value: str) -> None:
    assert converted([("Diversion", value)], "history-info", TARGET) == []
    assert converted([("History-Info", value)], "diversion", TARGET) == []


@given(
    st.lists(
        st.tuples(st.integers(1, 999), st.sampled_from(list(REASONS)[:6]), st.booleans(), st.integers(1, 3)),
        min_size=1,
        max_size=5,
    )
)
def test_there_and_back_again(diverters: list[tuple[int, str, bool, int]]) -> None:
    values = [
        f"<sip:{user}@h{user}.example>;reason={reason};privacy={'full' if full else 'off'};counter={count}"
        for user, reason, full, count in diverters
    ]
    assert diversion(*history(*values)) == values
