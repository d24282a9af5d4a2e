"""A call and the hooks that it meets, from its INVITE to its end, with the engine alone."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest

from sbc.config.hooks import load_hooks
from sbc.hookapi import Answer, End
from tests.playbook.stage import Stage, snapshot

RULES = """
rules:
  - name: known callers
    when: call.tags == "vip"
    then: route "backup"
  - name: the rest
    when: true
    then: route "carrier"
"""


def hooked(rules: str = RULES, **files: str) -> Stage:
    """A stage whose configuration has these hook files, by name."""
    hooks, problems = load_hooks({f"hooks/{name}.py": dedent(text) for name, text in files.items()})
    assert problems == []
    return Stage(replace(snapshot(rules), hooks=hooks))


def told(stage: Stage, kind: type[Answer] | type[End]) -> list[Answer | End]:
    return [each.about for each in stage.asked if isinstance(each.about, kind)]


def test_a_hook_rejects_before_any_rule() -> None:
    stage = hooked(a="from sbc.hookapi import reject\ndef on_invite(facts): return reject(603, 'Declined')")
    stage.office.invite()
    stage.office.hears(100)
    assert stage.office.hears_response(603).reason == "Declined"
    stage.carrier.hears_nothing()
    (ended,) = stage.noted("call-ended")
    assert ended.fields["rule"] == "hook (hooks/a.py:2)"
    assert not stage.engine.calls


def test_a_hook_redirects_before_any_rule() -> None:
    stage = hooked(
        a="from sbc.hookapi import redirect\ndef on_invite(facts): return redirect('sip:b@else.example')"
    )
    stage.office.invite()
    stage.office.hears(100)
    assert stage.office.hears_response(302).headers.get("Contact") == "<sip:b@else.example>"


def test_what_hooks_amend_the_rules_see_and_the_callee_gets() -> None:
    stage = hooked(
        a="""
            from sbc.hookapi import SetPart, SetHeader, amend
            def on_invite(facts):
                caller = SetPart("from.user", "+4930" + facts.from_user)
                return amend(caller, SetHeader("X-A", "1"), tags=("vip",))
        """,
        b="""
            from sbc.hookapi import SetHeader, amend
            def on_invite(facts):
                seen = f"{facts.from_user} {facts.header('x-a')} {facts.tags}"
                return amend(SetHeader("X-Seen", seen), tags=("vip", "second"))
        """,
    )
    stage.office.invite()
    invite = stage.backup.hears_request("INVITE")
    assert "<sip:+4930alice@" in (invite.headers.get("From") or "")
    assert invite.headers.get("X-A") == "1"
    assert invite.headers.get("X-Seen") == "+4930alice 1 ('vip',)"


def test_an_amendment_outlives_a_hook_that_routes_anew() -> None:
    stage = hooked(
        a="from sbc.hookapi import SetHeader, amend\n"
        "def on_invite(facts): return amend(SetHeader('X-A', '1'))",
        b="from sbc.hookapi import route\ndef on_route(facts, decision): return route('backup')",
    )
    stage.office.invite()
    assert stage.backup.hears_request("INVITE").headers.get("X-A") == "1"


def test_a_rules_own_edit_wins_over_an_amendment() -> None:
    stage = hooked(
        RULES.replace("then: route", 'then: set header "X-A" = "rule" route'),
        a="from sbc.hookapi import SetHeader, amend\n"
        "def on_invite(facts): return amend(SetHeader('X-A', 'hook'))",
    )
    stage.office.invite()
    assert stage.carrier.hears_request("INVITE").headers.get("X-A") == "rule"


BREAKS = "def {point}({arguments}): raise ValueError\n"


@pytest.mark.parametrize(("point", "arguments"), [("on_invite", "facts"), ("on_route", "facts, decision")])
def test_a_hook_that_breaks_rejects_its_call_unless_it_says_skip(point: str, arguments: str) -> None:
    text = BREAKS.format(point=point, arguments=arguments)
    stage = hooked(a=text)
    stage.office.invite()
    stage.office.hears(100)
    stage.office.hears(500)
    assert stage.noted("call-ended")[0].fields["reason"].startswith("hook failed: hooks/a.py:1")
    assert not stage.engine.calls
    lenient = hooked(a='ON_FAILURE = "skip"\n' + text)
    lenient.office.invite()
    lenient.carrier.hears_request("INVITE")
    raised = {"file": "hooks/a.py", "line": 2, "reason": f"{point} raised ValueError"}
    assert lenient.told == [("hook-skipped", raised)]


def test_a_call_that_is_cancelled_while_hooks_think_stays_cancelled() -> None:
    stage = hooked(a="def on_invite(facts): pass")
    waiting = []
    stage.hooks = lambda command: waiting.append(command) or []  # type: ignore[method-assign, func-returns-value]
    stage.office.invite()
    stage.office.hears(100)
    stage.office.request("CANCEL", CSeq="1 CANCEL", Via="SIP/2.0/TLS office.example;branch=z9hG4bK-office-1")
    stage.office.hears(200)
    stage.office.hears(487)
    (command,) = waiting
    assert stage.engine.hooks_done(command.call, None, "hooks/a.py:1", stage.now) == []
    stage.office.hears_nothing()


ENDS = """
    def on_answer(facts, answer): pass
    def on_end(facts, end): pass
