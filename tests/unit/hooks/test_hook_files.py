"""Hook files: what loads, what is refused and where, and what a build leaves behind (nothing)."""

from __future__ import annotations

import _thread
import sys
import threading
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.decision import NO_ROUTE, Hop, Redirect, Reject, Route, SetHeader
from dsl.errors import Diagnostic
from dsl.facts import Facts
from sbc import hookapi
from sbc.config.hook_set import NO_HOOKS, Hook, called_by
from sbc.config.hooks import load_hooks
from tests.peers.waiting import until_equal

GOOD = "def on_route(facts, decision): return None\n"
EXAMPLE = Path(__file__).parents[3] / "hooks" / "10-example.py"


def load_one(text: str) -> Hook:
    hooks, diagnostics = load_hooks({"hooks/a.py": dedent(text)})
    assert diagnostics == []
    (hook,) = hooks.route
    return hook


def refused(text: str) -> Diagnostic:
    hooks, (diagnostic,) = load_hooks({"hooks/a.py": dedent(text)})
    assert hooks == NO_HOOKS and diagnostic.path == "hooks/a.py" and diagnostic.severity == "error"
    return diagnostic


def test_files_load_in_the_order_of_their_names() -> None:
    hooks, diagnostics = load_hooks({"hooks/20.py": GOOD, "hooks/10.py": "\n" + GOOD, "hooks/30.py": GOOD})
    assert [(hook.path, hook.line) for hook in hooks.route] == [
        ("hooks/10.py", 2),
        ("hooks/20.py", 1),
        ("hooks/30.py", 1),
    ]
    assert diagnostics == []


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("def on_route(facts, decision)\n", (1, 30), "this is not Python: expected ':'", ""),
        ("x = '\n", (1, 5), "this is not Python: unterminated string", ""),
        ("x = 1\n", (1, 1), "this file defines no hook", "hooks are: on_handshake"),
        ("on_route = 5\n", (1, 1), "on_route is not a function", "write def on_route(facts, decision):"),
        (GOOD + "def on_rute(f, d): pass\n", (2, 1), "there is no hook 'on_rute'", "did you mean on_route?"),
        (
            GOOD + "def on_xyz(): pass\n",
            (2, 1),
            "there is no hook 'on_xyz'",
            "hooks are: on_handshake, on_invite",
        ),
        ("\ndef on_route(facts): pass\n", (2, 1), "on_route takes two arguments", "write def"),
        ("def on_route(a, b, c): pass\n", (1, 1), "on_route takes two arguments", ""),
        ("def on_route(a, b, *, c): pass\n", (1, 1), "on_route takes two arguments", ""),
        ("async def on_route(a, b): pass\n", (1, 1), "on_route is a plain function", "write def"),
        ("def on_route(a, b): yield\n", (1, 1), "on_route is a plain function", ""),
        (
            "import os\nimport no_such_module\n" + GOOD,
            (2, 1),
            "this hook does not load: ModuleNotFoundError",
            "",
        ),
        (
            "def f():\n    return 1 / 0\nf()\n" + GOOD,
            (2, 1),
            "this hook does not load: ZeroDivisionError",
            "",
        ),
        ("raise SystemExit(1)\n", (1, 1), "this hook does not load: SystemExit", ""),
        ("raise KeyboardInterrupt\n", (1, 1), "this hook does not load: KeyboardInterrupt", ""),
        ("class Odd(BaseException): pass\nraise Odd('x')\n", (2, 1), "this hook does not load: Odd: x", ""),
    ],
)
def test_mistakes(text: str, place: tuple[int, int], message: str, hint: str) -> None:
    found = refused(text)
    assert (found.line, found.col) == place
    assert found.message.startswith(message) and hint in found.hint
    assert found.source == text.splitlines()[found.line - 1]


