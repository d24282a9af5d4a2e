"""What a hook may answer at each point, and what is said of anything else."""

from __future__ import annotations

import pytest

from sbc.hookapi import (
    Hop,
    Redirect,
    Reject,
    Route,
    SetHeader,
    SetPart,
    amend,
    hang_up,
    redirect,
    refuse,
    reject,
    route,
    with_edits,
)
from sbc.hookapi.results import MOST_TAGS, decided_by, result_refusal

POINTS = ("on_handshake", "on_invite", "on_route", "on_answer", "on_end")
ANSWERS = {
    "on_handshake": refuse("no"),
    "on_invite": amend(SetPart("from.user", "1"), SetHeader("X-A", "b"), tags=("vip",)),
    "on_route": route("carrier"),
    "on_answer": hang_up("no"),
}


@pytest.mark.parametrize("point", POINTS)
def test_each_point_takes_its_own_answers_and_none(point: str) -> None:
    assert result_refusal(point, None, ()) is None
    for other, answer in ANSWERS.items():
        why = result_refusal(point, answer, ("carrier",))
        assert (why is None) == (other == point), (point, other)
    for wrong in (0, True, "reject", object, [reject(403)]):
        assert (result_refusal(point, wrong, ()) or "").startswith(f"{type(wrong).__name__} is not ")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("answer", [reject(403), redirect("sip:a@b.example")])
def test_decisions_are_taken_around_the_rules_only(point: str, answer: object) -> None:
    assert (result_refusal(point, answer, ()) is None) == (point in ("on_invite", "on_route"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (amend(SetHeader("Via", "x")), "Via is written by the SBC itself"),
        (amend(SetHeader("X-A", "a\r\nX-B: c")), "X-A is set to what is not a text of one line"),
        (amend(SetHeader("X-A", "a\ud800")), "X-A is set to what is not a text of one line"),
        (amend(SetPart("from.user", None)), "from.user is set to what is not a text of one line"),  # type: ignore[arg-type]
        (amend("x"), "an edit is not a SetPart, SetParam, SetHeader, RemoveHeader or CopyHeader"),  # type: ignore[arg-type]
        (amend(tags=["vip"]), "the tags are not a tuple of at most 32 texts of one line"),  # type: ignore[arg-type]
        (amend(tags="vip"), "the tags are not a tuple of at most 32 texts of one line"),  # type: ignore[arg-type]
        (amend(tags=("",)), "the tags are not a tuple"),
        (amend(tags=("a\nb",)), "the tags are not a tuple"),
        (amend(tags=("x",) * (MOST_TAGS + 1)), "the tags are not a tuple"),
        (amend(tags=("x" * 257,)), "the tags are not a tuple"),
        (reject(200), "a call is rejected with 400 to 699"),
    ],
)
def test_an_answer_that_cannot_be_carried_out(answer: object, reason: str) -> None:
    assert (result_refusal("on_invite", answer, ()) or "").startswith(reason)


def test_a_reason_is_a_text_of_one_line() -> None:
    for wrong in ("a\nb", "x" * 257, None, 5):
        assert result_refusal("on_answer", hang_up(wrong), ()) == "the reason is not a text of one line"  # type: ignore[arg-type]
        assert result_refusal("on_handshake", refuse(wrong), ()) == "the reason is not a text of one line"  # type: ignore[arg-type]


def test_with_edits_keeps_all_else() -> None:
    first = Route((Hop("a"),), (SetHeader("X-A", "1"),), "required", "forbid", "r", ("fraud",))
    again = with_edits(first, SetHeader("X-B", "2"))
    assert again == Route(
        (Hop("a"),), (SetHeader("X-A", "1"), SetHeader("X-B", "2")), "required", "forbid", "r", ("fraud",)
    )


def test_who_decided_is_the_rule_then_the_hook() -> None:
    assert decided_by(Reject(403), "", "hook (a.py:1)").rule == "hook (a.py:1)"
    assert decided_by(Redirect(("sip:a",)), "r (1)", "hook (a.py:1)").rule == "r (1), then hook (a.py:1)"
    assert decided_by(Reject(403, "", "x"), "r", "hook (a.py:1)").rule == "x, then hook (a.py:1)"
    assert decided_by(Reject(403, "", 5), "r", "hook (a.py:1)").rule == "r, then hook (a.py:1)"  # type: ignore[arg-type]
