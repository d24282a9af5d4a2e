"""A fault of our own, in any step of a call: everybody gets a final answer, and nothing is left of the call.

Whole calls are played under the real driver with real media ports. First they show which functions run at
which event; then each of these fails there, once or from then on for good, as a mistake in it would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from sbc.config.hooks import load_hooks
from sbc.config.snapshot import Snapshot
from sbc.net.media.embedded import MediaIO
from sbc.sip.message import Response, response_to
from tests.playbook.stage import snapshot
from tests.property.driven import DrivenStage, media_plane
from tests.property.injector import INJECTOR, LAST_WORDS, injected

__all__ = ["injected"]  # a fixture of this module

pytestmark = [pytest.mark.pure, pytest.mark.slow]

RULES = """
rules:
  - name: transferred
    when: referred_by != ""
    then: |
      limit 5 calls per from.user
      follow redirects
      route "backup"
  - name: consulted
    when: to.user == "+12125550177"
    then: route "backup"
  - name: taking over
    when: trunk == "backup" and redirected_from == ""
    then: |
      limit 5 calls per from.user
      route "office"
  - name: out
    when: trunk == "office" and to.user matches /^\\+1/
    then: |
      limit 5 calls per from.user
      set from.display = "x" + from.user
      follow redirects
      route "carrier" then "backup" on 503, timeout, unreachable
  - name: diverted
    when: redirected_from != ""
    then: |
      limit 5 calls per from.user
      route "backup"
  - name: in
    when: trunk == "carrier"
    then: route "office"
