"""Compiled or not: the checkout stays pure, and what is tested is the tree that was meant."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

import sbc
from sbc.release import is_compiled, line
from sbc.sip import headers, parse
from tests.peers import product

ROOT = product.ROOT
OWN = Path(sbc.__path__[0]).parent
COMPILED: tuple[str, ...] = next(
    ast.literal_eval(each.value)
    for each in ast.parse((ROOT / "setup.py").read_text()).body
    if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "COMPILED"
)


def test_nothing_compiled_lies_in_the_checkout() -> None:
    found = [path for package in product.PACKAGES for path in (ROOT / package).rglob("*.so")]
    assert found == [], "a library beside its source is imported instead of it, however old it is"


def test_the_tests_import_the_tree_that_was_meant(request: pytest.FixtureRequest) -> None:
    first = request.config.getini("pythonpath")[0]
    meant = (request.config.rootpath / first).resolve()
    assert OWN.resolve() == meant
    assert is_compiled() == any((meant / "sbc" / "sip").glob("*.so"))


def test_the_version_says_whether_it_is_compiled() -> None:
    assert ("pure Python" in line()) == (not is_compiled())


def test_compiled_is_all_or_nothing() -> None:
    modules = [path.stem for path in (OWN / "sbc" / "sip").glob("*.py") if path.stem != "__init__"]
    libraries = {path.name.partition(".")[0] for path in (OWN / "sbc" / "sip").glob("*.so")}
    assert libraries == (set(modules) if is_compiled() else set())


def test_a_process_runs_the_same_sources_as_the_checkout() -> None:
    run = subprocess.run(product.command("--version"), cwd=ROOT, capture_output=True, text=True, check=True)
    assert ("pure Python" in run.stdout) == (not product.is_compiled())


def test_no_attribute_is_a_word_of_c() -> None:
    """mypyc puts a _ before the name of an attribute: of ``_thread`` comes ``__thread``, and no library."""
    words = r"\bself\._(thread|asm|const|inline|volatile|signed|typeof|alignof|attribute|extension|label"
    words += r"|real|imag|restrict|complex|int128|auto_type|func)\b"
    paths = [path for part in COMPILED for path in ROOT.glob(part)]
    found = [f"{path.name}: {match[0]}" for path in paths for match in re.finditer(words, path.read_text())]
    assert len(paths) > 100 and found == []


def test_no_constant_is_a_plain_tuple_of_floats() -> None:
    """mypyc takes such a one, where it is ``Final``, for one that was never set."""
    paths = [path for part in COMPILED for path in ROOT.glob(part)]
    plain = r"^\w+: Final = \(\s*-?\d[\d_]*(?:\.|e)[\d.e-]*,.*"
    assert [found[0] for path in paths for found in re.finditer(plain, path.read_text(), re.M)] == []


def test_the_installed_tree_is_compiled_where_the_tests_say_so() -> None:
    if not is_compiled():
        pytest.skip("NOT COMPILED: this tree is pure Python, which `make installed` may test compiled")
    with pytest.raises(TypeError):
        parse.parse_head("text is not bytes")  # type: ignore[arg-type]
    assert not hasattr(headers.Headers(), "__dict__")
