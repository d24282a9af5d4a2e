"""``python -m bench compare OTHER [PIECE...]``: this checkout, after a change, beside another, before it.

In both ``make demo`` was run. Their runs are interleaved, so that the machine's mood falls on both, and who
begins changes from turn to turn. A server of each gets the same load from this checkout's bench; what runs in
memory is measured by the bench of each, for it takes the product apart.

Where valgrind is installed, the instructions of what runs in memory are counted too. A busy machine does not
change them, so they decide, not the time. ``compare .`` shows how much the machine itself errs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import instructions
from bench.handshake import measure_server as handshake_cost
from bench.measure import SERVER_CORE, median, on_core
from bench.relay import measure as relay_cost
from bench.relay import media_io
from bench.report import Row, table
from bench.servers import portcullis
from bench.signalling import measure as call_cost
from tests.peers.ports import free_port
from tests.peers.process import MissingProgram, PeerFailed
from tests.peers.product import ROOT, texts

_SITE = "import sysconfig; print(sysconfig.get_path('platlib'))"
_CORE = """\
import json
from bench.core import core
print(json.dumps({row.work: row.costs[0] for row in core()}))
"""
# What one run of one tree gives: work, cost in microseconds of CPU.
Costs = Mapping[str, float]


class CannotCompare(Exception):
    """The trees as they are say nothing about each other; the text has the remedy."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout and the directory in its .venv in which Portcullis is installed."""

    root: Path
    site: Path

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return self.root / ".venv" / "bin" / "python"

    @property
    def path(self) -> str:
        """The PYTHONPATH under which it imports what is installed, and bench and tests of the checkout."""
        return f"{self.site}{os.pathsep}{self.root}"

    @property
    def python(self) -> list[str]:
        """How it is started with that path, and with nothing of the directory it is started in."""
        return ["env", f"PYTHONPATH={self.path}", str(self.interpreter), "-P"]

    @property
    def is_compiled(self) -> bool:
        """Whether what is installed has compiled modules."""
        return any((self.site / "sbc" / "sip").glob("*.so"))


def tree_at(root: Path) -> Tree:
    """The tree at ``root``; CannotCompare where there is none, or what is installed is of other sources."""
    python = root / ".venv" / "bin" / "python"
    if not python.exists():
        raise CannotCompare(f"{root} has no .venv/bin/python: run `make demo` in that checkout first")
    found = subprocess.run([python, "-c", _SITE], capture_output=True, text=True, check=True)
    tree = Tree(root, Path(found.stdout.strip()))
    if not (tree.site / "sbc").is_dir():
        raise CannotCompare(f"{root}: Portcullis is not installed in its .venv: run `make demo` there first")
    if texts(tree.site) != texts(root):
        raise CannotCompare(f"{root}: its sources changed since they were installed: run `make demo` there")
    return tree


def trees(before: Path, after: Path = ROOT) -> dict[str, Tree]:
    """Both, by their word in the table; CannotCompare where only one is compiled."""
    both = {"before": tree_at(before.resolve()), "after": tree_at(after.resolve())}
    pure = [str(tree.root) for tree in both.values() if not tree.is_compiled]
    if len(pure) == 1:
        raise CannotCompare(
            f"only one of the two is compiled, and {pure[0]} is pure Python: run `make demo` there where a C"
            " compiler and Python's headers are, or `PORTCULLIS_PURE=1 make demo` in the other"
        )
    return both


def _call(tree: Tree, seconds: float) -> Costs:
    run = call_cost(partial(portcullis, sbc=[*tree.python, "-m", "sbc.cli"]), 200, seconds)
    if run.failed:
        raise PeerFailed(f"{tree.root}: {run.failed} calls failed")
    return {"call, mutual TLS twice, 200/s": run.per_call * 1e6}


def _handshake(tree: Tree, seconds: float) -> Costs:
    make = partial(portcullis, onward=free_port(), sbc=[*tree.python, "-m", "sbc.cli"])
    cost = handshake_cost(make, "ec", int(50 * seconds), 8)
    return {"TLS 1.3 handshake, mutual, EC P-256, 8 at once": cost * 1e6}


