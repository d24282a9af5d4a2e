"""Whatever a hook answers is an answer, or the hook has failed with its file and line, in either build."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest

from dsl.decision import Codecs, Decision, Group, Hop, Limit, Redirect, Reject, Route, SetHeader, SetPart
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.validate import refusal
from sbc.config.hooks import load_hooks
from sbc.hookapi import Answer, End, Handshake
from sbc.hookapi.arguments import apart
from sbc.net.hooks.run import HookFailure, HookRun

TRUNKS = frozenset(("carrier", "backup"))
FACTS = Facts(trunk="office", ruri_user="+12125550100", tags=("vip",), header={"x-a": "1"}.get)
DECISION = Route((Hop("carrier"),), (SetHeader("X-A", "1"),), rule="out (10.yaml:2)")

# Python that a hook returns, each on a line of its own.
AT_ON_ROUTE = r"""
5
True
"reject"
[]
()
{}
object()
Route
Exception()
facts
decision.hops
decision.edits[0]
amend()
hang_up("x")
refuse("x")
reject(399)
reject(700)
reject(403.0)
reject("403")
reject(True)
reject(None)
reject(403, None)
reject(403, b"no")
reject(403, 5)
reject(403, "a\nb")
reject(403, "a\x00")
reject(403, "\ud800")
reject(403, Text("no"))
reject(403, "x" * 5000)
Reject(403, tags=None)
Reject(403, tags=["a"])
Reject(403, tags=(5,))
Reject(403, tags=("a\r\nb",))
Reject(403, tags=("\udfff",))
Reject(403, rule=None)
Reject(403, rule="a\nb")
redirect()
redirect(5)
redirect("http://example.net")
redirect("sip:a@b\r\nX: y")
redirect("sip:a@b>")
redirect("sip:a b@c")
redirect("sip:\ud800@b")
redirect(Text("sip:a@b"))
Redirect(["sip:a@b"])
Redirect("sip:a@b")
Redirect(("sip:a@b",), tags=None)
Redirect(("sip:a@b",), downgrade="never")
Redirect(("sip:a@b",), downgrade=["forbid"])
route()
route("nowhere")
route(5)
route(None)
Route(None)
Route([Hop("carrier")])
Route((Hop("carrier"), None))
Route(("carrier",))
Route((Hop(Text("carrier")),))
Route((Hop(["carrier"]),))
Route((Hop("carrier"), Hop("backup", [503])))
Route((Hop("carrier"), Hop("backup", 503)))
Route((Hop("carrier"), Hop("backup", None)))
Route((Hop("carrier"), Hop("backup", ("503",))))
Route((Hop("carrier"), Hop("backup", (503.0,))))
Route((Hop("carrier"), Hop("backup", (True,))))
Route((Hop("carrier"), Hop("backup", (200,))))
Route((Hop("carrier"), Hop("backup", (603,))))
Route((Hop("carrier"), Hop("backup", ("busy",))))
Route((Hop("carrier"), Hop("backup", (Text("timeout"),))))
Route((Hop("", (), "group"),))
Route((Hop("", (), Group("g", [("carrier", 1)])),))
Route((Hop("", (), Group("g", ())),))
Route((Hop("", (), Group("g", (("carrier",),))),))
Route((Hop("", (), Group("g", (["carrier", 1],))),))
Route((Hop("", (), Group("g", (("carrier", 0),))),))
Route((Hop("", (), Group("g", (("carrier", 1.5),))),))
Route((Hop("", (), Group("g", (("carrier", True),))),))
Route((Hop("", (), Group("g", (("carrier", 10**9),))),))
Route((Hop("", (), Group("g", (("nowhere", 1),))),))
Route((Hop("", (), Group(5, (("carrier", 1),))),))
Route((Hop("", (), Group("\ud800", (("carrier", 1),))),))
replace(decision, srtp="on")
replace(decision, srtp=True)
replace(decision, srtp=["required"])
replace(decision, srtp=Text("off"))
replace(decision, srtp=Anything())
replace(decision, downgrade="no")
replace(decision, downgrade=0)
replace(decision, downgrade=Anything())
replace(decision, edits=None)
replace(decision, edits=[SetHeader("X-A", "1")])
replace(decision, edits=("X-A",))
replace(decision, edits=(None,))
replace(decision, rule=5)
replace(decision, rule="a\x1bb")
replace(decision, hooks=None)
replace(decision, hooks=["a"])
replace(decision, hooks=(5,))
replace(decision, tags=None)
replace(decision, tags="vip")
replace(decision, tags=["vip"])
replace(decision, tags=(None,))
replace(decision, tags=("\ud800",))
replace(decision, tags=(Text("vip"),))
replace(decision, codecs="PCMA")
replace(decision, codecs=Codecs("PCMA"))
replace(decision, codecs=Codecs(["PCMA"]))
replace(decision, codecs=Codecs(("PCMA",), None))
replace(decision, codecs=Codecs((), (), (5,)))
replace(decision, codecs=Codecs(("pcma",)))
replace(decision, codecs=Codecs(("PCMA\n",)))
replace(decision, tone=True)
replace(decision, record=True, tone=1)
replace(decision, record=True, tone=None)
replace(decision, record=1)
replace(decision, record=None)
replace(decision, record="yes")
replace(decision, ring=0)
replace(decision, ring=-1)
replace(decision, ring=1.5)
replace(decision, ring="30")
replace(decision, ring=True)
replace(decision, ring=10**30)
replace(decision, ring=float("nan"))
replace(decision, limits=None)
replace(decision, limits=Limit("k", 1))
replace(decision, limits=[Limit("k", 1)])
replace(decision, limits=(("k", 1),))
replace(decision, limits=(Limit("k", 1.5),))
replace(decision, limits=(Limit("k", "1"),))
replace(decision, limits=(Limit("k", -1),))
replace(decision, limits=(Limit("k", True),))
replace(decision, limits=(Limit("k", 10**30),))
replace(decision, limits=(Limit(None, 1),))
replace(decision, limits=(Limit("", 1),))
replace(decision, limits=(Limit(["k"], 1),))
replace(decision, limits=(Limit("k", 1, -1),))
replace(decision, limits=(Limit("k", 1, 0.5),))
replace(decision, limits=(Limit("k", 1, None),))
replace(decision, limits=(Limit("k", 1, 0, 200),))
replace(decision, limits=(Limit("k", 1, 0, "503"),))
replace(decision, limits=(Limit("k", 1, 0, 503, None),))
replace(decision, limits=(Limit("k", 1, 0, 503, "a\nb"),))
with_edits(decision, None)
with_edits(decision, SetHeader)
with_edits(decision, SetHeader(5, "x"))
with_edits(decision, SetHeader("X A", "x"))
with_edits(decision, SetHeader("Via", "x"))
with_edits(decision, SetHeader("X-A", 5))
with_edits(decision, SetHeader("X-A", b"x"))
with_edits(decision, SetHeader("X-A", "\ud800"))
with_edits(decision, SetHeader("X-A", Text("x")))
with_edits(decision, SetPart("from.user", None))
with_edits(decision, SetPart("from.port", "5"))
with_edits(decision, SetPart(None, "5"))
with_edits(decision, SetPart([], "5"))
with_edits(decision, SetPart("to.host", "a b"))
with_edits(decision, SetPart("to.host", "a;b"))
with_edits(decision, SetPart("from.type", "tele phone"))
with_edits(decision, RemoveHeader(None))
with_edits(decision, RemoveHeader("*"))
with_edits(decision, CopyHeader("X-A", None))
with_edits(decision, CopyHeader(["X-A"]))
with_edits(decision, CopyHeader("X-A", "Via"))
Odd(403)
OddRoute((Hop("carrier"),))
Anything()
raising(ValueError("no"))
raising(KeyboardInterrupt())
raising(SystemExit(3))
raising(GeneratorExit())
raising(GreenletExit())
raising(BaseException())
raising(Silent())
raising(Nameless())
"""
AT_ON_INVITE = r"""
route("carrier")
amend(5)
amend(SetHeader("X-A", None))
amend(SetPart("to.user", "\ud800"))
amend(tags=None)
amend(tags=["vip"])
amend(tags=("",))
amend(tags=(5,))
amend(tags=("a\nb",))
amend(tags=(Text("a"),))
amend(tags=("x",) * 33)
Amend(None)
Amend([SetHeader("X-A", "1")])
Challenge("realm")
reject(200)
redirect("mailto:a@b")
"""
AT_OTHERS = {
    "on_answer": ("reject(403)", 'hang_up(5)', 'hang_up("a\\nb")', 'hang_up(Text("x"))', "True"),
    "on_end": ("reject(403)", "0", "facts", 'hang_up("x")'),
    "on_handshake": ("reject(403)", "refuse(None)", 'refuse("\\ud800")', "False", "handshake"),
}  # fmt: skip
HEAD = """\
from dataclasses import dataclass, replace
from gevent import GreenletExit
from dsl.decision import Challenge
from sbc.hookapi import *
class Text(str): pass
class Odd(Reject):
    @property
    def tags(self): return None
