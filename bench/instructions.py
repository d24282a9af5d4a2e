"""How many instructions a step of `bench.core` takes, counted by valgrind: nearly the same in every run.

This file is also what valgrind runs, in any tree that has `bench.core`: the process loads everything once and
forks for each step one child that does nothing and one that goes through the step many times.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

UNIT = "instructions"
LOOPS = 50
_WARM = 20
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)


class NotCounted(Exception):
    """valgrind failed; the text is what it said."""


def count(python: Path, environment: Mapping[str, str], directory: Path) -> dict[str, float]:
    """The instructions of each step, by its name, of the tree that ``python`` imports in ``environment``."""
    argv = ["valgrind", "--quiet", "--tool=cachegrind", "--cache-sim=no", "--branch-sim=no"]
    argv += [f"--cachegrind-out-file={directory}/%p", str(python), "-P", __file__]
    ran = subprocess.run(argv, env={**environment, "PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    if ran.returncode:
        raise NotCounted(f"valgrind: {ran.stderr}")
    children: dict[str, tuple[int, int]] = json.loads(ran.stdout)
    return {
        name: (_read(directory / str(many)) - _read(directory / str(none))) / LOOPS
        for name, (none, many) in children.items()
    }


def _read(path: Path) -> int:
    found = _SUMMARY.search(path.read_text())
    if found is None:
        raise NotCounted(f"{path} has no summary")
    return int(found[1])


def _children() -> dict[str, tuple[int, int]]:
    from bench.core import steps  # of the tree that is counted

    gc.collect()
    gc.disable()
    children = {}
    for name, step in steps():
        for _ in range(_WARM):
            step()
        children[name] = (_child(step, 0), _child(step, LOOPS))
    return children


def _child(step: Callable[[], object], loops: int) -> int:
    pid = os.fork()
    if not pid:
        for _ in range(loops):
            step()
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


if __name__ == "__main__":
    json.dump(_children(), sys.stdout)
