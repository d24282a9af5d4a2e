"""Which tree of Portcullis a process under test runs: the installed one where it is of these very sources.

`make` installs a copy outside of the checkout, compiled where that can be done. That copy is what people run,
so it is what processes in tests and benchmarks run; but never a stale one: where any source differs from the
copy's, or nothing is installed, the processes run the sources of this checkout, as pure Python.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(sysconfig.get_path("platlib"))
PACKAGES = ("dsl", "sbc", "webui")


@cache
def tree() -> Path:
    """The directory that has the packages to run."""
    return SITE if texts(SITE) == texts(ROOT) else ROOT


def is_compiled() -> bool:
    """Whether ``tree()`` has compiled modules."""
    return any((tree() / "sbc" / "sip").glob("*.so"))


def environment(where: Path | None = None) -> dict[str, str]:
    """For a Python process that runs ``tree()``, or another one; ``python -m`` needs ``-P`` as well."""
    return {**os.environ, "PYTHONPATH": f"{where or tree()}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}


def command(*words: str) -> list[str]:
    """The argument vector of ``sbc WORDS``, which needs no environment of its own."""
    path = f"PYTHONPATH={environment()['PYTHONPATH']}"
    return ["env", path, "PYTHONUNBUFFERED=1", sys.executable, "-P", "-m", "sbc.cli", *words]


def texts(where: Path) -> dict[str, bytes]:
    """Every source under ``where``, by its path there."""
    files = [path for package in PACKAGES for path in (where / package).rglob("*.py")]
    return {path.relative_to(where).as_posix(): path.read_bytes() for path in files}
