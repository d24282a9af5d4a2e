"""A peer's text may hold lone surrogates: they stand for octets that were no UTF-8, and UTF-8 refuses them.

So in what runs for each message, text becomes octets only with a word on what is done about them: an
exception there is a fault of ours that any peer can cause, and it leaves a call half made.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.arch.sources import ROOT, Source, sources

SETUP = ast.parse((ROOT / "setup.py").read_text())
PATTERNS = next(
    ast.literal_eval(node.value)
    for node in SETUP.body
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED"
)
COMPILED = {path.relative_to(ROOT).as_posix() for pattern in PATTERNS for path in ROOT.glob(pattern)}


def strict(source: Source) -> Iterator[int]:
    """The lines that make octets of text and raise where it holds a surrogate."""
    for node in source.nodes:
        if not isinstance(node, ast.Call):
            continue
        given = [*node.args, *(each.value for each in node.keywords if each.arg == "errors")]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "encode":
            errors = given[-1] if len(given) > 1 or node.keywords else None
        elif isinstance(node.func, ast.Name) and node.func.id == "bytes" and len(given) > 1:
            errors = given[2] if len(given) > 2 else None
        else:
            continue
        if not isinstance(errors, ast.Constant) or errors.value == "strict":
            yield node.lineno


def test_no_text_of_a_peer_fails_to_become_octets() -> None:
    compiled = [source for source in sources("dsl", "sbc") if source.path in COMPILED]
    assert len(compiled) > 90
    assert [f"{source.path}:{line}" for source in compiled for line in strict(source)] == []


@pytest.mark.parametrize(
    "text",
    [
        "t.encode()",
        't.encode("utf-8")',
        'bytes(t, "utf-8")',
        't.encode("utf-8", "strict")',
        "t.encode('x', e)",
    ],
)
def test_this_test_sees_what_is_wrong(text: str) -> None:
    assert list(strict(Source("a.py", text))) == [1]


@pytest.mark.parametrize(
    "text",
    [
        't.encode("utf-8", "replace")',
        't.encode(errors="surrogateescape")',
        "bytes(3)",
        'bytes(t, "a", "replace")',
    ],
)
def test_this_test_lets_be_what_is_right(text: str) -> None:
    assert list(strict(Source("a.py", text))) == []
