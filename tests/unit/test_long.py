"""``make long`` goes on where it ended, and sums up; shuffled tests are the same tests in another order."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.product import ROOT

pytestmark = pytest.mark.slow


class Long:
    """Calls of ``tests.long`` with steps that each write their name into a file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ran = directory / "ran"
        self.ran.touch()

    def start(self, scripts: dict[str, str], *words: str) -> subprocess.Popen[str]:
        """Begin a call whose steps are ``scripts`` by name."""
        steps = [
            {"name": name, "command": ["sh", "-c", f"echo {name} >>'{self.ran}'; {script}"]}
            for name, script in scripts.items()
        ]
        plan = self.directory / "plan.json"
        plan.write_text(json.dumps(steps))
        argv = [sys.executable, "-m", "tests.long", "--directory", str(self.directory), "--plan", str(plan)]
        return subprocess.Popen([*argv, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def call(self, scripts: dict[str, str], *words: str) -> tuple[int, str]:
        """Run a whole call; its exit status and what it said."""
        process = self.start(scripts, *words)
        said = process.communicate()[0]
        return process.returncode, said

    def names(self) -> list[str]:
        """The steps that have run, in order."""
        return self.ran.read_text().split()


@pytest.fixture
def long(tmp_path: Path) -> Long:
    """A call of its own."""
    return Long(tmp_path)


GOOD = "echo '===== 3 passed, 1 skipped in 0.10s ====='; echo '2 passed in 70.00s (0:01:10)'"
BAD = "echo '1 failed, 1 passed in 3.2s'; exit 1"


@pytest.mark.provokes("it is interrupted, which Python tells with a traceback")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_second_call_goes_on_where_the_first_was_ended(long: Long, end: signal.Signals) -> None:
    process = long.start({"one": GOOD, "two": "exec sleep 600", "three": GOOD})
    assert process.stdout is not None
    while not process.stdout.readline().startswith("[2/3] two: sh"):
        assert process.poll() is None
    process.send_signal(end)
    process.communicate()
    assert process.returncode != 0
    long.ran.write_text("one\n")
    status, said = long.call({"one": GOOD, "two": BAD, "three": GOOD})
    assert long.names() == ["one", "two", "three"]
    assert status == 1
    assert "[1/3] one: passed after" in said and "(before)" in said
    assert "[2/3] two: FAILED with status 1" in said and "1 failed, 1 passed" in said
    assert "2 steps passed, 1 failed, 0 skipped" in said and f"FAILED two: {long.directory}/two.log" in said


def test_what_came_of_it_stays_until_it_is_begun_anew(long: Long) -> None:
    assert long.call({"one": GOOD, "two": BAD})[0] == 1
    status, said = long.call({"one": GOOD, "two": GOOD})
    assert (status, long.names()) == (1, ["one", "two"]), "a failure is not tried again until it passes"
    assert "one: passed after 0 s: 5 passed, 1 skipped (before)" in said
    assert long.call({"one": GOOD, "two": GOOD}, "--fresh")[0] == 0
    assert long.names() == ["one", "two"] * 2


def test_other_sources_begin_anew(long: Long) -> None:
    long.call({"one": GOOD})
    state = long.directory / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "sources": "others"}))
    _, said = long.call({"one": GOOD})
    assert "THE SOURCES HAVE CHANGED" in said and long.names() == ["one", "one"]


def test_only_some_steps_and_no_unknown_one(long: Long) -> None:
    assert long.call({"one": GOOD, "two": GOOD}, "two")[0] == 0
    assert long.names() == ["two"]
    assert long.call({"one": GOOD}, "three")[0] == 2


def test_a_step_keeps_its_log(long: Long) -> None:
    long.call({"one": "echo said; echo complained >&2; exit 3"})
    assert (long.directory / "one.log").read_text() == "said\ncomplained\n"


FILES = {
    name: "".join(f"def test_{each}() -> None:\n    print('ran', __name__, {each})\n" for each in range(8))
    for name in ("test_a.py", "test_b.py", "test_c.py")
}


def order(directory: Path, *words: str) -> list[str]:
    argv = [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", *words, str(directory)]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    return [line.partition("ran ")[2] for line in run.stdout.splitlines() if "ran " in line]


def test_shuffled_is_every_test_in_an_order_of_the_seed(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    plain = order(tmp_path)
    first, again, other = (
        order(tmp_path, "-p", "tests.shuffled", "--shuffle", seed) for seed in ("7", "7", "8")
    )
    assert len(plain) == 24
    assert sorted(first) == sorted(other) == sorted(plain)
    assert first == again
    assert len({tuple(each) for each in (plain, first, other)}) == 3
    files = [line.split()[0] for line in first]
    assert len([1 for at in range(1, 24) if files[at] != files[at - 1]]) == 2, "a file stays together"