class OddRoute(Route): pass
class Anything:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    @property
    def __class__(self): raise SystemExit
class Silent(BaseException):
    @property
    def __class__(self): raise SystemExit
    @property
    def __traceback__(self): raise SystemExit
    def __str__(self): raise SystemExit
class Loud(type):
    @property
    def __name__(self): raise SystemExit
class Nameless(Exception, metaclass=Loud): pass
def raising(error): raise error
"""
ARGUMENTS = {
    "on_route": "facts, decision", "on_invite": "facts", "on_answer": "facts, answer", "on_end": "facts, end",
    "on_handshake": "handshake",
}  # fmt: skip


def answers() -> Iterator[tuple[str, str]]:
    for line in AT_ON_ROUTE.strip().splitlines():
        yield "on_route", line
    for line in AT_ON_INVITE.strip().splitlines():
        yield "on_invite", line
    for point, lines in AT_OTHERS.items():
        yield from ((point, line) for line in lines)


ALL = list(answers())


def hooks(text: str) -> Any:
    found, problems = load_hooks({"hooks/10-odd.py": dedent(text)})
    assert problems == []
    return found


@pytest.fixture(scope="module")
def odd() -> dict[str, Any]:
    """A hook for each answer, by its number."""
    files: dict[str, str] = {}
    for at, (point, line) in enumerate(ALL):
        files[point] = files.get(point, "") + f"    if which({ARGUMENTS[point]}) == '{at}': return {line}\n"
    text = HEAD + "def which(told, *rest): return getattr(told, 'call_id', '') or told.sni\n"
    for point, lines in files.items():
        text += f"def {point}({ARGUMENTS[point]}):\n{lines}"
    found = hooks(text)
    return {point: getattr(found, point.removeprefix("on_")) for point in ARGUMENTS}


def ask(run: HookRun, point: str, number: str) -> object:
    facts = Facts(call_id=number)
    match point:
        case "on_route":
            return run.route(facts, DECISION)
        case "on_invite":
            return run.invite(facts)
        case "on_answer":
            return run.answer(facts, Answer())
        case "on_end":
            run.end(facts, End())
            return None
        case _:
            return run.handshake(Handshake(sni=number))


@pytest.mark.parametrize("number", range(len(ALL)), ids=[f"{point} {line}" for point, line in ALL])
def test_an_odd_answer_is_a_failure_of_its_hook(odd: dict[str, Any], number: int) -> None:
    point, _ = ALL[number]
    told: list[tuple[str, dict[str, object]]] = []
    run = HookRun(odd[point], lambda event, fields: told.append((event, fields)), TRUNKS)
    if point == "on_end":
        ask(run, point, str(number))
    else:
        with pytest.raises(HookFailure):
            ask(run, point, str(number))
    ((event, fields),) = [each for each in told if each[0] != "hook-slow"]
    line = fields["line"]
    assert (event, fields["file"]) == ("hook-failed", "hooks/10-odd.py")
    assert isinstance(line, int) and line >= HEAD.count("\n") - 1


def test_the_table_is_long_enough() -> None:
    assert len(ALL) > 180 and len(set(ALL)) == len(ALL)


GOOD: tuple[Decision, ...] = (
    Reject(400), Reject(699, "größer \udcff", tags=("a", "")), Redirect(("sips:a@b;x=1", "tel:+1", "sip:b")),
    Redirect(("sip:a@b",), downgrade="forbid"),
    Route((Hop("carrier"), Hop("backup", (300, 503, 599, "timeout", "unreachable")))),
    Route((Hop("", (), Group("g", (("carrier", 1), ("backup", 1000)))),), srtp="off", downgrade="allow"),
    Route((Hop("carrier"),), (SetPart("to.host", "[::1]:5060"), SetPart("to.type", ""))),
    Route((Hop("carrier"),), codecs=Codecs(("PCMA", "TELEPHONE-EVENT"), ("G726-16",)), ring=3600),
    Route((Hop("carrier"),), record=True),
    Route((Hop("carrier"),), record=True, tone=True),
    Route((Hop("carrier"),), limits=(Limit("r #1 \x00", 0), Limit("k", 1_000_000, 3600, 480, "No"))),
)  # fmt: skip


@pytest.mark.parametrize("decision", GOOD, ids=repr)
def test_what_can_be_carried_out_is_taken(decision: Decision) -> None:
    assert refusal(decision, TRUNKS) is None


def test_what_rules_decide_is_taken_from_a_hook_too() -> None:
    text = """
        groups: {both: {carrier: 2, backup: 1}}
        rules:
          - name: on its way
            when: has header "X-A"
            then: |
              set from.display = header("X-A"); set to.host = header("X-A"); set from.type = header("X-A")
              set header "X-B" = header("X-A"); tag header("X-A"); limit 5 calls per header("X-A")
              forbid downgrade; prefer codecs "PCMA"; ring for 9 seconds; continue
          - name: moved
            when: to.user == "1"
            then: redirect "sip:" + header("X-A") + "@" + header("X-A")
          - name: refused
            when: to.user == "2"
            then: reject 480 "Größe"
          - name: sent
            when: true
            then: route group.both
        """
    rules, problems = load({"r.yaml": dedent(text).lstrip()}, Known(trunks=TRUNKS))
    assert rules is not None, problems
    value = 'a"<b>\x00\r\n\t\x85\u2028\ud800\udc80\udfff,; é' * 50
    for user in ("1", "2", "3"):
        decision = rules.decide(Facts(ruri_user=user, header={"X-A": value}.get))
        assert refusal(decision, TRUNKS) is None


FORCED = """
    import copy
    from sbc.hookapi import route
    def on_route(facts, decision):
        def force(frozen, name, value):
            try:
                object.__setattr__(frozen, name, value)
            except TypeError:
                pass  # then it is frozen indeed
        force(facts, "trunk", "carrier")
        force(decision.hops[0], "trunk", "backup")
        force(decision.edits[0], "value", "2")
        force(decision, "srtp", "off")
        return {}
    """


def test_what_a_hook_forces_into_its_arguments_nobody_else_sees() -> None:
    seen = """
        from sbc.hookapi import reject
        def on_route(facts, decision):
            hop, edit = decision.hops[0], decision.edits[0]
            return reject(480, f"{facts.trunk} {hop.trunk} {edit.value} {decision.srtp}")
        """
    files = {"a.py": dedent(FORCED.format("None")), "b.py": dedent(seen)}
    found, problems = load_hooks(files)
    assert problems == []
    before = copy.deepcopy(DECISION)
    said = HookRun(found.route, lambda *told: None, TRUNKS).route(FACTS, DECISION)
    assert isinstance(said, Reject) and said.reason == "office carrier 1 None"
    assert before == DECISION and FACTS.trunk == "office"


def test_a_decision_that_is_forced_and_returned_is_judged_and_is_the_hooks() -> None:
    def run(text: str) -> Decision:
        return HookRun(hooks(text).route, lambda *told: None, TRUNKS).route(FACTS, DECISION)

    said = run(FORCED.format("decision"))
    assert isinstance(said, Route) and said.hops == (Hop("backup"),) and "hooks/10-odd.py" in said.rule
    assert run("def on_route(facts, decision): return decision") is DECISION
    with pytest.raises(HookFailure, match="srtp is one of"):
        run(FORCED.replace('"off"', "5").format("decision"))


def test_what_a_hook_keeps_of_its_answer_changes_nothing_any_more() -> None:
    found = hooks("""
        from sbc.hookapi import route
        kept = []
        def on_route(facts, decision):
            kept.append(route("carrier"))
            return kept[0]
        """).route
    said = HookRun(found, lambda *told: None, TRUNKS).route(FACTS, DECISION)
    object.__setattr__(found[0].function.__globals__["kept"][0].hops[0], "trunk", "nowhere")
    assert isinstance(said, Route) and said.hops == (Hop("carrier"),)


def test_facts_can_be_copied_in_either_build() -> None:
    for made in (copy.copy(FACTS), copy.deepcopy(FACTS), apart(FACTS)):
        assert made == FACTS and made is not FACTS
    copies = """
        import copy
        from dataclasses import replace
        from sbc.hookapi import reject
        def on_invite(facts):
            made = replace(copy.deepcopy(copy.copy(facts)), trunk="x")
            return reject(480, f"{made.trunk} {facts.trunk} {made.header('x-a')}")
        """
    said = HookRun(hooks(copies).invite, lambda *told: None).invite(FACTS)
    assert isinstance(said.decision, Reject) and said.decision.reason == "x office 1"