HANDSHAKE = "def on_handshake(handshake): return None\n"


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        (GOOD + GOOD, (2, 1), "on_route is defined twice", "the first is in line 1"),
        (
            "def on_route(decision, facts): pass\n",
            (1, 1),
            "on_route is given facts and decision, in this order",
            "",
        ),
        (
            "def on_invite(facts, decision): pass\n",
            (1, 1),
            "on_invite takes one argument, facts",
            "def on_invite(facts)",
        ),
        (
            "def on_end(facts): pass\n",
            (1, 1),
            "on_end takes two arguments, facts and end",
            "def on_end(facts, end)",
        ),
        ("def onInvite(facts): pass\n", (1, 1), "there is no hook 'onInvite'", "did you mean on_invite?"),
        ("x = 1\non_anser = None\n", (2, 1), "there is no hook 'on_anser'", "did you mean on_answer?"),
        (
            GOOD + "def on_register(facts): pass\n",
            (2, 1),
            "on_register takes two arguments, facts and registration",
            "def on_register(facts, registration)",
        ),
        (GOOD + 'WHEN = "name"\n', (2, 1), 'WHEN is "every call" or "named"', 'did you mean "named"?'),
        (GOOD + "WHEN = None\n", (2, 1), 'WHEN is "every call" or "named"', ""),
        (GOOD + 'ON_FAILURE = "ignore"\n', (2, 1), 'ON_FAILURE is "reject" or "skip"', ""),
        (
            GOOD + "TIME_LIMIT = 0\n",
            (2, 1),
            "TIME_LIMIT is a number of seconds, 60 at most",
            "TIME_LIMIT = 2",
        ),
        (GOOD + "TIME_LIMIT = 61\n", (2, 1), "TIME_LIMIT is a number of seconds", ""),
        (GOOD + "TIME_LIMIT = True\n", (2, 1), "TIME_LIMIT is a number of seconds", ""),
        (GOOD + "TIME_LIMIT = float('nan')\n", (2, 1), "TIME_LIMIT is a number of seconds", ""),
        ("TIME_LIMIT: str = '2s'\n" + GOOD, (1, 1), "TIME_LIMIT is a number of seconds", ""),
        (
            'WHEN = "named"\ndef on_invite(facts): pass\n',
            (2, 1),
            "on_invite comes before the rules: none can name it",
            "a file of its own, without WHEN",
        ),
        (HANDSHAKE + 'WHEN = "named"\n', (1, 1), "on_handshake comes before the rules", ""),
        (
            'ON_FAILURE = "skip"\n' + HANDSHAKE,
            (2, 1),
            "on_handshake decides who is let in, so its failure cannot be skipped",
            "a file of its own, without ON_FAILURE",
        ),
    ],
)
def test_mistakes_in_what_a_file_says_of_itself(
    text: str, place: tuple[int, int], message: str, hint: str
) -> None:
    test_mistakes(text, place, message, hint)


@pytest.mark.parametrize(
    ("line", "meant"), [("ON_FAILURES", "ON_FAILURE"), ("TIMELIMIT", "TIME_LIMIT"), ("WHENN", "WHEN")]
)
def test_a_word_that_nobody_looks_at_is_a_warning(line: str, meant: str) -> None:
    hooks, (warning,) = load_hooks({"hooks/a.py": f'{GOOD}{line} = "skip"\n'})
    assert len(hooks.route) == 1 and warning.severity == "warning"
    assert (warning.line, warning.col) == (2, 1)
    assert (warning.message, warning.hint) == (f"nothing looks at {line}", f"did you mean {meant}?")


def test_names_of_the_operators_own_are_his_own() -> None:
    assert load_one("LIMIT = 5\nPREFIXES = WHERE = FAILURES = ()\n" + GOOD).limit == 0.5


def test_what_a_file_says_of_itself_holds_for_all_its_hooks() -> None:
    text = 'WHEN = "named"\nON_FAILURE = "skip"\nTIME_LIMIT = 2\n' + GOOD + "def on_end(facts, end): pass\n"
    hooks, diagnostics = load_hooks({"hooks/20-fraud.py": text, "hooks/10.py": GOOD + HANDSHAKE}, 0.7)
    assert diagnostics == []
    assert [
        (hook.name, hook.point, hook.line, hook.named, hook.on_failure, hook.limit)
        for hook in (*hooks.handshake, *hooks.route, *hooks.end)
    ] == [
        ("10", "on_handshake", 2, False, "reject", 0.7),
        ("10", "on_route", 1, False, "reject", 0.7),
        ("20-fraud", "on_route", 4, True, "skip", 2.0),
        ("20-fraud", "on_end", 5, True, "skip", 2.0),
    ]
    assert hooks.files == {"10", "20-fraud"}
    assert [hook.name for hook in called_by(hooks.route, ())] == ["10"]
    assert [hook.name for hook in called_by(hooks.route, ("20-fraud", "x"))] == ["10", "20-fraud"]


