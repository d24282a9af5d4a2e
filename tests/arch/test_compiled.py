"""Compiled or not: the checkout stays pure, and what is tested is the tree that was meant."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import sbc
from sbc.release import is_compiled, line
from sbc.sip import headers, parse
from tests.peers import product

ROOT = product.ROOT
OWN = Path(sbc.__path__[0]).parent


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


def test_the_installed_tree_is_compiled_where_the_tests_say_so() -> None:
    if not is_compiled():
        pytest.skip("NOT COMPILED: this tree is pure Python, which `make installed` may test compiled")
    with pytest.raises(TypeError):
        parse.parse_head("text is not bytes")  # type: ignore[arg-type]
    assert not hasattr(headers.Headers(), "__dict__")
