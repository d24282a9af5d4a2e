"""Hooks under a real hub: whatever a hook does, its call is rejected in time and the rest goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import gevent
import pytest

from dsl.decision import NO_ROUTE, Decision, Hop, Reject, Route, SetHeader
from dsl.facts import Facts
from sbc.config.hook_set import Hook, HookSet
from sbc.config.hooks import load_hooks
from sbc.net.hooks.costs import HookCosts
from sbc.net.hooks.run import HookFailure, HookRun
from tests.peers.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

FACTS = Facts(trunk="teams", ruri_user="+12125550100", header={"X-Secret": "hunter2"}.get)
DECISION = Route((Hop("carrier"),), rule="outbound (20.yaml:2)")
TRUNKS = frozenset(("carrier", "backup"))
ROOT = Path(__file__).parents[2]


def loaded(*texts: str, timeout: float = 0.3) -> HookSet:
    files = {f"hooks/{at}0-test.py": dedent(text) for at, text in enumerate(texts, 1)}
    found, diagnostics = load_hooks(files, timeout)
    assert diagnostics == []
    return found


TOLD: list[tuple[str, dict[str, object]]] = []


def told(event: str, fields: dict[str, object]) -> None:
    TOLD.append((event, fields))


def route(hooks: tuple[Hook, ...]) -> Decision:
    return HookRun(hooks, told, TRUNKS).route(FACTS, DECISION)


def run(*texts: str, timeout: float = 0.3) -> Decision:
    return route(loaded(*texts, timeout=timeout).route)


def failure(*texts: str, timeout: float = 0.3) -> HookFailure:
    with pytest.raises(HookFailure) as caught:
        run(*texts, timeout=timeout)
    return caught.value


def test_none_is_no_opinion() -> None:
    assert run("def on_route(facts, decision): pass") is DECISION
    assert HookRun((), told).route(FACTS, NO_ROUTE) is NO_ROUTE


def test_a_decision_replaces_and_names_the_hook_behind_the_rule() -> None:
    decision = run("""
        from sbc.hookapi import route
        def on_route(facts, decision):
            return route("backup")
        """)
    assert decision == Route((Hop("backup"),), rule="outbound (20.yaml:2), then hook (hooks/10-test.py:3)")


def test_hooks_run_in_order_and_each_sees_what_the_one_before_decided() -> None:
    decision = run(
        """
        from sbc.hookapi import SetHeader, with_edits
        def on_route(facts, decision):
            return with_edits(decision, SetHeader("X-A", facts.trunk))
        """,
        """
        from sbc.hookapi import SetHeader, with_edits
        def on_route(facts, decision):
            return with_edits(decision, SetHeader("X-B", decision.edits[0].value))
        """,
    )
    assert isinstance(decision, Route)
    assert decision.edits == (SetHeader("X-A", "teams"), SetHeader("X-B", "teams"))


def test_a_hook_may_reject() -> None:
    decision = run("from sbc.hookapi import reject\ndef on_route(facts, decision): return reject(403, 'no')")
    assert decision == Reject(403, "no", "outbound (20.yaml:2), then hook (hooks/10-test.py:2)")


def test_an_exception_names_file_and_line_and_not_its_text() -> None:
    failed = failure("""
        def helper(facts):
            raise ValueError("the password is " + facts.header("X-Secret"))

        def on_route(facts, decision):
            return helper(facts)
        """)
    assert (failed.file, failed.line) == ("hooks/10-test.py", 3)
    assert failed.reason == "on_route raised ValueError"
    assert "hunter2" not in str(failed) + repr(failed)


def test_arguments_are_frozen() -> None:
    failed = failure("def on_route(facts, decision): facts.trunk = 'carrier'")
    assert failed.reason == "on_route raised FrozenInstanceError"


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit", "import sys; sys.exit(1)", "raise BaseException", "raise KeyboardInterrupt",
        "from gevent import GreenletExit; raise GreenletExit", "raise GeneratorExit",
        "import gevent; gevent.sleep(0); raise KeyboardInterrupt",
    ],
)  # fmt: skip
def test_a_hook_cannot_end_the_process(code: str) -> None:
    assert "on_route raised" in failure(f"def on_route(facts, decision): {code}").reason


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("42", "int is not a decision"),
        ("True", "bool is not a decision"),
        ("route('nowhere')", "there is no trunk 'nowhere'"),
        ("route()", "a route needs a tuple of hops"),
        ("reject(200)", "a call is rejected with 400 to 699"),
        ("reject(403, 'a' + chr(13) + chr(10) + 'X: y')", "the reason is not a text of one line"),
        ("redirect('http://example.net')", "a redirect target is not a SIP URI"),
        ("with_edits(decision, SetHeader('Via', 'x'))", "Via is written by the SBC itself"),
        (
            "with_edits(decision, SetHeader('X-A', 'x' + chr(10)))",
            "X-A is set to what is not a text of one line",
        ),
        ("with_edits(decision, SetHeader('X-A', None))", "X-A is set to what is not a text of one line"),
        (
            "with_edits(decision, 'x')",
            "an edit is not a SetPart, SetParam, SetHeader, RemoveHeader or CopyHeader",
        ),
    ],
)
def test_a_wrong_result_is_a_failure_at_on_route(result: str, reason: str) -> None:
    failed = failure(f"from sbc.hookapi import *\n\ndef on_route(facts, decision): return {result}")
    assert (failed.line, failed.reason) == (3, reason)


def state_of(hook: Hook) -> SimpleNamespace:
    """What a hook of ours keeps under the name ``state``, to tell and to be told."""
    state: SimpleNamespace = hook.function.__globals__["state"]
    return state


# Waits as long as the test wants it to, whatever is raised in it.
STUBBORN = """
    import gevent
    from types import SimpleNamespace
    state = SimpleNamespace(begun=False, released=False, ended=False)
    def on_route(facts, decision):
        state.begun = True
        while not state.released:
            try:
                gevent.sleep(0.01)
            except BaseException:
                pass
        state.ended = True
    """


def test_a_hook_that_waits_too_long_is_named_with_the_line_it_waits_in() -> None:
    failed = failure("import gevent\ndef on_route(facts, decision):\n    gevent.sleep(1 << 20)")
    assert (failed.line, failed.reason) == (3, "on_route did not end in 0.3 s")


def test_a_limit_of_the_hooks_own_is_told_as_its_own() -> None:
    failed = failure("""
        import gevent
        def on_route(facts, decision):
            with gevent.Timeout(0.01):
                gevent.sleep(9)
        """)
    assert (failed.line, failed.reason) == (5, "on_route raised Timeout")


def test_a_hook_that_swallows_its_timeout_holds_up_no_call() -> None:
    (hook,) = loaded(STUBBORN).route
    with pytest.raises(HookFailure) as failed:
        route((hook,))
    state = state_of(hook)
    assert state.begun and not state.ended, "its call goes on before it"
    assert failed.value.reason == "on_route did not end in 0.3 s"
    state.released = True
    until(lambda: state.ended)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("while True: pass", {2}),
        ("spin()", {4, 5}),
        ("while True:\n        try: spin()\n        except Exception: pass", {3, 4, 5, 6, 7, 8}),
    ],
)
def test_a_hook_that_burns_cpu_is_ended(body: str, lines: set[int]) -> None:
    text = f"def on_route(facts, decision):\n    {body}\ndef spin():\n    while True:\n        pass\n"
    failed = failure(text)
    assert failed.reason == "on_route burnt CPU and did not end in 0.3 s"
    assert failed.line in lines


def test_a_hook_may_burn_cpu_until_its_time_is_over() -> None:
    text = """
        import time
        from types import SimpleNamespace
        state = SimpleNamespace(worked=False)
        def on_route(facts, decision):
            end = time.monotonic() + 0.15
            while time.monotonic() < end: pass
            state.worked = True
            while True: pass
        """
    (hook,) = loaded(text, timeout=1.0).route
    with pytest.raises(HookFailure, match="on_route burnt CPU and did not end in 1 s"):
        route((hook,))
    assert state_of(hook).worked, "not ended by the first tick of the alarm"


def test_a_hook_that_burns_cpu_and_swallows_everything_is_ended() -> None:
    failed = failure("""
        def on_route(facts, decision):
            while True:
                try:
                    while True:
                        pass
                except:
                    pass
        """)
    assert failed.reason == "on_route burnt CPU and did not end in 0.3 s"
    assert 3 <= failed.line <= 8


def test_a_burner_is_ended_and_the_others_are_not_touched() -> None:
    (hook,) = loaded(STUBBORN, timeout=60.0).route
    waiting = gevent.spawn(route, (hook,))
    bystander = gevent.spawn(gevent.sleep, 0.01)
    until(lambda: state_of(hook).begun)
    assert failure("def on_route(facts, decision):\n    while True: pass", timeout=0.1).line == 2
    assert not waiting.ready()
    state_of(hook).released = True
    assert waiting.get(timeout=PATIENCE) is DECISION
    bystander.get(timeout=PATIENCE)


def test_the_alarm_ticks_only_while_a_hook_runs() -> None:
    former = signal.getsignal(signal.SIGALRM)
    failure("def on_route(facts, decision):\n    while True: pass", timeout=0.05)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is former
    seen = run("""
        import signal
        from sbc.hookapi import reject
        def on_route(facts, decision):
            return reject(480 + (signal.getitimer(signal.ITIMER_REAL)[0] > 0))
        """)
    assert isinstance(seen, Reject) and seen.status == 481


def test_outside_the_main_thread_hooks_run_with_their_timeout_alone() -> None:
    results: list[object] = []

    def work() -> None:
        results.append(run("def on_route(facts, decision): pass"))
        try:
            run("import gevent\ndef on_route(facts, decision): gevent.sleep(9)", timeout=0.05)
        except HookFailure as failed:
            results.append(failed.line)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert results == [DECISION, 2]


def test_a_call_that_is_given_up_ends_its_hook() -> None:
    text = """
        import gevent
        from types import SimpleNamespace
        state = SimpleNamespace(begun=False, ended=False)
        def on_route(facts, decision):
            state.begun = True
            try:
                gevent.sleep(60)
            finally:
                state.ended = True
        """
    (hook,) = loaded(text, timeout=60.0).route
    call = gevent.spawn(route, (hook,))
    until(lambda: state_of(hook).begun)
    call.kill()
    until(lambda: state_of(hook).ended)


PATCHED = """
from gevent import monkey
monkey.patch_all()
from dsl.decision import NO_ROUTE
from dsl.facts import Facts
from sbc.config.hooks import load_hooks
from sbc.net.hooks.costs import HookCosts
from sbc.net.hooks.run import HookFailure, HookRun
for body in ("time.sleep(60)", "[None for _ in iter(int, 1)]"):
    hooks, _ = load_hooks({"a.py": "import time\\ndef on_route(facts, decision):\\n    " + body}, 0.2)
    try:
        HookRun(hooks.route, lambda *said: None).route(Facts(), NO_ROUTE)
    except HookFailure as failed:
        print(failed)
