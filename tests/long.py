"""``make long``: what takes hours, step by step; a second call goes on where the first ended.

Every step is a command with a log of its own in ``build/long/``, and what came of it is written down in
``state.json`` there. What is written down is not run again, whether it passed or failed, until ``FRESH=1`` or
a changed source: then everything begins anew, for a result tells of the sources that it was made with.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from hashlib import sha256
from pathlib import Path
from random import SystemRandom
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DEBIAN = "/usr/bin/python3"
REPEATS = 5
_LAST_LINE = re.compile(r"^=* ?((?:\d+ [a-z]+(?:, )?)+) in [0-9.:]+ ?s.*$", re.MULTILINE)
_PART = re.compile(r"(\d+) ([a-z]+)")


@dataclass(frozen=True)
class Step:
    """A command; ``busy`` keeps every core at work beside it, ``user`` runs it in a copy that is theirs.

    Where ``skipped`` says why, it is not run.
    """

    name: str
    command: tuple[str, ...] = ()
    busy: bool = False
    user: str = ""
    skipped: str = ""


def plan(directory: Path) -> list[Step]:
    """All steps."""
    # Most of them wait for peers, so that there may be more than processors.
    pytest = (sys.executable, "-m", "pytest", "-q", "-n", "6", "--dist", "loadfile", "--no-loadscope-reorder")
    edge = (*pytest, "-m", "not long", "tests/edge")
    shuffle = ("-p", "tests.shuffled", "--shuffle")
    steps = [Step(f"edge-busy-{each}", edge, busy=True) for each in range(1, REPEATS + 1)]
    for each in range(1, REPEATS + 1):
        seed = str(SystemRandom().randrange(1_000_000))
        steps.append(Step(f"edge-shuffled-{each}", (*edge, *shuffle, seed)))
    steps += [Step(f"soak-{each}", (*pytest, "-m", "long", "tests")) for each in (1, 2, 3)]
    return [*steps, *whole(directory), *other_versions(directory)]


def whole(directory: Path) -> list[Step]:
    """The whole of ``make test`` on Debian's own Python, as root and as somebody else."""
    root, other = "debian-as-root", "debian-as-another-user"
    why = "" if version(DEBIAN) >= (3, 11) else f"{DEBIAN} IS NOT PYTHON 3.11 OR LATER"
    if why:
        return [Step(root, skipped=why), Step(other, skipped=why)]
    command = ("make", "test", f"PYTHON={DEBIAN}")
    here = (*command, f"VENV={directory / 'debian'}")
    if os.getuid() != 0:
        return [Step(root, skipped="NOT ROOT"), Step(other, here)]
    return [Step(root, here), Step(other, command, user="nobody")]


def other_versions(directory: Path) -> list[Step]:
    """The fast tests, pure and compiled, on later versions of Python."""
    steps = []
    for minor in (12, 13):
        name, found = f"python3.{minor}", interpreter(minor)
        command = ("make", "check", "installed", f"PYTHON={found}", f"VENV={directory / name}")
        steps.append(Step(name, command) if found else Step(name, skipped=f"{name.upper()} IS NOT HERE"))
    return steps


def interpreter(minor: int) -> str:
    """The path of a Python 3.``minor``: on PATH, or among pyenv's; empty where there is none."""
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    candidates = [shutil.which(f"python3.{minor}"), *glob(f"{pyenv}/versions/3.{minor}*/bin/python3.{minor}")]
    return next((path for path in candidates if path and version(path) == (3, minor)), "")


def version(python: str) -> tuple[int, int]:
    """Major and minor version of an interpreter; zeros where it does not run."""
    ask = "import sys; print(*sys.version_info[:2])"
    try:
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True).stdout.split()
    except OSError:
        return (0, 0)
    return (int(said[0]), int(said[1])) if len(said) == 2 else (0, 0)


class State:
    """What has been run of which sources, in a file."""

    def __init__(self, path: Path, sources: str, fresh: bool) -> None:
        self.path = path
        found = json.loads(path.read_text()) if path.exists() and not fresh else {}
        if found and found["sources"] != sources:
            print("*** THE SOURCES HAVE CHANGED since the last call: everything begins anew", flush=True)
            found = {}
        self.results: dict[str, dict[str, Any]] = found.get("results", {})
        self._sources = sources

    def keep(self, name: str, result: dict[str, Any]) -> None:
        """Write a result down, whole or not at all."""
        self.results[name] = result
        beside = self.path.with_suffix(".next")
        beside.write_text(json.dumps({"sources": self._sources, "results": self.results}, indent=1))
        beside.replace(self.path)