"""


def test_hooks_are_told_of_the_answer_and_of_the_end() -> None:
    stage = hooked(a=ENDS)
    _, answer = stage.established()
    stage.wait(5)
    stage.within("office", answer, "BYE")
    (up,) = told(stage, Answer)
    assert up == Answer("carrier", "the rest (test.yaml:6)", 0.0, 1000.0, "TLSv1.3", True)
    (over,) = told(stage, End)
    assert over == End("carrier", "the rest (test.yaml:6)", 200, "normal", "caller", 5.0, 1005.0)
    assert {each.facts.from_user for each in stage.asked} == {"alice"}


def test_whoever_saw_the_invite_is_told_of_the_end() -> None:
    stage = hooked(
        a="from sbc.hookapi import reject\ndef on_invite(facts): return reject(603)" + dedent(ENDS)
    )
    stage.office.invite()
    assert told(stage, Answer) == []
    (over,) = told(stage, End)
    assert isinstance(over, End)
    assert (over.status, over.by, over.answered, over.trunk) == (603, "us", False, "")


def test_a_hook_hangs_up_what_it_does_not_like() -> None:
    stage = hooked(
        a="from sbc.hookapi import hang_up\ndef on_answer(facts, answer): return hang_up('too dear')"
    )
    stage.established()
    stage.office.hears("BYE")
    stage.carrier.hears("BYE")
    (ended,) = stage.noted("call-ended")
    assert (ended.fields["reason"], ended.fields["by"]) == ("hook (hooks/a.py:2): too dear", "us")


def test_a_hook_that_breaks_at_the_answer_ends_the_call() -> None:
    stage = hooked(a="def on_answer(facts, answer): raise ValueError")
    stage.established()
    stage.office.hears("BYE")
    assert stage.noted("call-ended")[0].fields["reason"].startswith("hook failed: hooks/a.py:1")


def test_at_the_end_there_is_nothing_to_reject() -> None:
    stage = hooked(a="def on_end(facts, end): raise ValueError", b=ENDS)
    _, answer = stage.established()
    stage.within("office", answer, "BYE")
    raised = {"file": "hooks/a.py", "line": 1, "reason": "on_end raised ValueError"}
    assert stage.told == [("hook-failed", raised)]
    assert len(told(stage, End)) == 1


def named(*names: str) -> str:
    """Rules of which the one for the office calls hooks by their names."""
    calls = "".join(f'      call hook "{name}"\n' for name in names)
    return f"""
rules:
  - name: office to carrier
    when: trunk == "office"
    then: |
{calls}      route "carrier"
"""


NAMED = 'WHEN = "named"\ndef on_route(facts, decision): pass\ndef on_end(facts, end): pass\n'


def test_a_named_hook_runs_only_for_the_rules_that_name_it() -> None:
    files = {"hooks/10.py": NAMED, "hooks/20.py": NAMED.replace('WHEN = "named"', ""), "hooks/30.py": NAMED}
    hooks, _ = load_hooks(files)
    for names, asked in (((), ["20"]), (("30",), ["20", "30"]), (("30", "10"), ["10", "20", "30"])):
        stage = Stage(replace(snapshot(named(*names)), hooks=hooks))
        _, answer = stage.established()
        stage.within("office", answer, "BYE")
        for command in stage.asked:
            assert [hook.name for hook in command.hooks] == asked
        assert [command.hooks[0].point for command in stage.asked] == ["on_route", "on_end"]


def test_what_hooks_say_of_a_call_is_in_its_record_whoever_refuses_it() -> None:
    stage = hooked(
        a="from sbc.hookapi import amend\ndef on_invite(facts): return amend(tags=('vip', 'x'))",
        b="from sbc.hookapi import reject\ndef on_invite(facts): return reject(603)",
    )
    stage.office.invite()
    assert stage.noted("call-ended")[0].fields["tags"] == ("vip", "x")


def test_a_challenge_is_no_decision_for_hooks_to_replace() -> None:
    rules = 'rules:\n  - name: prove it\n    when: true\n    then: challenge "sbc.example" route "carrier"\n'
    routing = "from sbc.hookapi import route\ndef on_route(facts, decision): return route('carrier')"
    stage = hooked(rules, a=routing)
    stage.office.invite()
    stage.office.hears(100)
    stage.office.hears(407)
    stage.carrier.hears_nothing()
    assert stage.asked == []


def test_where_no_hook_runs_nothing_is_asked_and_nothing_kept() -> None:
    hooks, _ = load_hooks({"hooks/10.py": 'WHEN = "named"\ndef on_route(facts, decision): pass\n'})
    for configuration in (snapshot(RULES), replace(snapshot(RULES), hooks=hooks)):
        stage = Stage(configuration)
        stage.established()
        assert stage.asked == []
        assert [call.facts for call in stage.engine.calls.values()] == [None]
