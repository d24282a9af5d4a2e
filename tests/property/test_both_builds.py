"""Compiled and pure are one product: the same seeds come to the same outcomes in both builds.

Two processes, one that imports the sources of this checkout and one that imports what was compiled of them,
say what they make of each seed. Where they disagree the test shows the seed and both outcomes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import product
from tests.property.outcomes import KINDS

SEEDS = {"message": 1500, "description": 1000, "heard": 300, "conversation": 60, "decision": 1500}


def start(tree: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.property.outcomes", *words],
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{product.ROOT}", "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> list[str]:
    """What it printed, line by line."""
    output = process.communicate()[0]
    assert process.returncode == 0, "the process that tells the outcomes failed: see stderr"
    return output.splitlines()


def compare(one: Path, other: Path, *seeds: str) -> tuple[list[str], str]:
    """Which builds two directories have, and where they differ: the seeds, both outcomes of the first."""
    first, second = map(said, [start(tree, *seeds) for tree in (one, other)])
    assert len(first) == len(second) > 1
    differ = [line.split()[0] for line, against in zip(first[1:], second[1:], strict=True) if line != against]
    if differ:
        shown = ["\n".join(said(start(tree, differ[0], "show"))) for tree in (one, other)]
        return [first[0], second[0]], "\n".join([f"{len(differ)} seeds differ: {differ[:20]}", *shown])
    return [first[0], second[0]], ""


def test_compiled_and_pure_come_to_the_same_outcomes() -> None:
    if not product.is_compiled():
        pytest.skip(
            "NOTHING COMPILED OF THESE SOURCES IS INSTALLED: `make installed` does that, and compares"
        )
    assert SEEDS.keys() == KINDS.keys()
    seeds = [f"{kind}:0:{count}" for kind, count in SEEDS.items()]
    builds, differences = compare(product.ROOT, product.tree(), *seeds)
    assert builds == ["pure", "compiled"]
    assert not differences, differences


@pytest.mark.slow
def test_a_difference_is_found_and_both_outcomes_are_shown(tmp_path: Path) -> None:
    for package in product.PACKAGES:
        no_cache = shutil.ignore_patterns("__pycache__")
        shutil.copytree(product.ROOT / package, tmp_path / package, ignore=no_cache)
    changed = tmp_path / "sbc" / "sip" / "grammar.py"
    right, wrong = '"malformed header parameter"', '"a poor header parameter"'
    assert right in changed.read_text()
    changed.write_text(changed.read_text().replace(right, wrong))
    _, differences = compare(product.ROOT, tmp_path, "message:100:50")
    seed = differences.partition("['")[2].partition("'")[0]
    assert seed.startswith("message:1") and seed.endswith(":1")
    assert right.strip('"') in differences and wrong.strip('"') in differences
