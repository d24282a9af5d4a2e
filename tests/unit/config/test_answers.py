"""``answers`` of a trunk: what may stand in it, and what is said of what may not."""

from __future__ import annotations

import pytest

from sbc.config.answers import parse_answers


def test_statuses_and_classes() -> None:
    assert parse_answers({603: 486, "5xx": "503"}) == {"603": 486, "5xx": 503}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("603", "write such as {603: 486}"),
        ({302: 486}, "'302' is no refusal"),
        ({"7xx": 486}, "'7xx' is no refusal"),
        ({603: "5xx"}, "'5xx' is no refusal"),
        ({603: True}, "'' is no refusal"),
        ({603: 200}, "'200' is no refusal"),
        ({603: 407}, "407 asks for a password"),
    ],
)
def test_what_is_no_answer(wrong: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_answers(wrong)
