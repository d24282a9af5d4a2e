"""Tests wait in one place, never judge by elapsed time, and no started SBC goes unwatched."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.arch.sources import Source, sources

WAITING = "tests/peers/waiting.py"
# Waits for what a peer's own queue or socket brings, and blocks on that instead of looking again and again.
BLOCKING = {"tests/peers/pjsip.py", "tests/peers/baresip.py"}
CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "time", "time_ns"}
WATCHED = {"tests/peers/faults.py", "tests/peers/portcullis.py"}

TESTS = sources("tests")
# Whoever reads no clock neither judges by it nor waits with it.
READING = re.compile(rf"\b(?:{'|'.join(sorted(CLOCKS))})\(")
CLOCKED = [source for source in TESTS if READING.search(source.text)]


def _is_reading(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    match node.func:
        case ast.Attribute(value=ast.Name(id="time"), attr=name) | ast.Name(id=name):
            return name in CLOCKS and not node.args
        case ast.Attribute(attr="monotonic"):
            return True
    return False


def functions(source: Source) -> Iterator[ast.FunctionDef]:
    """Every function of a file, methods and inner ones included."""
    return (node for node in source.nodes if isinstance(node, ast.FunctionDef))


def elapsed(function: ast.FunctionDef) -> set[str]:
    """The names in ``function`` that hold a difference of readings of a clock."""
    begun = {name for name, value in _assigned(function) if _is_reading(value)}
    return {
        name for name, value in _assigned(function) for each in ast.walk(value) if _is_difference(each, begun)
    }


def _assigned(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append" and node.args:
            if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                yield node.func.value.id, node.args[0]


def _is_difference(node: ast.AST, begun: set[str]) -> bool:
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)):
        return False
    sides = (node.left, node.right)
    return all(_is_reading(side) or getattr(side, "id", "") in begun for side in sides)


def asserts_elapsed_time(source: Source) -> list[str]:
    """Asserts in which a difference of times is looked at, written there or kept under a name before."""
    found = []
    for function in functions(source):
        begun = {name for name, value in _assigned(function) if _is_reading(value)}
        spent = elapsed(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Assert) and any(
                _is_difference(each, begun) or getattr(each, "id", "") in spent
                for each in ast.walk(node.test)
            ):
                found.append(f"{source.path}:{node.lineno}")
    return sorted(set(found))


def polls(source: Source) -> list[str]:
    """Loops that look at a clock to know when to give up."""
    return [
        f"{source.path}:{node.lineno}"
        for function in functions(source)
        for node in ast.walk(function)
        if isinstance(node, ast.While) and _compares_a_clock(node)
    ]


def _compares_a_clock(loop: ast.While) -> bool:
    return any(
        isinstance(each, ast.Compare) and any(_is_reading(part) for part in ast.walk(each))
        for part in (loop.test, *loop.body)
        for each in ast.walk(part)
    )


def starts(source: Source) -> list[str]:
    """Starts of an SBC that no one watches."""
    return [
        f"{source.path}:{node.lineno}"
        for node in source.nodes
        if isinstance(node, ast.Call)
        and (
            getattr(node.func, "id", "") == "SbcProcess"
            or [getattr(each, "value", None) for each in node.args][:2] == ["run", "-c"]
        )
    ]


def test_no_test_judges_by_elapsed_time() -> None:
    assert [each for source in CLOCKED for each in asserts_elapsed_time(source)] == []


def test_only_one_place_waits_by_looking_again() -> None:
    waiting = {WAITING, *BLOCKING}
    assert [each for source in CLOCKED if source.path not in waiting for each in polls(source)] == []


def test_whoever_starts_an_sbc_has_its_journal_watched() -> None:
    assert [each for source in TESTS if source.path not in WATCHED for each in starts(source)] == []


@pytest.mark.parametrize(
    "text",
    [
        "began = time.monotonic()\n    work()\n    assert time.monotonic() - began < 5",
        "began = monotonic()\n    work()\n    took = monotonic() - began\n    assert took < 5, 'slow'",
        "began = time.process_time()\n    assert 1 < time.process_time() - began < 2",
        "began = time.time()\n    spent.append(time.time() - began)\n    assert min(spent) < 1",
        "began = lab.clock.monotonic()\n    assert lab.clock.monotonic() - began >= 3",
    ],
)
def test_this_test_sees_elapsed_time(text: str) -> None:
    assert asserts_elapsed_time(Source("tests/a.py", f"def test_a():\n    {text}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "limit = time.monotonic() + 3\n    while not done() and time.monotonic() < limit:\n        sleep(1)",
        "while not done():\n        assert time.monotonic() < limit\n        gevent.sleep(0.1)",
    ],
)
def test_this_test_sees_who_polls(text: str) -> None:
    assert polls(Source("tests/a.py", f"def wait():\n    {text}\n"))


def test_this_test_sees_who_starts_an_sbc_unwatched() -> None:
    assert starts(Source("tests/a.py", "sbc = SbcProcess(directory, admin)"))
    assert starts(Source("tests/a.py", "subprocess.Popen(command('run', '-c', where))"))
