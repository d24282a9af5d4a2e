"""sbc.hookapi.testing finds in a hook what a server would find in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.hookapi import Answer, End, hang_up, route
from sbc.hookapi.testing import HookFailure, HookFile, facts, load


def written(directory: Path, text: str, **options: object) -> HookFile:
    path = directory / "10-test.py"
    path.write_text(text)
    return load(path, **options)  # type: ignore[arg-type]


def test_a_file_that_does_not_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"10-test\.py:1:1: error: on_invite takes one argument"):
        written(tmp_path, "def on_invite(facts, decision): pass\n")
    with pytest.raises(ConfigError, match="warning: nothing looks at ON_FAILURES"):
        written(tmp_path, "def on_invite(facts): pass\nON_FAILURES = 'skip'\n")


def test_a_wrong_answer_is_a_failure_with_its_line(tmp_path: Path) -> None:
    hook = written(tmp_path, "\ndef on_invite(facts): return 'reject'\n")
    with pytest.raises(HookFailure) as caught:
        hook.on_invite(facts())
    assert caught.value.line == 2
    assert caught.value.reason == "str is not amend(...), reject(...), redirect(...) or None"


def test_the_limit_holds(tmp_path: Path) -> None:
    hook = written(tmp_path, "import gevent\ndef on_end(facts, end):\n    gevent.sleep(9)\n", limit=0.02)
    with pytest.raises(HookFailure, match=r":3: on_end did not end in 0\.02 s"):
        hook.on_end(facts(), End())
    burner = written(tmp_path, "def on_end(facts, end):\n    while True: pass\n", limit=0.02)
    with pytest.raises(HookFailure, match=r":2: on_end burnt CPU and did not end in 0\.02 s"):
        burner.on_end(facts(), End())


def test_trunks_are_any_or_those_that_are_named(tmp_path: Path) -> None:
    text = "from sbc.hookapi import route\ndef on_route(facts, decision): return route(facts.tenant)\n"
    assert written(tmp_path, text).on_route(facts(tenant="a"), route("b")) == route("a")
    strict = written(tmp_path, text, trunks=("b",))
    assert strict.on_route(facts(tenant="b"), route("b")) == route("b")
    with pytest.raises(HookFailure, match="there is no trunk 'a'"):
        strict.on_route(facts(tenant="a"), route("b"))


def test_headers_are_found_in_any_case() -> None:
    made = facts({"X-Region": "eu"}, from_user="alice")
    assert (made.header("x-region"), made.header("X-None"), made.from_user) == ("eu", None, "alice")


def test_what_a_file_does_not_define_cannot_be_asked(tmp_path: Path) -> None:
    hook = written(
        tmp_path, "from sbc.hookapi import hang_up\ndef on_answer(facts, answer): return hang_up('no')\n"
    )
    assert hook.on_answer(facts(), Answer()) == hang_up("no")
    with pytest.raises(AssertionError, match="does not define this hook"):
        hook.on_invite(facts())
