"""The headers of a call as rules see them after edits: by name, however many edits there were."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from dsl.decision import CopyHeader, Edit, RemoveHeader, Route, SetHeader
from dsl.draft import Draft, EditedHeaders
from dsl.facts import Facts
from dsl.load import load
from dsl.ownership import matches_glob

Lookup = Callable[[str], str | None]
NAMES = ("X-A", "x-a", "X-B", "Subject", "s", "S", "X-Long", "Via")
GLOBS = (*NAMES, "X-*", "*", "?", "x-?", "Sub*")
CALLERS: dict[str, str] = {"x-a": "1", "subject": "hello", "s": "hello", "x-long": ""}


def callers(name: str) -> str | None:
    return CALLERS.get(name.lower())


def after(header: Lookup, edit: Edit) -> Lookup:
    """One edit in words: what a look-up gives after it, by what it gave before."""
    match edit:
        case SetHeader(name, text):
            return lambda asked: text if asked.lower() == name.lower() else header(asked)
        case RemoveHeader(glob):
            return lambda asked: None if matches_glob(asked, glob) else header(asked)
        case CopyHeader(source, name) if name and (found := callers(source)) is not None:
            return lambda asked: found if asked.lower() == name.lower() else header(asked)
    return header


def some_edit(dice: Random) -> Edit:
    match dice.randrange(4):
        case 0:
            return RemoveHeader(dice.choice(GLOBS))
        case 1:
            return CopyHeader(dice.choice(NAMES), dice.choice(("", *NAMES)))
        case _:
            return SetHeader(dice.choice(NAMES), dice.choice(("", "2", "3")))


@pytest.mark.parametrize("seed", range(20))
def test_each_edit_changes_what_is_found_as_it_says(seed: int) -> None:
    dice = Random(seed)
    for _ in range(40):
        headers = EditedHeaders(callers)
        expected: Lookup = callers
        for _ in range(dice.randrange(12)):
            edit = some_edit(dice)
            headers.apply(edit)
            expected = after(expected, edit)
            assert [headers.get(name) for name in NAMES] == [expected(name) for name in NAMES]


def test_so_many_edits_as_one_likes() -> None:
    draft = Draft(Facts(header=callers))
    for number in range(100_000):
        draft.edit_headers(SetHeader(f"X-{number % 50_000}", str(number)))
    draft.edit_headers(RemoveHeader("X-7"))
    assert draft.header("x-8") == "50008"
    assert draft.header("X-7") is None
    assert draft.header("Subject") == "hello"
    assert len(draft.edits) == 100_001


def test_rules_that_go_on_after_each_of_many_edits() -> None:
    one = '  - {{name: r{0}, when: true, then: "set header \\"X-{0}\\" = to.user; continue"}}\n'
    last = '  - name: last\n    when: header("X-0") == "1" and header("X-1499") == "1"\n    then: route "a"\n'
    rules, problems = load({"r.yaml": "rules:\n" + "".join(map(one.format, range(1500))) + last})
    assert rules is not None, problems
    decision = rules.decide(Facts(ruri_user="1"))
    assert isinstance(decision, Route) and len(decision.edits) == 1500
    assert decision == rules.explain(Facts(ruri_user="1"))[0]
