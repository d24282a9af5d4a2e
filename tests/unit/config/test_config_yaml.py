"""The YAML reader: places, YAML 1.2 words, and that no text can do more than be refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.config.yaml_reader import Document

TEXT = """\
a: 1
list:
  - x
  - key: value
    other: {deep: [10, 20]}
block: |
  text
"empty":
"""


class TestPlaces:
    @pytest.mark.parametrize(
        ("loc", "key", "place"),
        [
            ((), False, (1, 1)),
            (("a",), False, (1, 4)),
            (("a",), True, (1, 1)),
            (("list",), False, (2, 1)),
            (("list", 0), False, (3, 5)),
            (("list", 1), False, (4, 5)),
            (("list", 1, "other"), False, (5, 5)),
            (("list", 1, "other", "deep", 1), False, (5, 24)),
            (("block",), False, (6, 8)),
            (("empty",), False, (8, 1)),
            (("list", 7), False, (2, 1)),
            (("nowhere", "at", "all"), False, (1, 1)),
            (("a", "below", "a", "scalar"), False, (1, 1)),
        ],
    )
    def test_of_values_and_keys(self, loc: tuple[str | int, ...], key: bool, place: tuple[int, int]) -> None:
        assert Document("x.yaml", TEXT).place(loc, key=key) == place

    def test_the_arrow_stands_under_the_mistake(self) -> None:
        told = str(Document("x.yaml", TEXT).problem(("list", 1, "key"), "wrong", "right"))
        assert told == ("x.yaml:4:10: error: wrong\n      - key: value\n             ^\n    hint: right")


class TestScalars:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("off", "off"), ("no", "no"), ("yes", "yes"), ("true", True), ("False", False), ("~", None),
            ("", None), ("5", 5), ("-5", -5), ("010", 10), ("0x1f", 31), ("1_000", 1000), ("1.5", 1.5),
            (".inf", float("inf")), ("'5'", "5"), ("5s", "5s"), ("12:30", "12:30"),
            ("2026-01-01", "2026-01-01"), ("1.2.3.4", "1.2.3.4"),
        ],
    )  # fmt: skip
    def test_yaml_1_2(self, written: str, value: object) -> None:
        assert Document("x.yaml", f"key: {written}\n").data == {"key": value}

    def test_keys_are_text(self) -> None:
        assert Document("x.yaml", "1: a\ntrue: b\n").data == {"1": "a", "true": "b"}


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "place", "message"),
        [
            ("a: &x {b: *x}\n", (1, 4), "an alias stands inside its own anchor"),
            ("a: &x {b: 1}\nc: {<<: *x}\n", (2, 5), "merge keys (<<) are not supported"),
            ("[a]: 1\n", (1, 1), "a key must be a word"),
            ("a: *nobody\n", (1, 4), "an alias names an anchor that does not exist"),
            ("a: 1\n---\nb: 2\n", (2, 1), "a second document (---) is in the file"),
            ("a: @b\n", (1, 4), "this character cannot stand here"),
            ("a: [*]\n", (1, 5), "* and & begin an alias or an anchor, and this names none"),
            ("a:\n\tb: 1\n", (2, 1), "a tab indents this line"),
            ("b: 1\na:\t1\n", (2, 3), "a tab stands here"),
            ("a:\n   b: 1\n  c: 2\n", (3, 3), "the indentation does not fit the lines above"),
            ("key\nother: 1\n", (2, 6), "a colon stands where none may be"),
            ("a: !!set {x}\n", (1, 4), "tag tag:yaml.org,2002:set is not supported"),
        ],
    )
    def test_with_its_place(self, text: str, place: tuple[int, int], message: str) -> None:
        told = Document("x.yaml", text).diagnostics[0]
        assert ((told.line, told.col), told.message) == (place, message)

    @pytest.mark.parametrize("written", ["*.example.net", "*"])
    def test_a_text_that_begins_with_a_star_goes_in_quotes(self, written: str) -> None:
        refused = Document("x.yaml", f"domains: [{written}]\n")
        assert "in quotes" in refused.diagnostics[0].hint
        assert Document("x.yaml", f'domains: ["{written}"]\n').data == {"domains": [written]}

    def test_an_anchor_may_be_used_again(self) -> None:
        assert Document("x.yaml", "a: &x [1]\nb: *x\n").data == {"a": [1], "b": [1]}

    @pytest.mark.slow
    def test_aliases_of_aliases_are_bounded(self) -> None:
        lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
        document = Document("x.yaml", "\n".join(lines))
        assert [each.message for each in document.diagnostics] == ["the file is too large with its aliases"]


@given(st.text(alphabet=st.sampled_from("ab:-[]{}#&*!|>'\"%@`,? \n\t<~1."), max_size=60))
def test_no_text_raises(text: str) -> None:
    document = Document("x.yaml", text)
    for told in document.diagnostics:
        assert told.line >= 1
        assert told.col >= 1


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text("abc :#'\"{}-", max_size=8),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text("abc", min_size=1), below, max_size=3)
    ),
    max_leaves=10,
)


@pytest.mark.slow
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=4))
def test_json_is_read_as_it_is(data: dict[str, object]) -> None:
    document = Document("x.yaml", json.dumps(data, indent=1))
    assert document.diagnostics == []
    assert document.data == data


@pytest.mark.slow
@pytest.mark.parametrize("deep", [150, 450, 700])
def test_a_file_nested_without_end_is_a_mistake_not_a_crash(deep: int) -> None:
    for text in ("a: " + "[" * deep, "a: " + "[" * deep + "]" * deep):
        document = Document("x.yaml", text)
        assert document.diagnostics or (deep < 700 and text.endswith("]") and document.data is not None)


@pytest.mark.parametrize("head", ["", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n"])
def test_only_true_and_false_are_truths_whatever_version_the_file_says(head: str) -> None:
    text = f"{head}a: no\nb: on\nc: true\nd: False\ne: off\nf: y\n"
    assert Document("x.yaml", text).data == {
        "a": "no",
        "b": "on",
        "c": True,
        "d": False,
        "e": "off",
        "f": "y",
    }


def test_a_tag_makes_no_truth_of_a_word() -> None:
    assert Document("x.yaml", "a: !!bool yes\nb: !!bool TRUE\n").data == {"a": "yes", "b": True}
