"""Characters of YAML scalars are found in the file, whatever the style they are written in."""

from __future__ import annotations

import pytest
from ruamel.yaml.nodes import MappingNode, ScalarNode

from dsl.load import load
from dsl.source import Source, places, text_of

STYLES = {
    "plain": "k: one @ two\n",
    "plain folded": "k: one\n   @ two\n",
    "single quoted": "k: 'it''s @ two'\n",
    "single quoted folded": "k: 'it''s\n\n  @ two'\n",
    "double quoted": 'k: "a \\"b\\" \\x41 \\u00e9 \\t @ two"\n',
    "double quoted folded": 'k: "a \\\n  b \\\n  @ two"\n',
    "literal": "k: |\n   one\n     @ two\n   three\n",
    "literal with blank lines": "k: |+  # comment\n\n   one\n\n   @ two\n\n",
    "literal with indentation": "k: |2\n    one\n  @ two\n",
    "folded": "k: >-\n  one é\n  two\n  @ two\n",
    "folded with paragraphs": "k: >\n  one\n\n  two\n    more\n  @ two\n",
    "flow": "{j: x, k: one @ two}\n",
    "crlf": "j: x\r\nk: |\r\n  one\r\n  @ two\r\n",
}


def scalar(text: str) -> tuple[Source, ScalarNode]:
    source = Source("a.yaml", text)
    root = source.compose()
    assert isinstance(root, MappingNode), source.diagnostics
    node = root.value[-1][1]
    assert isinstance(node, ScalarNode)
    return source, node


@pytest.mark.parametrize("style", STYLES)
def test_a_mark_is_found_where_it_is_written(style: str) -> None:
    source, node = scalar(STYLES[style])
    offset = text_of(node).index("@")
    assert places(source.text, node)[offset] == source.text.index("@")
    source.report_in(node, offset, "here")
    (found,) = source.diagnostics
    line = source.text.split("\n")[found.line - 1].rstrip("\r")
    assert found.source == line and line[found.col - 1] == "@"


@pytest.mark.parametrize("style", STYLES)
def test_every_written_character_stands_for_itself_or_an_escape(style: str) -> None:
    source, node = scalar(STYLES[style])
    for char, index in zip(text_of(node), places(source.text, node), strict=True):
        if not char.isspace():
            assert source.text[index] in (char, "\\")


def test_an_empty_value_is_reported_at_its_key_or_quotes() -> None:
    source, node = scalar("k: ''\n")
    source.report_in(node, 0, "empty")
    assert (source.diagnostics[0].line, source.diagnostics[0].col) == (1, 4)


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("when: trunk == teamz", (3, 20)),
        ("when: 'trunk == teamz'", (3, 21)),
        ('when: "trunk == teamz"', (3, 21)),
        ('when: "\\x74runk == teamz"', (3, 24)),
        ("when: |\n      trunk ==\n\n        teamz", (6, 9)),
        ("when: >-\n      sips and\n      trunk == teamz", (5, 16)),
        ("when: sips and\n      trunk == teamz", (4, 16)),
    ],
)
def test_a_mistake_in_any_style_points_into_the_file(rule: str, place: tuple[int, int]) -> None:
    _, (found,) = load({"a.yaml": f"rules:\n  - name: a\n    {rule}\n    then: reject 403\n"})
    assert (found.line, found.col) == place
    assert found.message == "there is no fact 'teamz'"


def test_what_is_shown_of_a_file_is_fit_for_a_terminal() -> None:
    _, (found, *_) = load({"a.yaml": "rules: \x1b[2J\n"})
    assert "\x1b" not in str(found)