@pytest.mark.parametrize(
    ("loop", "lines"),
    [
        ("while True:\n    pass\n", (1, 2)),
        ("def spin():\n    while True:\n        x = 1\nspin()\n", (2, 3)),
        ("while True: pass\n", (1, 1)),
        ("x = [0 for _ in iter(int, 1)]\n", (1, 1)),
    ],
)
def test_a_top_level_without_an_end_is_a_mistake(
    loop: str, lines: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbc.config.hook_import.MOST_STEPS", 10_000)
    traced = sys.gettrace()
    found = refused(loop + GOOD)
    assert found.message == (
        "this hook does not load: its top level has run 10,000 steps and has not come to an end"
    )
    assert lines[0] <= found.line <= lines[1]
    assert sys.gettrace() is traced


class Gate:
    """What a hook file waits for; ``passed`` once it has gone on after all."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = self.passed = False

    def wait(self) -> None:
        """Wait until it is open."""
        self.reached = True
        self.open.wait()


WAITING = {
    "import gate\ngate.wait()\ngate.passed = True\n": 2,
    "import gate\ndef wait():\n    gate.wait()\n    gate.passed = True\nwait()\n": 3,
    "import gate\ntry:\n    gate.wait()\nexcept Exception: pass\ngate.passed = True\n": 3,
    "import gate\ndef __getattr__(name):\n    gate.wait()\n    gate.passed = True\n    return 1\n": 3,
    "import gate\nclass E(Exception):\n    def __str__(self):\n        gate.wait()\n"
    "        gate.passed = True\n        return ''\nraise E\n": 4,
}  # fmt: skip


@pytest.mark.parametrize("text", WAITING, ids=lambda text: text.splitlines()[1])
def test_a_top_level_that_waits_is_left_behind(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, before = Gate(), _thread._count()
    monkeypatch.setitem(sys.modules, "gate", cast(ModuleType, gate))
    for seconds in (0.02, 0.2, 2.0, 20.0):  # the machine may be too busy to come so far in a moment
        monkeypatch.setattr("sbc.config.hook_import.MOST_SECONDS", seconds)
        found = refused(text + GOOD)
        if gate.reached:
            break
    assert (found.line, found.col) == (WAITING[text], 1)
    assert found.message == f"this hook does not load: its top level has not come to an end in {seconds:g} s"
    assert not [name for name in sys.modules if name.startswith("sbc hook")]
    gate.open.set()
    until_equal(_thread._count, before, "its thread has ended")
    assert not gate.passed, "it is ended where it is back from what it waited in"


@pytest.mark.parametrize(
    "text",
    [
        "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E\n",
        "class M(type):\n    __name__ = property(lambda cls: 1 / 0)\nclass E(Exception, metaclass=M): pass\n"
        "raise E\n",
        "def __getattr__(name): raise KeyboardInterrupt\n",
    ],
)
def test_nothing_that_a_top_level_raises_leaves_it(text: str) -> None:
    assert refused(text).message.startswith("this hook does not load: ")


def test_what_a_hook_runs_when_it_is_called_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbc.config.hook_import.MOST_STEPS", 100)
    hook = load_one(
        "def on_route(facts, decision):\n    for at in range(1000):\n        x = at\n    return x\n"
    )
    assert hook.function(Facts(), NO_ROUTE) == 999


MUTABLE = (
    "from sbc.hookapi import amend, reject\n", "WHEN = 'every call'\n", "ON_FAILURE = 'skip'\n",
    "TIME_LIMIT = 2\n", "LIST = ['a',\n", "  'b']\n", "def on_invite(facts):\n",
    "    if facts.sips:\n", "        return reject(403)\n", "    return amend(tags=('a',))\n",
    "def on_route(facts, decision):\n", "    return None\n", "on_end = lambda facts, end: None\n",
    "class C:\n", "    x: int = LIST\n", "\t\n", "def on_handshake(handshake): pass\n",
)  # fmt: skip


@given(st.lists(st.sampled_from(MUTABLE), max_size=20))
def test_whatever_is_left_of_a_file_loads_or_is_refused_with_a_place(lines: list[str]) -> None:
    text = "".join(lines)
    hooks, diagnostics = load_hooks({"hooks/a.py": text})
    errors = [each for each in diagnostics if each.severity == "error"]
    assert bool(errors) != bool(hooks.files)
    for each in diagnostics:
        assert 0 <= each.line <= len(lines) + 1 and each.message
        assert str(each).startswith("hooks/a.py")


def test_a_null_byte_is_a_mistake_and_not_a_crash() -> None:
    assert refused("x = 1\0").message.startswith("this is not Python")


def test_one_broken_file_does_not_hide_the_mistakes_of_another() -> None:
    hooks, diagnostics = load_hooks({"a.py": "(", "b.py": GOOD, "c.py": "x = 1"})
    assert [hook.path for hook in hooks.route] == ["b.py"]
    assert [each.path for each in diagnostics] == ["a.py", "c.py"]


@pytest.mark.parametrize(
    "text",
    [
        "def on_route(facts, decision, extra=1): pass",
        "def on_route(*args): pass",
        "def _on_anything(): pass\n" + GOOD,
        "class C:\n    def __call__(self, facts, decision): pass\non_route = C()",
        "from functools import partial\ndef f(x, facts, decision): return x\non_route = partial(f, None)",
    ],
)
def test_whatever_can_be_called_with_two_arguments_will_do(text: str) -> None:
    load_one(text).function(Facts(), NO_ROUTE)


def test_nothing_stays_in_sys_modules_good_or_bad() -> None:
    before = set(sys.modules)
    load_hooks({"a.py": GOOD, "b.py": "raise ValueError", "c.py": "import nothing_such"})
    assert set(sys.modules) == before


def test_dataclasses_with_postponed_annotations_work() -> None:
    hook = load_one(
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from typing import ClassVar
        @dataclass(frozen=True)
        class Price:
            unit: ClassVar[str] = "cent"
            value: int = 3
        def on_route(facts, decision):
            return Price().value
        """
    )
    assert hook.function(Facts(), NO_ROUTE) == 3


