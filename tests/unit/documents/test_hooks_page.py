"""docs/hooks.md: every example runs and does what the page says, and the page knows every name."""

from __future__ import annotations

import re
import runpy
from array import array
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from sbc.b2bua.commands import Note
from sbc.config.hook_file import LONGEST_LIMIT, ON_FAILURES, POINTS, WHENS
from sbc.config.hooks import load_hooks
from sbc.hookapi import (
    Answer,
    End,
    Facts,
    Frame,
    Handshake,
    Redirect,
    Registration,
    Reject,
    Route,
    SetHeader,
    Table,
    reject,
    route,
    table,
    with_edits,
)
from sbc.hookapi.testing import HookFile, facts, load
from sbc.observe.journal import EVENTS, Journal

PAGE = (Path(__file__).parents[3] / "docs" / "hooks.md").read_text()
EXAMPLES = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def hook(tmp_path: Path) -> Callable[[str], HookFile]:
    """Loads one of the page's files."""

    def loaded(name: str) -> HookFile:
        path = tmp_path / Path(name).name
        path.write_text(EXAMPLES[name])
        return load(path)

    return loaded


def test_every_example_is_run() -> None:
    assert list(EXAMPLES) == [
        "hooks/20-desk.py", "hooks/30-surcharge.py", "hooks/60-silence.py", "hooks/40-concurrent.py",
        "test_desk.py",
    ]  # fmt: skip
    assert PAGE.count("```") == 2 * (len(EXAMPLES) + 1), "these and one of text"
    hooks, diagnostics = load_hooks({name: text for name, text in EXAMPLES.items() if "/" in name})
    assert diagnostics == [] and hooks.files == {"20-desk", "30-surcharge", "40-concurrent", "60-silence"}


def test_the_desk(hook: Callable[[str], HookFile]) -> None:
    desk = hook("hooks/20-desk.py")
    urgent = facts({"X-Priority": "urgent"})
    assert desk.on_route(urgent, route("a")) == with_edits(route("a"), SetHeader("X-Carrier-Priority", "1"))
    assert desk.on_route(urgent, reject(404)) is None
    assert desk.on_route(facts(), route("a")) is None
    assert desk.on_invite(facts(from_user="alice")) is None


def test_the_surcharge(hook: Callable[[str], HookFile]) -> None:
    answer = hook("hooks/30-surcharge.py").on_route(facts(), route("a"))
    assert answer == with_edits(route("a"), SetHeader("X-Surcharge", "yes"))
    (loaded,) = load_hooks({"hooks/30-surcharge.py": EXAMPLES["hooks/30-surcharge.py"]})[0].route
    assert (loaded.name, loaded.named, loaded.on_failure, loaded.limit) == ("30-surcharge", True, "skip", 2.0)


def test_the_fourth_call_at_once_is_rejected(hook: Callable[[str], HookFile]) -> None:
    concurrent = hook("hooks/40-concurrent.py")
    calls = [facts(from_user="alice", call_id=str(number)) for number in range(5)]
    too_many = reject(486, "Too many calls at once")
    assert [concurrent.on_invite(call) for call in calls] == [None, None, None, too_many, too_many]
    assert concurrent.on_invite(facts(from_user="bob")) is None
    for call in calls[1:]:
        concurrent.on_end(call, End())
    assert concurrent.on_invite(calls[1]) is None


def test_the_loudest_sample_of_the_callee_is_kept(hook: Callable[[str], HookFile]) -> None:
    loud, quiet = (array("h", [each, -each]).tobytes() for each in (900, 3))
    silence = hook("hooks/60-silence.py")
    call = facts(call_id="heard")
    silence.on_media(
        call, (Frame("b", samples=quiet), Frame("b", samples=loud), Frame("a", samples=loud * 2))
    )
    silence.on_media(call, (Frame("b", samples=quiet), Frame("b")))
    kept: Table[str, int] = table("loudest sample of a call", most=10_000)
    assert kept["heard"] == 900


def test_the_tests_of_the_page_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hooks").mkdir()
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "hooks" / "50-wrong.py").write_text(
        "from sbc.hookapi import route\ndef on_route(facts, decision): return route('nowhere')\n"
    )
    monkeypatch.chdir(tmp_path)
    tests = {name: each for name, each in runpy.run_path("test_desk.py").items() if name.startswith("test_")}
    assert len(tests) == 2
    for test in tests.values():
        test()


def row(name: str) -> str:
    """The page's row about one function or event."""
    (found,) = re.findall(rf"^\| `{name}[`(].*\|$", PAGE, re.MULTILINE)
    return str(found)


def item(name: str) -> str:
    """The page's item about one argument, with what is indented under it."""
    (found,) = re.findall(rf"^- \*\*`{name}`\*\*.*?(?=^\S|^$)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_what_a_decision_holds_is_listed() -> None:
    listed = item("decision")
    for kind in (Route, Reject, Redirect):
        assert [each.name for each in fields(kind) if f"`{each.name}`" not in listed] == []


@pytest.mark.parametrize("kind", [Facts, Handshake, Answer, End, Frame, Registration])
def test_every_attribute_is_listed(kind: type) -> None:
    listed = item(kind.__name__.lower())
    names = {each.name for each in fields(kind)}
    assert [name for name in names if f"`{name}`" not in listed and f'`{name}("' not in listed] == []
    extra = {"answered", "inbound", "outbound", "caller", "callee", "us", "a", "b", "frames"}
    extra.add(kind.__name__.lower())
    assert set(re.findall(r"`(\w+)", listed)) - names <= extra


def test_every_function_and_word_is_explained() -> None:
    for name, arguments in POINTS.items():
        assert f"`{name}({', '.join(arguments)})`" in row(name)
    for word in (*WHENS, *ON_FAILURES):
        assert f'`"{word}"`' in PAGE
    assert f"seconds, {LONGEST_LIMIT:g} at most" in PAGE


def test_every_event_is_explained_and_written_so() -> None:
    for event, (_, tag) in EVENTS.items():
        assert tag != "[hook]" or row(event)
    lines: list[str] = []
    (shown,) = re.findall(r"^```text\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    fields_of = {"file": "hooks/20-desk.py", "line": 7, "reason": "on_invite raised KeyError"}
    Journal(lines.append).note(Note("hook-failed", "6f1d", fields_of), 1777629600.5)
    assert lines == [shown.replace("\n    ", " ")]
