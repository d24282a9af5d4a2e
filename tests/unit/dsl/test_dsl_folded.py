"""A comment in a text whose lines YAML folds into one: what it takes in is no condition and no action."""

from __future__ import annotations

import pytest

from dsl.load import load
from dsl.names import Known

KNOWN = Known(trunks=frozenset(("office",)))
NO_COMMENT = 'to.user == "*21#" or to.user matches /#$/ or source in 10.0.0.0/8'


def told(when: str, then: str = " reject 403") -> list[str]:
    text = f"rules:\n  - name: it\n    when:{when}\n    then:{then}\n"
    _, found = load({"a.yaml": text}, KNOWN)
    return [f"{each.line}:{each.col} {each.message}" for each in found]


@pytest.mark.parametrize(
    ("when", "place", "last"),
    [
        (' >\n      trunk == "office"  # ours\n      and peer.verified', "4:26", 5),
        (" >-\n      sips  # ours\n      and peer.verified\n      and sips", "4:13", 6),
        (" 'sips # ours\n      and peer.verified'", "3:17", 4),
        (' "sips # ours\n      and peer.verified"', "3:17", 4),
    ],
)
def test_a_comment_that_takes_in_a_condition_is_told(when: str, place: str, last: int) -> None:
    assert told(when) == [
        f"{place} this comment takes in what stands up to line {last}, for YAML makes one line of them"
    ]


def test_a_comment_that_takes_in_an_action_is_told() -> None:
    (found,) = told(
        " true", ' >\n      require srtp;  # always\n      forbid downgrade;\n\n      route "office"'
    )
    assert found.startswith("5:22 this comment takes in what stands up to line 6")


@pytest.mark.parametrize(
    "when",
    [
        ' |\n      trunk == "office"  # ours\n      and peer.verified  # theirs',
        ' >\n      trunk == "office"\n      and peer.verified  # theirs',
        " 'sips # ours'",
        ' "sips # ours\\n and peer.verified"',
        f" >\n      {NO_COMMENT}\n      and sips",
        f" '{NO_COMMENT}\n      and sips'",
    ],
)
def test_a_comment_that_takes_in_nothing_is_not(when: str) -> None:
    assert told(when) == []


def test_the_remedy_works() -> None:
    folded = ' >\n      trunk == "office"  # ours\n      and peer.verified'
    assert told(folded.replace(">", "|")) == []
