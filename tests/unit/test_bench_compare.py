"""Two trees beside each other: what is refused as saying nothing, who runs when, and what decides."""

from __future__ import annotations

import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from bench.compare import CannotCompare, Tree, costlier, interleaved, main, tree_at, trees
from bench.report import Row

SOURCE = "sbc/sip/parse.py"


def checkout(root: Path, compiled: bool = False) -> Tree:
    """A checkout with one source, which is installed in its .venv."""
    (root / SOURCE).parent.mkdir(parents=True)
    (root / SOURCE).write_text("LIMIT = 1\n")
    venv.create(root / ".venv", symlinks=True)
    site = next((root / ".venv").glob("lib/python*/site-packages"))
    shutil.copytree(root / "sbc", site / "sbc")
    if compiled:
        (site / "sbc/sip/parse.so").touch()
    return tree_at(root)


def test_a_tree_runs_what_is_installed_there(tmp_path: Path) -> None:
    tree = checkout(tmp_path)
    where = "import sbc.sip.parse; print(sbc.sip.parse.__file__)"
    said = subprocess.run([*tree.python, "-c", where], cwd="/", capture_output=True, text=True, check=True)
    assert Path(said.stdout.strip()) == tree.site / SOURCE and tree.site.is_relative_to(tmp_path)


def test_a_directory_without_an_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotCompare, match=rf"{tmp_path}.*run `make demo`"):
        tree_at(tmp_path)


def test_an_environment_without_portcullis_is_refused(tmp_path: Path) -> None:
    tree = checkout(tmp_path)
    shutil.rmtree(tree.site / "sbc")
    with pytest.raises(CannotCompare, match=r"not installed.*run `make demo`"):
        tree_at(tmp_path)


def test_what_was_installed_from_other_sources_is_refused(tmp_path: Path) -> None:
    checkout(tmp_path)
    (tmp_path / SOURCE).write_text("LIMIT = 2\n")
    with pytest.raises(CannotCompare, match=r"changed since.*run `make demo`"):
        tree_at(tmp_path)


def test_compiled_beside_pure_is_refused_and_alike_is_not(tmp_path: Path) -> None:
    pure, first, second = (tmp_path / name for name in ("pure", "first", "second"))
    checkout(pure), checkout(first, compiled=True), checkout(second, compiled=True)
    with pytest.raises(CannotCompare, match=rf"{pure} is pure Python"):
        trees(first, pure)
    assert {name: tree.root for name, tree in trees(first, second).items()} == {
        "before": first,
        "after": second,
    }
    assert trees(pure, pure)["after"].root == pure


def test_the_command_says_why_it_compares_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert f"not compared: {tmp_path} has no" in capsys.readouterr().err


def test_runs_are_interleaved_and_the_one_that_begins_changes() -> None:
    both = {name: Tree(Path(name), Path(name)) for name in ("before", "after")}
    ran = []

    def piece(tree: Tree, seconds: float) -> dict[str, float]:
        ran.append(tree.root.name)
        return {"call": float(len(ran)), f"only {tree.root.name} does it": 1.0}

    rows = interleaved(both, piece, 3)
    assert ran == ["before", "after", "after", "before", "before", "after"]
    assert rows == [
        Row("call", "before", (1.0, 4.0, 5.0), "us CPU"),
        Row("call", "after", (2.0, 3.0, 6.0), "us CPU"),
    ]


def pair(work: str, before: float, after: float, unit: str = "us CPU") -> list[Row]:
    """Both rows of a work; one run before was disturbed."""
    return [
        Row(work, "before", (before, before, before * 9), unit),
        Row(work, "after", (after,), unit),
    ]


def test_what_costs_more_than_the_limit_is_named_by_medians() -> None:
    rows = pair("call", 1000, 1029) + pair("packet", 20, 20.7) + pair("handshake", 2000, 1000)
    assert costlier(rows, 3) == ["packet: 1.035"]
    assert costlier(rows, 4) == []


def test_instructions_decide_where_they_were_counted() -> None:
    noisy = pair("parse", 8, 12) + pair("decision", 2, 2)
    counts = pair("parse", 60_000, 60_100, "instructions") + pair("decision", 100, 110, "instructions")
    assert costlier(noisy + counts, 3) == ["decision: 1.100"]