def test_a_second_build_leaves_the_first_with_its_own_code_and_state() -> None:
    text = "seen = []\ndef on_route(facts, decision):\n    seen.append(1)\n    return (len(seen), {})\n"
    old, new = load_one(text.format(1)), load_one(text.format(2))
    old.function(Facts(), NO_ROUTE)
    assert old.function(Facts(), NO_ROUTE) == (2, 1)
    assert new.function(Facts(), NO_ROUTE) == (1, 2)
    assert old.function.__globals__ is not new.function.__globals__


def test_the_example_marks_urgent_calls_only() -> None:
    hooks, diagnostics = load_hooks({"hooks/10-example.py": EXAMPLE.read_text()})
    (hook,) = hooks.route
    route = Route((Hop("a"),), srtp="required", rule="r")
    urgent = Facts(header={"X-Priority": "urgent"}.get)
    assert diagnostics == []
    assert hook.function(Facts(), route) is None
    assert hook.function(urgent, NO_ROUTE) is None
    assert hook.function(urgent, route) == Route(
        (Hop("a"),), (SetHeader("X-Carrier-Priority", "1"),), "required", rule="r"
    )


def test_short_ways_to_make_decisions() -> None:
    assert hookapi.route("a", "b", on=(503,)) == Route((Hop("a"), Hop("b", (503,))))
    assert hookapi.route("a") == Route((Hop("a"),))
    assert hookapi.reject(403, "no") == Reject(403, "no")
    assert hookapi.redirect("sip:a", "sip:b") == Redirect(("sip:a", "sip:b"))
    assert set(hookapi.__all__) <= set(dir(hookapi))