"""
HOOKS = """
from sbc.hookapi import SetHeader, amend
TIME_LIMIT = 60
def on_invite(facts): return amend(SetHeader("X-A", facts.from_user))
def on_route(facts, decision): return decision
def on_answer(facts, answer): pass
def on_end(facts, end): pass
"""
OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
AGAIN = OFFER.replace(b"o=- 1 1", b"o=- 1 2").replace(b"40000", b"40002")

Step = tuple[str, Callable[[DrivenStage], object]]


@pytest.fixture(scope="module")
def media() -> Iterator[MediaIO]:
    plane = media_plane()
    yield plane
    plane.close()


@cache
def configuration(hooks: bool) -> Snapshot:
    made = snapshot(
        RULES, srtp="off", limits={"calls": 5}, response_timeout=4, ring_timeout=20, transfers="perform"
    )
    if hooks:
        loaded, problems = load_hooks({"hooks/a.py": HOOKS})
        assert not problems
        made = replace(made, hooks=loaded)
    return made


# What may happen


def invite(body: bytes = OFFER, supported: str = "100rel") -> Step:
    return "the caller calls", lambda stage: stage.office.invite(body, Supported=supported)


def says(name: str, status: int, body: bytes = b"", **headers: str) -> Step:
    def act(stage: DrivenStage) -> None:
        agent = stage.agents[name]
        agent.answer(agent.invites()[-1], status, body, **headers)

    return f"{name} says {status}", act


def moves(*users: str, name: str = "carrier") -> Step:
    def act(stage: DrivenStage) -> None:
        agent = stage.agents[name]
        invite = agent.invites()[-1]
        answer = response_to(invite, 302, "", "mover")
        for user in users:
            answer.headers.add("Contact", f"<sip:{user}@sbc.example>")
        agent.given[invite.via.branch] = 302
        agent.peer.say(answer)

    return f"{name} redirects", act


def ack(body: bytes = b"") -> Step:
    def act(stage: DrivenStage) -> None:
        answer = stage.agents["office"].reply(200)
        stage.within("office", answer, "ACK", body, CSeq=f"{answer.cseq.number} ACK")

    return "the caller acknowledges", act


def caller(method: str, body: bytes = b"", status: int = 200, **headers: str) -> Step:
    def act(stage: DrivenStage) -> None:
        stage.within("office", stage.agents["office"].reply(status), method, body, **headers)

    return f"the caller sends {method}", act


def callee(method: str, body: bytes = b"", name: str = "carrier") -> Step:
    def act(stage: DrivenStage) -> None:
        stage.from_callee(stage.agents[name].invites()[0], method, body)

    return f"the callee sends {method}", act


def answers(name: str, method: str, status: int = 200, body: bytes = b"") -> Step:
    def act(stage: DrivenStage) -> None:
        stage.agents[name].peer.respond(stage.agents[name].last(method), status, body=body)

    return f"{name} answers {method} with {status}", act


def waits(seconds: float) -> Step:
    return f"{seconds:g} s pass", lambda stage: stage.wait(seconds)


def closes(name: str) -> Step:
    def act(stage: DrivenStage) -> None:
        old, peer = stage.peers[name].flow, stage.peers[name]
        peer.flow = stage.flow(stage.engine.store.current.trunks[name])
        peer.flow.channel, stage.agents[name].gone = old.channel, True
        stage.run(stage.engine.flow_closed, old)

    return f"the connection of {name} closes", act


def unreachable(name: str) -> Step:
    return f"{name} listens no longer", lambda stage: stage.dead.add(name)


def hung_up() -> Step:
    def act(stage: DrivenStage) -> None:
        for call in list(stage.engine.calls):
            stage.run(stage.engine.end_call, call, "over")

    return "the operator ends it", act


def cancelled() -> Step:
    def act(stage: DrivenStage) -> None:
        first = next(iter(stage.agents["office"].sent.values()))
        stage.office.request("CANCEL", Via=first.headers.get("Via") or "", CSeq=f"{first.cseq.number} CANCEL")

    return "the caller cancels", act


def takes_over(stage: DrivenStage) -> None:
    (call,) = stage.engine.calls.values()
    assert call.fork is not None
    named = call.fork.b
    replaces = f"{named.call_id};to-tag={named.local_tag};from-tag={named.remote_tag}"
    stage.backup.invite(OFFER, Replaces=replaces, Supported="100rel")


def taken() -> Step:
    def act(stage: DrivenStage) -> None:
        answer = stage.agents["backup"].reply(200)
        stage.within("backup", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")

    return "the backup acknowledges", act


def consults(stage: DrivenStage) -> None:
    text, caller = "sip:+12125550177@sbc.example", "<sip:alice@office.example>;tag=consults"
    stage.office.request("INVITE", text, OFFER, Call_ID="consults", From=caller)


def hears(stage: DrivenStage) -> None:
    answer = stage.agents["office"].reply(200)
    fields: dict[str, Any] = {"Call_ID": answer.call_id, "From": answer.headers.get("From") or ""}
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK", **fields)


def connects(stage: DrivenStage) -> None:
    """The office refers whom it called first to whom it called last."""
    said = [each for each in stage.agents["office"].heard if isinstance(each, Response)]
    first, last = [each for each in said if each.status == 200 and each.cseq.method == "INVITE"]
    named = f"consults%3Bto-tag%3D{last.to_tag}%3Bfrom-tag%3Dconsults"
    stage.within("office", first, "REFER", Refer_To=f"<sip:+12125550199@sbc.example?Replaces={named}>")


def from_outside(stage: DrivenStage) -> None:
    """The office refers in a dialog of its own."""
    answer = stage.agents["office"].reply(200)
    dialog = f"{answer.call_id};local-tag={answer.from_.param('tag')};remote-tag={answer.to_tag}"
    stage.office.request(
        "REFER", Refer_To="<sip:+12125550199@sbc.example>", Target_Dialog=dialog, Call_ID="outside",
        From="<sip:alice@office.example>;tag=outside",
    )  # fmt: skip


RELIABLE = {"Require": "100rel", "RSeq": "1"}
UP = (invite(), says("carrier", 180), says("carrier", 200, OFFER), ack())
CONSULTED = (
    *UP, ("the caller consults the backup", consults), says("backup", 200, OFFER),
    ("the caller acknowledges that too", hears), ("the caller connects both", connects),
)  # fmt: skip
TAKES = ("the backup takes the place of the carrier", takes_over)
REFERS = caller("REFER", Refer_To="<sip:+12125550199@sbc.example>")
SCENES: dict[str, tuple[bool, tuple[Step, ...]]] = {
    "a whole call": (False, (
        invite(), says("carrier", 183, OFFER, **RELIABLE), caller("PRACK", status=183, RAck="1 1 INVITE"),
        answers("carrier", "PRACK"), says("carrier", 200), ack(),
        caller("INVITE", AGAIN), says("carrier", 200, AGAIN), ack(),
        callee("UPDATE", AGAIN), answers("office", "UPDATE", 200, AGAIN),
        caller("INFO"), answers("carrier", "INFO"), caller("BYE"),
    )),
    "with hooks": (True, (*UP, callee("INFO"), answers("office", "INFO"), callee("BYE"))),
    "an offer in the 2xx": (False, (invite(b""), says("carrier", 200, OFFER), ack(OFFER), hung_up())),
    "an early offer of the callee": (False, (
        invite(b""), says("carrier", 183, OFFER, **RELIABLE),
        caller("PRACK", OFFER, status=183, RAck="1 1 INVITE"), answers("carrier", "PRACK"), cancelled(),
    )),
    "a caller without 100rel": (False, (
        invite(supported=""), says("carrier", 183, OFFER, **RELIABLE), answers("carrier", "PRACK"),
        says("carrier", 200), ack(), caller("BYE"),
    )),
    "cancelled": (True, (invite(), says("carrier", 180), cancelled())),
    "answered as it is cancelled": (False, (invite(), cancelled(), says("carrier", 200, OFFER))),
    "refused": (True, (invite(), says("carrier", 486))),
    "the next hop": (False, (
        invite(), says("carrier", 503), says("backup", 180), says("backup", 200, OFFER), ack(), caller("BYE"),
    )),
    "a silent hop": (False, (
        invite(), waits(5), says("backup", 180), says("carrier", 200, OFFER), waits(25),
    )),
    "redirected": (True, (
        invite(), says("carrier", 183, OFFER), moves("+12125550199", "+12125550198"), says("backup", 486),
        says("backup", 200, OFFER), ack(), caller("BYE"),
    )),
    "redirected to nobody": (False, (invite(), moves("+12125550100"))),
    "unusable media": (False, (invite(), says("carrier", 183, b"v=0\r\n"), waits(1))),
    "unusable answer": (False, (invite(), says("carrier", 200, b"v=0\r\n"), waits(1))),
    "no ACK": (False, (invite(), says("carrier", 200, OFFER), waits(40))),
    "two phones": (False, (
        invite(), says("carrier", 180), says("carrier", 183, OFFER), says("carrier", 200, OFFER),
        says("carrier", 200, OFFER), ack(), callee("BYE"),
    )),
    "the caller is gone": (False, (
        invite(), says("carrier", 180), unreachable("office"), closes("office"), waits(1),
    )),
    "the caller is gone and back": (False, (
        invite(), says("carrier", 180), closes("office"), says("carrier", 486),
    )),
    "the callee is gone": (False, (invite(), says("carrier", 180), closes("carrier"))),
    "a change refused": (False, (*UP, caller("INVITE", AGAIN), says("carrier", 488), caller("BYE"))),
    "a change cancelled by the end": (False, (
        *UP, caller("INVITE", AGAIN), says("carrier", 180), callee("BYE"),
    )),
    "a change that nobody answers": (False, (*UP, caller("UPDATE", AGAIN), waits(40))),
    "a session refreshed by a re-INVITE": (False, (
        invite(), says("carrier", 200, OFFER, Session_Expires="90;refresher=uac"), ack(),
        waits(45), says("carrier", 180), says("carrier", 200, AGAIN), caller("BYE"),
    )),
    "a session refreshed by UPDATE": (False, (
        invite(), says("carrier", 200, OFFER, Session_Expires="90;refresher=uac", Allow="UPDATE"), ack(),
        waits(45), answers("carrier", "UPDATE"), caller("BYE"),
    )),
    "a refresh that the end of the call meets": (False, (
        invite(), says("carrier", 200, OFFER, Session_Expires="90;refresher=uac"), ack(),
        waits(45), says("carrier", 180), caller("BYE"),
    )),
    "a refresh that nobody answers": (False, (
        invite(), says("carrier", 200, OFFER, Session_Expires="90;refresher=uac", Allow="UPDATE"), ack(),
        waits(90),
    )),
    "a session that nobody refreshes": (False, (
        invite(), says("carrier", 200, OFFER, Session_Expires="90;refresher=uas"), ack(), waits(61),
    )),
    "transferred": (True, (
        *UP, REFERS, says("backup", 180), says("backup", 200, OFFER), says("carrier", 200, AGAIN),
        answers("office", "NOTIFY"), answers("office", "BYE"), callee("BYE"),
    )),
    "transferred by one who hangs up": (False, (
        *UP, REFERS, says("backup", 180), caller("BYE"), says("backup", 200, OFFER),
        says("carrier", 491), waits(5), says("carrier", 200, AGAIN), callee("BYE"),
    )),
    "an attended transfer": (False, (
        *CONSULTED, says("backup", 200, AGAIN), says("carrier", 200, AGAIN), answers("office", "NOTIFY"),
        callee("BYE"),
    )),
    "an attended transfer that the one refuses": (False, (
        *CONSULTED, says("backup", 488), answers("office", "NOTIFY"), callee("BYE"),
    )),
    "an attended transfer that the other refuses": (False, (
        *CONSULTED, says("backup", 200, AGAIN), says("carrier", 488), answers("office", "NOTIFY"),
        callee("BYE"),
    )),
    "an attended transfer that is overtaken": (False, (*CONSULTED, says("backup", 180), callee("BYE"))),
    "transferred by a REFER outside of the call": (False, (
        *UP, ("the caller refers from outside", from_outside), says("backup", 200, OFFER),
        says("carrier", 200, AGAIN), answers("office", "NOTIFY"), callee("BYE"),
    )),
    "a transfer to one who makes the offer": (False, (
        invite(b""), says("carrier", 200), ack(), REFERS, says("backup", 200, OFFER),
        says("carrier", 200, AGAIN), answers("office", "NOTIFY"), callee("BYE"),
    )),
    "a transfer that is redirected": (False, (
        *UP, REFERS, moves("+12125550188", name="backup"), says("backup", 180), says("backup", 200, OFFER),
        says("carrier", 200, AGAIN), callee("BYE"),
    )),
    "a transfer that the one who is transferred refuses": (False, (
        *UP, REFERS, says("backup", 200, OFFER), says("carrier", 488), answers("office", "NOTIFY"),
        callee("BYE"),
    )),
    "a transfer whose re-INVITE nobody answers": (False, (
        *UP, REFERS, says("backup", 200, OFFER), says("carrier", 180), waits(41), says("carrier", 487),
    )),
    "a transfer of media that must not be used": (False, (
        *UP, REFERS, says("backup", 200, OFFER), says("carrier", 200, b"v=0\r\n"), waits(1),
    )),
    "a transfer whose connection closes": (False, (
        *UP, REFERS, says("backup", 200, OFFER), closes("carrier"), says("carrier", 200, AGAIN),
        callee("BYE"),
    )),
    "a transfer that is refused": (False, (*UP, REFERS, says("backup", 486), callee("BYE"))),
    "a transfer that nobody waits for": (False, (*UP, REFERS, says("backup", 180), callee("BYE"))),
    "transferred with Replaces": (True, (
        *UP, TAKES, says("office", 491), waits(5), says("office", 200, AGAIN), taken(),
        answers("carrier", "BYE"), caller("BYE"),
    )),
    "a transfer with Replaces that is refused": (False, (*UP, TAKES, says("office", 488), callee("BYE"))),
    "a transfer with Replaces that is overtaken": (False, (*UP, TAKES, caller("BYE"))),
    "no such dialog": (False, (*UP, caller("INFO"), answers("carrier", "INFO", 481), waits(1))),
    "no route": (False, (("the callee calls amiss", lambda stage: stage.backup.invite(OFFER)),)),
    "draining": (False, (("drains", lambda stage: setattr(stage.engine, "draining", True)), invite())),
}  # fmt: skip


def perform(media: MediaIO, scene: str) -> DrivenStage:
    """Play the scene to its end, or to where the fault has struck."""
    hooks, steps = SCENES[scene]
    stage = DrivenStage(configuration(hooks), media)
    for number, (name, act) in enumerate(steps):
        INJECTOR.event = f"{number}: {name}"
        act(stage)
        stage.settle()
        if INJECTOR.hits:
            break
    if not INJECTOR.hits:
        INJECTOR.event = "in the end"
    if "transfer" in scene:
        # Of two calls the one that the fault did not meet goes on as it was.
        for call in [each for each in stage.engine.calls.values() if each.state in ("answered", "up")]:
            stage.run(stage.engine.end_call, call.id, "over")
    stage.wind_up()
    return stage


@pytest.mark.parametrize("scene", SCENES)
def test_the_scene_goes_well_without_a_fault(scene: str, media: MediaIO) -> None:
    INJECTOR.arm(None)
    stage = perform(media, scene)
    if any("sends BYE" in name for name, _ in SCENES[scene][1]):
        assert any("event=call-up" in line for line in stage.lines), "the scene did not get far"
    assert (stage.faults, stage.left_over(), stage.owed()) == ([], [], [])


def _cases() -> Iterator[Any]:
    """Every scene with faults that come once, a third with such as stay; `make long` has the rest."""
    for at, scene in enumerate(SCENES):
        yield pytest.param(scene, False, id=f"{scene}-once")
        yield pytest.param(scene, True, id=f"{scene}-for good", marks=[pytest.mark.long] if at % 3 else [])


@pytest.mark.parametrize(("scene", "always"), list(_cases()))
def test_after_a_fault_the_call_is_gone_and_everybody_knows(scene: str, always: bool, media: MediaIO) -> None:
    INJECTOR.arm(None)
    INJECTOR.seen.clear()
    records = len(perform(media, scene).records)
    # Where a fault ends the first of them, a redirected or transferred call goes on as none.
    wanted = 1 if scene.startswith("redirected") or "transfer" in scene else records
    if scene == "draining":
        wanted = 0  # no call begins, and of what is turned away a fault is told in the journal alone
    failed, tried = [], 0
    for armed in list(INJECTOR.seen):
        if not armed[0] or (always and armed[1].startswith(LAST_WORDS)):
            continue
        INJECTOR.arm(armed, always)
        stage = perform(media, scene)
        if not INJECTOR.hits:
            continue
        tried += 1
        wrong = [*stage.left_over(), *stage.owed()]
        # Whoever bills reads it: one record a call, unless what writes it is what fails.
        told = len(stage.records)
        if told > max(1, records) or (not always and told < wanted and not armed[0].startswith("0:")):
            wrong.append(f"{told} records")
        if not stage.faults:
            wrong.append("the fault was not told")
        if wrong:
            failed.append(f"{armed[1]} at {armed[0]}: {'; '.join(wrong)}")
            media_is_empty(media)
    INJECTOR.arm(None)
    assert failed == [], "\n".join(failed)
    assert tried > 10 or scene == "draining"


def media_is_empty(media: MediaIO) -> None:
    """So that one failure is not told again for every scene after it."""
    for call in list(media._sessions):
        media.delete(call)