def _relay(tree: Tree, seconds: float) -> Costs:
    run = relay_cost(partial(media_io, python=tree.python), 200, seconds / 2)
    return {"RTP packet to SRTP, 200 streams": run.per_packet * 1e6}


def _core(tree: Tree, seconds: float) -> Costs:
    with on_core(SERVER_CORE):
        ran = subprocess.run([*tree.python, "-c", _CORE], cwd=tree.root, capture_output=True, text=True)
    if ran.returncode:
        raise PeerFailed(f"{tree.root}: {ran.stderr}")
    return dict(json.loads(ran.stdout))


Piece = Callable[[Tree, float], Costs]
PIECES: dict[str, Piece] = {
    "call": _call,
    "handshake": _handshake,
    "relay": _relay,
    "core": _core,
}


def interleaved(both: Mapping[str, Tree], piece: Piece, runs: int, seconds: float = 10) -> list[Row]:
    """A row for each work and tree; the tree that is first in one turn is second in the next."""
    costs: dict[tuple[str, str], list[float]] = {}
    for turn in range(runs):
        for who in sorted(both, reverse=turn % 2 == 0):
            for work, cost in piece(both[who], seconds).items():
                costs.setdefault((work, who), []).append(cost)
    return _rows(costs, "us CPU")


def counted(both: Mapping[str, Tree], runs: int = 3) -> list[Row]:
    """The instructions of each step in memory, counted with so many seeds."""
    costs: dict[tuple[str, str], list[float]] = {}
    for who, tree in both.items():
        environment = {**os.environ, "PYTHONPATH": tree.path}
        for seed in range(runs):
            for work, count in instructions.count(tree.interpreter, environment, seed).items():
                costs.setdefault((work, who), []).append(count)
    return _rows(costs, instructions.UNIT)


def _rows(costs: Mapping[tuple[str, str], list[float]], unit: str) -> list[Row]:
    """Before and after of every work that both trees do: one may have steps that the other has not."""
    return [
        Row(work, who, tuple(costs[work, who]), unit)
        for work in dict.fromkeys(work for work, _ in costs)
        if (work, "before") in costs and (work, "after") in costs
        for who in ("before", "after")
    ]


def costlier(rows: Sequence[Row], percent: float) -> list[str]:
    """The works that cost over ``percent`` more than before; where instructions were counted, they decide."""
    ratios: dict[str, float] = {}
    for before, after in zip(rows[::2], rows[1::2], strict=True):
        if before.unit == instructions.UNIT or before.work not in ratios:
            ratios[before.work] = median(after.costs) / median(before.costs)
    return [f"{work}: {ratio:.3f}" for work, ratio in ratios.items() if ratio > 1 + percent / 100]


def main(words: Sequence[str]) -> int:
    """Compare; 1 where something costs more than it did, 2 where that cannot be said."""
    options = _options(words)
    rows: list[Row] = []
    try:
        both = trees(options.other)
        for who, tree in both.items():
            print(f"{who}: {tree.root}, {'compiled' if tree.is_compiled else 'pure Python'}", flush=True)
        for piece in options.piece or PIECES:
            rows += interleaved(both, PIECES[piece], options.runs, options.seconds)
            if piece == "core" and shutil.which("valgrind"):
                rows += counted(both)
    except (CannotCompare, MissingProgram, PeerFailed, instructions.NotCounted) as error:
        print(f"not compared: {error}", file=sys.stderr)
        return 2
    print(table(rows))
    worse = costlier(rows, options.within)
    print(f"over {options.within:g} % more than before:", "; ".join(worse) or "nothing")
    return 1 if worse else 0


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    pieces = f"{', '.join(PIECES)}; all where none is named"
    parser.add_argument("other", metavar="OTHER", type=Path, help="the checkout before the change")
    parser.add_argument("piece", metavar="PIECE", nargs="*", choices=[[], *PIECES], help=pieces)
    parser.add_argument("--runs", type=int, default=5, help="runs of each tree, interleaved (5)")
    parser.add_argument("--seconds", type=float, default=10, help="length of one run of a server (10)")
    parser.add_argument("--within", type=float, default=3, help="per cent that are no difference (3)")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
