"""How many instructions a step of `bench.core` takes, counted by valgrind, which no busy machine disturbs.

Where objects lie in memory does change them: a dictionary has more or fewer collisions, which a small step
feels by some per cent. So they are counted several times, with different seeds for the hashes.

This file is also what valgrind runs, in any tree that has `bench.core`: the process loads everything once and
forks for each step one child that does nothing and one that goes through the step many times.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

UNIT = "instructions"
_WARM = 20
# What happens once by chance, such as a new arena, must weigh little: a small step is repeated for so long.
_SECONDS, _LEAST = 0.2, 50
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)


class NotCounted(Exception):
    """valgrind failed; the text is what it said."""


def count(python: Path, environment: Mapping[str, str], seed: int = 0) -> dict[str, float]:
    """The instructions of each step, by its name, of the tree that ``python`` imports in ``environment``."""
    with TemporaryDirectory(prefix="bench-") as directory:
        return _count(python, {**environment, "PYTHONHASHSEED": str(seed)}, Path(directory))


def _count(python: Path, environment: Mapping[str, str], directory: Path) -> dict[str, float]:
    argv = ["valgrind", "--quiet", "--tool=cachegrind", "--cache-sim=no", "--branch-sim=no"]
    argv += [f"--cachegrind-out-file={directory}/%p", str(python), "-P", __file__]
    ran = subprocess.run(argv, env=dict(environment), capture_output=True, text=True)
    if ran.returncode:
        raise NotCounted(f"valgrind ended with {ran.returncode}: {ran.stderr}")
    children: dict[str, tuple[int, int, int]] = json.loads(ran.stdout)
    return {
        name: (_read(directory / str(many)) - _read(directory / str(none))) / loops
        for name, (loops, none, many) in children.items()
    }


def _read(path: Path) -> int:
    found = _SUMMARY.search(path.read_text())
    if found is None:
        raise NotCounted(f"{path} has no summary")
    return int(found[1])


def _children() -> dict[str, tuple[int, int, int]]:
    """Of each step the number of loops, the child that did none and the child that did them."""
    from bench.core import steps  # of the tree that is counted

    gc.collect()
    gc.disable()
    children = {}
    for name, step in steps():
        begun = time.process_time()
        for _ in range(_WARM):
            step()
        loops = max(_LEAST, int(_SECONDS * _WARM / (time.process_time() - begun)))
        children[name] = (loops, _child(step, 0), _child(step, loops))
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
    print(json.dumps(_children()), flush=True)
    os._exit(0)  # what it loaded need not be taken down, which takes valgrind a while
