"""Every event in every state of a call: what the peers hear, by RFC 3261 9, 13 and 15, and no exception."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import pytest

from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command, RunHooks
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.leg import Leg
from sbc.b2bua.life import clear, fire, on_bye
from sbc.b2bua.states import ANSWERED, CALL, ENDED, LEFT, RINGING, ROUTING, TRYING, UP, Ending, Event, State
from sbc.base import Address
from sbc.config.hooks import load_hooks
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.media.policy import MediaPolicy
from sbc.policy.standing import Standing
from sbc.sip.dialog import Dialog
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response
from tests.playbook.stage import Stage, snapshot

BYE = Request("BYE", "sip:peer@sbc.example", Headers([("Reason", "Q.850;cause=16")]))


class Asking(Stage):
    """Its hooks have not answered yet."""

    def hooks(self, command: RunHooks) -> list[Command]:
        """Leave the call waiting."""
        return []


class Outcome(NamedTuple):
    """The state afterwards, what either peer hears, and whether whoever brought the event goes on with it."""

    state: State
    caller: tuple[str | int, ...] = ()
    callee: tuple[str | int, ...] = ()
    goes_on: bool = False


# What is not here changes nothing and is heard by nobody.
EXPECTED: dict[tuple[State, str], Outcome] = {
    (ROUTING, "decision"): Outcome(TRYING, goes_on=True),
    (ROUTING, "refused"): Outcome(ENDED),
    (ROUTING, "cancel"): Outcome(ENDED, (487,)),
    (ROUTING, "lost"): Outcome(ENDED, (503,)),
    (ROUTING, "bye of the caller"): Outcome(ENDED, (487,)),
    (ROUTING, "bye of the callee"): Outcome(ENDED, (480,)),
    (ROUTING, "clear"): Outcome(ENDED, (480,)),
    # No CANCEL before something provisional has been heard (9.1).
    (TRYING, "provisional"): Outcome(RINGING, goes_on=True),
    (TRYING, "answer"): Outcome(ANSWERED, goes_on=True),
    (TRYING, "refused"): Outcome(ENDED),
    (TRYING, "redirected"): Outcome(ENDED),
    (TRYING, "cancel"): Outcome(ENDED, (487,)),
    (TRYING, "lost"): Outcome(ENDED, (503,)),
    (TRYING, "bye of the caller"): Outcome(ENDED, (487,)),
    (TRYING, "bye of the callee"): Outcome(ENDED, (480,)),
    (TRYING, "clear"): Outcome(ENDED, (480,)),
    (RINGING, "provisional"): Outcome(RINGING, goes_on=True),
    (RINGING, "answer"): Outcome(ANSWERED, goes_on=True),
    (RINGING, "refused"): Outcome(ENDED),
    (RINGING, "redirected"): Outcome(ENDED),
    (RINGING, "cancel"): Outcome(ENDED, (487,), ("CANCEL",)),
    (RINGING, "lost"): Outcome(ENDED, (503,), ("CANCEL",)),
    (RINGING, "bye of the caller"): Outcome(ENDED, (487,), ("CANCEL",)),
    (RINGING, "bye of the callee"): Outcome(ENDED, (480,), ("CANCEL",)),
    (RINGING, "clear"): Outcome(ENDED, (480,), ("CANCEL",)),
    # A 2xx is acknowledged before its dialog gets a BYE (13.2.2.4); a CANCEL has no effect any more (9.2).
    (ANSWERED, "ack"): Outcome(UP),
    (ANSWERED, "bye of the caller"): Outcome(ENDED, (), ("ACK", "BYE")),
    (ANSWERED, "bye of the callee"): Outcome(ENDED, ("BYE",), ("ACK",)),
    (ANSWERED, "lost"): Outcome(ENDED, ("BYE",), ("ACK", "BYE")),
    (ANSWERED, "clear"): Outcome(ENDED, ("BYE",), ("ACK", "BYE")),
    (UP, "bye of the caller"): Outcome(ENDED, (), ("BYE",)),
    (UP, "bye of the callee"): Outcome(ENDED, ("BYE",)),
    (UP, "idle"): Outcome(ENDED, ("BYE",), ("BYE",)),
    (UP, "clear"): Outcome(ENDED, ("BYE",), ("BYE",)),
    # The caller has referred the callee to somebody, and hangs up before they are connected (RFC 3515).
    (UP, "leave"): Outcome(LEFT),
    (UP, "moved"): Outcome(ENDED, (), ("BYE",)),
    (LEFT, "moved"): Outcome(ENDED),
    (LEFT, "bye of the caller"): Outcome(ENDED, (), ("BYE",)),
    (LEFT, "bye of the callee"): Outcome(ENDED),
    (LEFT, "clear"): Outcome(ENDED, (), ("BYE",)),
}
STATES: tuple[State, ...] = (ROUTING, TRYING, RINGING, ANSWERED, UP, LEFT, ENDED)
PLAIN: dict[Event, Ending] = {
    "decision": Ending(""),
    "provisional": Ending(""),
    "answer": Ending(""),
    "ack": Ending(""),
    "refused": Ending("refused", status=486),
    "redirected": Ending("302 Moved", "callee", 302),
    "cancel": Ending("cancelled", "caller", 487),
    "lost": Ending("the connection closed", status=503),
    "leave": Ending(""),
    "moved": Ending("transferred", "callee"),
    "idle": Ending("silence"),
}
EVENTS = (*PLAIN, "bye of the caller", "bye of the callee", "clear")


def call_in(state: State) -> tuple[Stage, Call]:
    """A call that peers brought to ``state``, and nothing unheard."""
    if state == ROUTING:
        loaded, problems = load_hooks({"hooks/a.py": "def on_invite(facts): pass"})
        assert not problems
        stage: Stage = Asking(replace(snapshot(), hooks=loaded))
    else:
        stage = Stage()
    stage.office.invite()
    (call,) = stage.engine.calls.values()
    if state != ROUTING:
        invite = stage.carrier.hears_request("INVITE")
        if state != TRYING:
            stage.carrier.respond(invite, 180)
        if state in (ANSWERED, UP, LEFT):
            stage.carrier.respond(invite, 200, body=b"v=0 answer")
        if state in (UP, LEFT):
            stage.office.hears(100)
            stage.office.hears(180)
            stage.within("office", stage.office.hears_response(200), "ACK")
        if state == LEFT:
            fire(call, "leave", stage.now, [], PLAIN["leave"])
        if state == ENDED:
            stage.carry_out(stage.engine.end_call(call.id, "over", stage.now))
    for peer in (stage.office, stage.carrier):
        peer.heard.clear()
    assert call.state == state
    return stage, call


def said(message: Message) -> str | int:
    if isinstance(message, Request):
        return message.method
    assert isinstance(message, Response)
    return message.status


def happens(event: str, call: Call, now: float, out: list[Command]) -> bool:
    if event == "clear":
        clear(call, "over", now, out)
    elif event.startswith("bye"):
        on_bye(call, "a" if event.endswith("caller") else "b", BYE, now, out)
    else:
        (named,) = (each for each in PLAIN if each == event)
        return fire(call, named, now, out, PLAIN[named])
    return False


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
def test_an_event_in_a_state(state: State, event: str) -> None:
    expected = EXPECTED.get((state, event), Outcome(state))
    stage, call = call_in(state)
    out: list[Command] = []
    goes_on = happens(event, call, stage.now, out)
    stage.carry_out(out)
    caller, callee = (tuple(map(said, peer.heard)) for peer in (stage.office, stage.carrier))
    assert Outcome(call.state, caller, callee, goes_on) == expected
    ended = call.state == ENDED
    assert len(stage.noted("call-ended")) == ended, "one record, when it is over"
    assert (call.id in stage.engine.calls) == (not ended)


def test_no_pair_is_left_out() -> None:
    events = {event for _, event in CALL}
    assert {each.partition(" ")[0] for each in EVENTS} == events
    assert {state for state, _ in CALL} == set(STATES)


def plain(value: object) -> Iterator[object]:
    """Whatever is no data in what ``value`` holds; a flow, a trunk and a policy have names to be found by."""
    if value is None or isinstance(value, str | bytes | int | float | Address):
        return
    if isinstance(value, Flow | Trunk | Standing | MediaPolicy):
        return
    if isinstance(value, Mapping):
        yield from plain([*value, *value.values()])
    elif isinstance(value, list | tuple | set | deque):
        for each in value:
            yield from plain(each)
    elif isinstance(value, Leg | Fork | Dialog):
        for name in type(value).__slots__:
            yield from plain(getattr(value, name))
    else:
        yield value


@pytest.mark.pure
def test_a_call_that_is_up_could_be_written_down() -> None:
    stage = Stage()
    _, answer = stage.established()
    (call,) = stage.engine.calls.values()
    names = set(Call.__slots__) - {"desk", "snapshot"}
    assert [*plain([getattr(call, name) for name in names])] == []
    stage.within("office", answer, "INFO")
    assert [*plain(call.mirrors)] == call.mirrors != [], "what is under way is no data"


def test_what_a_peer_says_too_late_is_answered_and_changes_nothing() -> None:
    stage, call = call_in(ANSWERED)
    first = stage.engine.transactions.live()[0].request
    stage.office.request("CANCEL", Via=first.headers.get("Via") or "", CSeq=f"{first.cseq.number} CANCEL")
    stage.office.hears(200)
    stage.carrier.hears_nothing()
    assert call.state == ANSWERED


def test_a_bye_to_a_call_that_is_over_gets_481() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "BYE")
    stage.office.hears(200)
    stage.carrier.hears("BYE")
    stage.within("office", answer, "BYE")
    stage.office.hears(481)
    stage.carrier.hears_nothing()