"""


def test_in_a_patched_process_sleeping_and_burning_end_alike() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PATCHED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        "a.py:3: on_route did not end in 0.2 s",
        "a.py:3: on_route burnt CPU and did not end in 0.2 s",
    ]
    assert done.stderr == ""


LOADED = """
from gevent import monkey
monkey.patch_all()
import os
from sbc.config import hook_import
from sbc.config.hooks import load_hooks
hook_import.MOST_SECONDS = 0.1
def open_files(): return len(os.listdir("/proc/self/fd"))
FILES = {
    "a.py": "import time\\ntime.sleep(60)\\n",
    "b.py": "import socket\\nask, answer = socket.socketpair()\\nask.recv(1)\\n",
    "c.py": "import time\\ntime.sleep(0.001)\\ndef on_end(facts, end): pass\\n",
}
hooks, problems = load_hooks(FILES)
for each in problems: print(str(each).splitlines()[0])
before = open_files()
for at in range(9):
    hooks, _ = load_hooks({"c.py": FILES["c.py"]})
print(len(hooks.end), open_files() - before)
"""


def test_in_a_patched_process_a_top_level_that_waits_ends_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    late = "error: this hook does not load: its top level has not come to an end in 0.1 s"
    assert done.stdout.splitlines() == [f"a.py:2:1: {late}", f"b.py:3:1: {late}", "1 0"]
    assert done.stderr == ""


def test_a_hook_with_a_short_limit_is_ended_while_one_with_a_long_limit_runs() -> None:
    (patient,) = loaded("TIME_LIMIT = 60\n" + dedent(STUBBORN)).route
    waiting = gevent.spawn(route, (patient,))
    until(lambda: state_of(patient).begun)
    assert failure("def on_route(facts, decision):\n    while True: pass", timeout=0.1).line == 2
    assert not waiting.ready(), "the alarm of the long limit was brought forward"
    state_of(patient).released = True
    assert waiting.get(timeout=PATIENCE) is DECISION


def test_time_that_another_hook_has_burnt_is_not_counted_against_a_hook_that_waits() -> None:
    waiting = gevent.spawn(
        run, "import gevent\ndef on_route(facts, decision): gevent.sleep(0.15)", timeout=0.2
    )
    gevent.sleep(0.1)
    assert failure("def on_route(facts, decision):\n    while True: pass", timeout=0.3).line == 2
    assert waiting.get(timeout=PATIENCE) is DECISION


def test_what_comes_of_looking_at_an_answer_is_the_hooks_failure_too() -> None:
    failed = failure("""
        from sbc.hookapi import Reject
        class Hostile(Reject):
            @property
            def status(self): raise ValueError("the password is hunter2")
            def __init__(self): pass
        def on_route(facts, decision): return Hostile()
        """)
    assert failed.reason == "Hostile is not a decision" and "hunter2" not in str(failed)


class Account:
    """Costs with a process whose memory we set."""

    def __init__(self) -> None:
        self.memory = 100 << 20
        self.told: list[tuple[str, dict[str, object]]] = []
        self.costs = HookCosts(lambda: self.memory)
        (self.hook,) = loaded("def on_route(facts, decision): pass").route

    def runs(self, growth: int = 0, seconds: float = 0.0, waits: bool = False) -> list[str]:
        """One run of the hook; what was told of it."""
        self.told.clear()
        before = self.costs.begin()
        if waits:
            gevent.sleep(seconds or 0.001)
        elif seconds:
            time.sleep(seconds)
        self.memory += growth
        self.costs.end(self.hook, before, lambda event, fields: self.told.append((event, fields)))
        return [event for event, _ in self.told]

    def grows(self, growth: int) -> bool:
        """Whether a run that lets the process grow is named for it."""
        return "hook-grows" in self.runs(growth)  # on a busy machine any run may be named as slow, too


def test_who_holds_everything_up_is_named_once_a_minute() -> None:
    account = Account()
    gevent.sleep(0)  # the loop's time is that of its last round
    assert account.runs(seconds=0.06) == ["hook-slow"]
    ((_, fields),) = account.told
    held = fields.pop("held_everything_ms")
    assert isinstance(held, int) and held >= 60
    assert fields == {"file": "hooks/10-test.py", "line": 1, "hook": "on_route"}
    assert account.runs(seconds=0.06) == []
    assert account.runs() == []


def test_a_hook_that_waits_holds_nobody_up() -> None:
    assert Account().runs(growth=1 << 30, seconds=0.06, waits=True) == []


def test_a_hook_that_keeps_more_and_more_is_named_at_every_doubling() -> None:
    account, mib = Account(), 1 << 20
    told = [account.told[-1][1]["kept_mib"] for _ in range(300) if account.grows(mib)]
    assert told == [64, 128, 256]
    assert not account.grows(-400 * mib) and not account.grows(400 * mib)


def test_a_hook_that_gives_back_what_it_takes_is_not_named() -> None:
    account, mib = Account(), 1 << 20
    for _ in range(50):
        assert not account.grows(60 * mib) and not account.grows(-60 * mib)


def test_a_real_leak_is_seen_in_the_process() -> None:
    TOLD.clear()
    leak = loaded("KEPT = []\ndef on_route(facts, decision): KEPT.append(b'x' * (8 << 20))").route
    for _ in range(12):
        route(leak)
    assert [event for event, _ in TOLD if event == "hook-grows"] == ["hook-grows"]
    leak[0].function.__globals__["KEPT"].clear()