def fingerprint() -> str:
    """A hash of every file that is under version control, or would be; empty outside of a clone."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
    ).stdout
    digest = sha256()
    for name in sorted(set(listed.decode("utf-8", "surrogateescape").split("\0"))):
        if name and (ROOT / name).is_file():
            digest.update(
                name.encode("utf-8", "surrogateescape") + b"\0" + (ROOT / name).read_bytes() + b"\0"
            )
    return digest.hexdigest() if listed else ""


def run(steps: list[Step], directory: Path, state: State) -> bool:
    """Run what has no result yet, then sum up; whether nothing failed."""
    for at, step in enumerate(steps, 1):
        head = f"[{at}/{len(steps)}] {step.name}:"
        if step.name in state.results:
            print(head, told(state.results[step.name]), "(before)", flush=True)
        elif step.skipped:
            print(head, f"skipped: {step.skipped}", flush=True)
        else:
            print(head, *step.command, flush=True)
            state.keep(step.name, perform(step, directory / f"{step.name}.log"))
            print(head, told(state.results[step.name]), flush=True)
    return summary(steps, directory, state)


def perform(step: Step, log: Path) -> dict[str, Any]:
    """Run one step into its log."""
    begun = time.time()
    group = pwd.getpwnam(step.user).pw_gid if step.user else None
    with place(step.user) as where, busy(step.busy), log.open("w") as out:
        environment = {**os.environ, "HOME": str(where)} if step.user else {**os.environ}
        environment.pop("MAKEFLAGS", None)
        process = subprocess.Popen(
            step.command, cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            user=step.user or None, group=group, extra_groups=[] if step.user else None,
            start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    counts: Counter[str] = Counter()
    for line in _LAST_LINE.findall(log.read_text(errors="replace")):
        counts.update({word: int(number) for number, word in _PART.findall(line)})
    return {"status": status, "seconds": round(time.time() - begun), "counts": dict(counts)}


@contextmanager
def place(user: str) -> Iterator[Path]:
    """Where a step runs: here, or for another user in a copy of the sources."""
    if not user:
        yield ROOT
        return
    copy = Path(tempfile.mkdtemp(prefix="portcullis-"))
    try:
        names = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True
        ).stdout
        for name in names.split("\0"):
            if name and (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        for path in (copy, *copy.rglob("*")):
            shutil.chown(path, user)
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Keep every core at work meanwhile."""
    loop = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(loop) for _ in range(os.cpu_count() or 1)] if wanted else []
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def told(result: dict[str, Any]) -> str:
    """One result in words."""
    counts = ", ".join(f"{number} {word}" for word, number in result["counts"].items())
    verdict = "passed" if result["status"] == 0 else f"FAILED with status {result['status']}"
    return f"{verdict} after {result['seconds']} s{': ' if counts else ''}{counts}"


def summary(steps: list[Step], directory: Path, state: State) -> bool:
    """Print what came of every step; whether nothing failed."""
    results = [state.results[step.name] for step in steps if step.name in state.results]
    failed = [step.name for step in steps if state.results.get(step.name, {"status": 0})["status"] != 0]
    skipped = [step for step in steps if step.name not in state.results]
    print(f"\n{len(results) - len(failed)} steps passed, {len(failed)} failed, {len(skipped)} skipped")
    for name in failed:
        print(f"  FAILED {name}: {directory / name}.log")
    for step in skipped:
        print(f"  skipped {step.name}: {step.skipped}")
    return not failed


def main(words: list[str]) -> int:
    """Read the command line and run; the exit status is 0 where nothing failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.long", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "long", help="logs and state")
    parser.add_argument(
        "--plan", type=Path, help='other steps: a JSON list of {"name": ..., "command": [...]}'
    )
    parser.add_argument("only", nargs="*", metavar="STEP", help="only these steps")
    given = parser.parse_args(words)
    given.directory.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell's job in the background is begun with SIGINT ignored, and could not be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    steps = plan(given.directory)
    if given.plan:
        steps = [Step(each["name"], tuple(each["command"])) for each in json.loads(given.plan.read_text())]
    names = [step.name for step in steps]
    if unknown := set(given.only) - set(names):
        parser.error(f"there is no step {', '.join(sorted(unknown))}, but {', '.join(names)}")
    steps = [step for step in steps if not given.only or step.name in given.only]
    state = State(given.directory / "state.json", fingerprint(), given.fresh)
    return 0 if run(steps, given.directory, state) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
