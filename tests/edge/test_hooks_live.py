"""Hooks that misbehave in a running SBC: their calls are refused, the others go on, and they are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from tests.edge.attacked import ROOT, TO, Attacked, attacked
from tests.peers.asking import ask
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow

LOOKUP = ROOT / "hooks" / "examples" / "http-lookup.py"
# What the caller dials is what the hook does.
DEEDS = """\
import sys, time, gevent
from gevent import GreenletExit
from sbc.hookapi import amend, reject

def on_invite(facts):
    match facts.ruri_user:
        case "raise": raise ValueError("the password is hunter2")
        case "sleep": time.sleep(60)
        case "burn":
            while True: pass
        case "swallow":
            while True:
                try:
                    while True: pass
                except: pass
        case "rubbish": return {"reject": 403}
        case "import": import no_such_module
        case "exit": raise SystemExit
        case "recurse": return deeper(0)
        case "interrupt": raise KeyboardInterrupt
        case "greenlet": raise GreenletExit
        case "beside":
            gevent.spawn(sys.exit, 3)
            gevent.get_hub().loop.run_callback(sys.exit, 4)
            gevent.sleep(0.01)
            raise LookupError
    return None
def deeper(n): return deeper(n + 1)
"""
# Within their limit on the busiest machine, and a burden all the same.
HEAVY = """\
import time
TIME_LIMIT = 9
KEPT = []
def on_invite(facts):
    match facts.ruri_user:
        case "leak": KEPT.append(b"x" * (70 << 20))
        case "slow":
            until = time.monotonic() + 0.2
            while time.monotonic() < until: pass
    return None
"""
REFUSED = {
    "raise": (7, "on_invite raised ValueError"),
    "sleep": (8, "on_invite did not end in 0.5 s"),
    "burn": (10, "on_invite burnt CPU and did not end in 0.5 s"),
    "swallow": (0, "on_invite burnt CPU and did not end in 0.5 s"),
    "rubbish": (5, "dict is not amend(...), reject(...), redirect(...) or None"),
    "import": (17, "on_invite raised ModuleNotFoundError"),
    "exit": (18, "on_invite raised SystemExit"),
    "recurse": (28, "on_invite raised RecursionError"),
    "interrupt": (20, "on_invite raised KeyboardInterrupt"),
    "greenlet": (21, "on_invite raised GreenletExit"),
    "beside": (26, "on_invite raised LookupError"),
}


@pytest.fixture(scope="module")
def misled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    for made in _running(tmp_path_factory, DEEDS):
        assert reload(made, HEAVY, "20-heavy.py")["changed"]
        yield made


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    yield from _running(tmp_path_factory, "def on_end(facts, end): pass\n")


def _running(tmp_path_factory: pytest.TempPathFactory, text: str) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("hl")) as made:
        assert reload(made, text)["changed"]
        yield made


def reload(running: Attacked, text: str, name: str = "10-test.py") -> dict[str, Any]:
    """Write one hook file and reload; what was answered."""
    (running.directory / "hooks" / name).write_text(dedent(text))
    answer: dict[str, Any] = ask(running.directory / "run" / "sbc.sock", "reload")
    return answer


def call(running: Attacked, user: str = "") -> AgentCall:
    link = running.office.dial(running.address, SBC_NAME)
    return running.office.call(link, f"sip:{user}@{SBC_NAME}" if user else TO)


def up(running: Attacked) -> AgentCall:
    placed = call(running)
    placed.wait_up(30)
    assert placed.state == "up", placed.reason
    return placed


def ended(placed: AgentCall) -> int:
    """The status with which a call was refused."""
    until_equal(lambda: placed.state, "failed")
    return placed.status


def told(running: Attacked, event: str, *, count: int = 1, **wanted: str) -> list[dict[str, str]]:
    """The journal's lines about hooks with this event, once there are ``count``."""
    return running.lines("[hook]", count=count, event=event, **wanted)


@pytest.mark.parametrize("deed", REFUSED)
def test_the_call_of_a_hook_that_misbehaves_is_refused_and_the_others_go_on(
    misled: Attacked, deed: str
) -> None:
    before = up(misled)
    bad = call(misled, deed)
    beside = up(misled)
    assert ended(bad) == 500
    line, reason = REFUSED[deed]
    found = told(misled, "hook-failed", reason=reason)
    assert found[-1]["file"] == "hooks/10-test.py"
    assert int(found[-1]["line"]) == line or (deed == "swallow" and 10 <= int(found[-1]["line"]) <= 15)
    assert "hunter2" not in misled.log()
    for each in (before, beside):
        assert each.state == "up"
        each.hang_up()
        assert each.wait_over(30)
    until_equal(lambda: misled.held(), {"calls": 0, "ports": 0})


def test_a_file_that_waits_for_ever_is_refused_and_the_next_reload_goes_on(running: Attacked) -> None:
    answer = reload(running, "import time\ntime.sleep(1 << 20)\ndef on_invite(facts): pass\n")
    assert not answer["changed"]
    assert answer["lines"][0].startswith(
        "hooks/10-test.py:2:1: error: this hook does not load: its top level has not"
    )
    assert reload(running, "def on_invite(facts): pass\n")["changed"]
    placed = up(running)
    placed.hang_up()
    assert placed.wait_over(30)


