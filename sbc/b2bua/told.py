"""What is told of a call: its record, and what hooks hear of its answer and its end.

An INVITE that is refused before any rule is asked makes no call; its record is made of itself.
"""

from __future__ import annotations

from typing import Final

from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command, HearMedia, Note, RecordMedia, RunHooks
from sbc.b2bua.states import Ending
from sbc.config.hook_set import Hook, called_by
from sbc.flow import Flow
from sbc.hookapi.arguments import Answer, End
from sbc.sip.machine import Send
from sbc.sip.message import Request, Response

# The caller gave up, or is to prove a password first.
_NO_FAILURE: Final = (407, 487)
# Whoever is asked for a password comes again with one.
_CHALLENGES: Final = (401, 407)


def run(call: Call, hooks: tuple[Hook, ...], about: Answer | End, out: list[Command]) -> None:
    """Ask those of ``hooks`` that run for this call."""
    chosen = called_by(hooks, call.named_hooks)
    if chosen and call.facts is not None:
        out.append(RunHooks(call.id, call.snapshot, chosen, call.facts, about))


def let_hear(call: Call, out: list[Command]) -> None:
    """The call has been answered: whoever is to hear it does so from now on."""
    if call.demands[2]:
        out.append(RecordMedia(call.id, call.demands[3]))
    hooks = call.snapshot.hooks.media
    chosen = called_by(hooks, call.named_hooks) if hooks else ()
    if chosen and call.facts is not None:
        out.append(HearMedia(call.id, chosen, call.facts))


def answer_of(call: Call, at: float) -> Answer:
    """A call that has just come up."""
    assert call.b is not None, "somebody answered"
    tls = call.b.flow.tls
    peer = tls.peer if tls is not None else None
    return Answer(
        trunk=call.b.name, rule=call.rule, setup_time=at - call.created, now=call.desk.date(at),
        tls_version=tls.version if tls is not None else "",
        peer_verified=peer is not None and peer.verified,
        peer_sans=peer.sans if peer is not None else (),
    )  # fmt: skip


def end_of(call: Call, ending: Ending, at: float) -> End:
    """A call that has just ended."""
    answered = call.answered_at
    return End(
        trunk=call.b.name if call.b is not None else "", rule=call.rule,
        status=200 if answered else ending.status, reason=ending.why, by=ending.by,
        seconds=at - answered if answered else 0.0, now=call.desk.date(at),
    )  # fmt: skip


def record_of(call: Call, ending: Ending, at: float) -> dict[str, object]:
    """What the call's record tells of it."""
    answered, date, b = call.answered_at, call.desk.date, call.b
    trunk, peer = call.tried
    if b is not None and (b.name != trunk or b.peer != peer):
        b = None  # it was given up, and what was tried after it has no leg
    return {
        "caller": call.caller, "called": call.called, "asserted": call.asserted, "rule": call.rule,
        "from": call.a.name, "to": trunk,
        "status": 200 if answered else ending.status, "reason": ending.why, "by": ending.by,
        "created": date(call.created), "answered": date(answered) if answered else 0.0,
        "ended": date(at),
        "duration": at - answered if answered else 0.0,
        # An answer that is the first thing heard was no ringing.
        "rang": date(call.heard_at) if call.heard_at and call.heard_at != answered else 0.0,
        "pdd": call.heard_at - call.created if call.heard_at else None,
        "call_id": call.a.call_id, "call_id_b": b.call_id if b else "",
        "one_way": call.one_way, "fax": call.fax,
        "downgraded": bool(call.downgrades), "downgrades": call.downgrades, "emergency": call.emergency,
        "tags": call.tags, "a": call.a.flow,
        "redirected_from": call.redirected[0], "redirected_by": call.redirected[1],
        "referred_by": call.referred[0], "referred_trunk": call.referred[1],
        "b": b.flow if b else None, "peer": peer or "", "lookups": call.answers,
    }  # fmt: skip


def turned_away(
    flow: Flow, request: Request, trunk: str, left: list[Command], unanswered: bool, now: float
) -> Note | None:
    """What is told of an INVITE, of ``trunk``, that began no call; None where it did, or is challenged.

    ``left`` is all that taking it in has left, ``unanswered`` that it is to hear nothing; ``now`` is in POSIX
    seconds. Why it was refused is what the journal says, or the phrase of the answer.
    """
    status, phrase, why = 0, "no answer", ""
    for each in left:
        if isinstance(each, Note):
            if each.event == "call-ended":
                return None
            why = str(each.fields.get("reason") or why)
        elif isinstance(each, Send) and each.flow is flow and isinstance(each.message, Response):
            response = each.message
            if response.status >= 200 and response.headers.get("Call-ID") == request.headers.get("Call-ID"):
                status, phrase = response.status, response.reason
    if status in _CHALLENGES or (status < 300 and not (unanswered and not status)):
        return None
    fields = {
        "request": request, "a": flow, "from": trunk, "status": status, "reason": why or phrase,
        "created": now,
    }  # fmt: skip
    return Note("call-turned-away", "", fields)


def hung_up(call: Call, at: float) -> None:
    """Count how long an answered call was, for both of its trunks; one who was referred has not called."""
    if call.answered_at:
        outcomes, seconds = call.desk.outcomes, at - call.answered_at
        if not call.referred[0]:
            outcomes.of(call.a.name, "inbound").talked(seconds)
        if call.b is not None:
            outcomes.of(call.b.name, "outbound").talked(seconds)


def emergency_failed(call: Call, ending: Ending, out: list[Command]) -> None:
    """Tell of an emergency call that nobody answered, unless its caller gave up or has to prove itself."""
    if call.answered_at or ending.status < 400 or ending.status in _NO_FAILURE:
        return
    fields = {
        "trunk": call.a.name, "from": call.caller, "to": call.called, "to_trunk": call.tried[0] or "-",
        "status": ending.status, "reason": ending.why,
    }  # fmt: skip
    out.append(Note("emergency-failed", call.id, fields))
