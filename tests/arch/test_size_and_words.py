"""Small files, small functions, nothing left for later, and a sentence on every public name."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.arch.sources import ALL, PRODUCT, ROOT, functions, sources

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 50
# Spelled in halves, so that this file does not find itself.
FORBIDDEN = re.compile(
    "|".join(rf"\b{a}{b}\b" for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK")))
)
UNFINISHED = "NotImplemented" + "Error"
# Where an exception of any kind may end: the call path, whoever follows it, and code that is not ours.
CATCHES_ALL = {
    "sbc/net/driver.py", "sbc/observe/tap.py", "sbc/net/hooks/run.py", "sbc/config/hook_import.py",
    "sbc/net/alerts/apprise_sink.py",
}  # fmt: skip

EVERYTHING = sources(*ALL)
PRODUCT_SOURCES = sources(*PRODUCT)


def test_files_are_small() -> None:
    lengths = {source.path: len(source.text.splitlines()) for source in EVERYTHING}
    assert [path for path, length in lengths.items() if length > MOST_LINES_OF_A_FILE] == []


def test_functions_are_small() -> None:
    long = [
        f"{source.path}:{line} {name} ({length})"
        for source in EVERYTHING
        for line, name, length in functions(source)
        if length > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_nothing_is_left_for_later() -> None:
    found = [
        f"{source.path}:{at}"
        for source in EVERYTHING
        for at, line in enumerate(source.text.splitlines(), 1)
        if FORBIDDEN.search(line) or UNFINISHED in line
    ]
    assert found == []


def test_public_names_and_files_say_what_they_are() -> None:
    silent = [each for source in PRODUCT_SOURCES for each in undocumented(source.tree, source.path)]
    files = [source.path for source in PRODUCT_SOURCES if source.text and not ast.get_docstring(source.tree)]
    assert silent + files == []


def undocumented(node: ast.AST, place: str) -> Iterator[str]:
    """Public classes and functions without a docstring; what is in a function or Protocol is not public."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.ClassDef, ast.FunctionDef)):
            yield from undocumented(child, place)
        elif not child.name.startswith("_"):
            if not ast.get_docstring(child):
                yield f"{place}:{child.lineno} {child.name}"
            if isinstance(child, ast.ClassDef) and not _is_protocol(child):
                yield from undocumented(child, place)


def test_only_foreign_code_and_the_call_path_may_catch_everything() -> None:
    broad = [
        f"{source.path}:{line}"
        for source in PRODUCT_SOURCES
        if source.path not in CATCHES_ALL
        for line in catch_alls(source.nodes)
    ]
    assert broad == []


def catch_alls(nodes: Iterable[ast.AST]) -> list[int]:
    """Lines of handlers that catch every exception and do not raise it again at their end."""
    return [
        node.lineno
        for node in nodes
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]


def test_these_tests_see_what_is_wrong() -> None:
    method = "def b(self):\n        try:\n            pass\n        except Exception:\n            pass"
    tree = ast.parse(f"class A:\n    {method}")
    assert list(undocumented(tree, "a.py")) == ["a.py:1 A", "a.py:2 b"]
    assert catch_alls(ast.walk(tree)) == [5]


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def tracked() -> list[Path]:
    """The text files under version control, or [] outside of a clone."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=False)
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in map(ROOT.joinpath, names) if path.is_file()]


def test_no_private_key_is_under_version_control() -> None:
    paths = tracked()
    if not paths:
        pytest.skip("NOT A CLONE: git lists no files, so they were not searched for private keys")
    marker = b"-----BEGIN " + b"PRIVATE KEY-----"
    assert [path.name for path in paths if marker in path.read_bytes()] == []


def test_the_locks_are_exact() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / name).read_text().splitlines()
        wrong = [
            line
            for line in lines
            if line and not re.match(r"-r requirements\.lock$|[\w.-]+==[\w.]+( ;|$)", line)
        ]
        assert wrong == [], name


def test_every_import_of_the_product_is_in_the_lock() -> None:
    locked = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
    }
    known = packages_distributions()
    for source in PRODUCT_SOURCES:
        for line, name in source.imports:
            owners = {each.lower().replace("_", "-") for each in known.get(name.split(".")[0], [])}
            owners -= {"portcullis-sbc"}
            assert not owners or owners & locked, f"{source.path}:{line} {name} is not in requirements.lock"