def test_a_leak_and_a_slow_hook_are_named_and_their_calls_go_through(misled: Attacked) -> None:
    for deed, event in (("leak", "hook-grows"), ("slow", "hook-slow")):
        placed = call(misled, deed)
        placed.wait_up(30)
        assert placed.state == "up"
        placed.hang_up()
        assert placed.wait_over(30)
        assert told(misled, event, file="hooks/20-heavy.py")
    assert int(told(misled, "hook-grows", file="hooks/20-heavy.py")[0]["kept_mib"]) >= 64


def test_what_is_to_be_skipped_is_skipped_and_told(running: Attacked) -> None:
    assert reload(running, 'ON_FAILURE = "skip"\ndef on_invite(facts): return {}["x"]\n')["changed"]
    up(running).hang_up()
    (skipped,) = told(running, "hook-skipped")
    assert (skipped["line"], skipped["reason"]) == ("2", "on_invite raised KeyError")


def test_running_calls_keep_the_hooks_they_began_with(running: Attacked) -> None:
    assert reload(running, "def on_end(facts, end):\n    raise KeyError\n")["changed"]
    old = up(running)
    assert reload(running, "\n\ndef on_end(facts, end):\n    raise IndexError\n")["changed"]
    new = up(running)
    for each, reason in ((old, "on_end raised KeyError"), (new, "on_end raised IndexError")):
        each.hang_up()
        told(running, "hook-failed", reason=reason)
    assert [each["line"] for each in told(running, "hook-failed")] == ["2", "4"]


NAMED = """\
from sbc.hookapi import reject
WHEN = "named"
def on_route(facts, decision):
    return reject(480, "Asked")
"""
CALLING = """\
rules:
  - name: the desk asks first
    when: to.user == "asked"
    then: |
      call hook "20-named"
      route "carrier"
  - name: the others do not
    when: true
    then: |
      allow downgrade
      route "carrier"
"""


def test_a_named_hook_runs_for_the_rule_that_calls_it(running: Attacked) -> None:
    routes = running.directory / "routes.d" / "10-lab.yaml"
    without = routes.read_text()
    routes.write_text(CALLING)
    answer = reload(running, NAMED.replace("WHEN", "WHENN"), "20-named.py")
    assert "to call it changes nothing" in "".join(answer["lines"])
    answer = reload(running, NAMED, "20-named.py")
    assert answer["changed"] and not [line for line in answer["lines"] if "hook" in line]
    assert ended(call(running, "asked")) == 480
    up(running).hang_up()
    (record,) = [each for each in running.records(2) if each["status"] == 480]
    assert record["rule"] == ("the desk asks first (routes.d/10-lab.yaml:2), then hook (hooks/20-named.py:3)")
    routes.write_text(without)
    assert "no rule calls this hook" in "".join(reload(running, NAMED, "20-named.py")["lines"])


BROKEN = {
    "def on_invite(facts)\n": "hooks/20-broken.py:1:21: error: this is not Python: expected ':'",
    "import no_such_module\n": "hooks/20-broken.py:1:1: error: this hook does not load: ModuleNotFoundError",
    "def on_rute(facts, decision): pass\n": "hooks/20-broken.py:1:1: error: there is no hook 'on_rute'",
    "def on_register(facts): pass\n": "hooks/20-broken.py:1:1: error: on_register takes two arguments",
    "while True: pass\n": "hooks/20-broken.py:1:1: error: this hook does not load: its top level has",
    "1 / 0\n": "hooks/20-broken.py:1:1: error: this hook does not load: ZeroDivisionError",
}


def test_a_file_that_does_not_load_changes_nothing(running: Attacked) -> None:
    good = "from sbc.hookapi import reject\ndef on_invite(facts): return reject(486, 'Good')\n"
    version = reload(running, good)["version"]
    for text, message in BROKEN.items():
        answer = reload(running, text, "20-broken.py")
        assert not answer["changed"] and answer["version"] == version
        assert any(line.startswith(message) for line in answer["lines"]), answer["lines"]
        assert ended(call(running)) == 486


@pytest.mark.parametrize("answers", [True, False])
def test_a_hook_that_asks_a_slow_service_delays_its_own_call_alone(running: Attacked, answers: bool) -> None:
    """Five at once: the service answers nobody until all have asked, or never."""
    asked = []

    def service(environ: dict[str, Any], start: Any) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        if answers:
            until(lambda: len(asked) == 5)
        else:
            Event().wait()
        start("200 OK", [])
        return [json.dumps({"carrier": "blue"}).encode()]

    server = WSGIServer((HOST, 0), service, log=None)
    server.start()
    text = LOOKUP.read_text().replace(":8181/", f":{server.server_port}/")
    text = text.replace("TIME_LIMIT = 1 ", "TIME_LIMIT = 9 ").replace("timeout=0.8", "timeout=4")
    try:
        assert reload(running, text)["changed"]
        calls = [call(running) for _ in range(5)]
        until_equal(lambda: asked, ["/number/+12125550100"] * 5, "none waits for another's answer")
        assert "hook-skipped" not in running.log()
        for each in calls:
            assert each.wait_up(30), "skipped where the service is silent"
        if answers:
            assert "hook-skipped" not in running.log()
        else:
            assert len(told(running, "hook-skipped", count=5)) == 5
        for each in calls:
            each.hang_up()
    finally:
        server.stop(timeout=0.1)
