"""The life of a call: the rows of its table (``sbc.b2bua.states``) turned into calls of functions.

Everything that ends a call, brings it up or lets it go on passes through ``fire``, which alone sets its
state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sbc.b2bua.bodies import with_bodies
from sbc.b2bua.call import LONGEST, Call, forget
from sbc.b2bua.causes import explain
from sbc.b2bua.commands import Command, DeleteMedia, Note
from sbc.b2bua.desk import NOBODY
from sbc.b2bua.leg import Side, other
from sbc.b2bua.session import leave
from sbc.b2bua.states import CALL, EARLY, LEFT, UP, Ending, Event, State
from sbc.b2bua.told import answer_of, emergency_failed, end_of, hung_up, record_of, run
from sbc.b2bua.translate import Fields, carried, reasons
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.flow import EARNED
from sbc.sip.message import Request
from sbc.sip.q850 import NORMAL, UNSPECIFIED

_Action = Callable[[Call, Ending, float, list[Command]], None]
_GOING_ON: Final = Ending("")


def fire(call: Call, event: Event, at: float, out: list[Command], ending: Ending = _GOING_ON) -> bool:
    """Feed one event to the call; True where whoever fired it is to go on with it."""
    call.state, actions, goes_on = _LIFE[call.state][event]
    for action in actions:
        action(call, ending, at, out)
    return goes_on


def clear(call: Call, why: str, at: float, out: list[Command]) -> None:
    """End the call from our side: BYE to both, or before the answer a refusal and a CANCEL."""
    fire(call, "clear", at, out, Ending(why))


def on_bye(call: Call, side: Side, bye: Request, at: float, out: list[Command]) -> None:
    """The peer on ``side`` hung up; before the answer the INVITE is over with it (RFC 3261 15.1.2)."""
    if call.linked is not None and _only_leaves(call, side, at, out):
        return
    if call.state in EARLY:
        status, why = (487, reasons(bye)) if side == "a" else (480, ())
        ending = Ending("BYE in an early dialog", status=status, reasons=why)
    else:
        ending = Ending("normal", "caller" if side == "a" else "callee", side=side, bye=bye)
    fire(call, "bye", at, out, ending)


def _only_leaves(call: Call, side: Side, at: float, out: list[Command]) -> bool:
    """Whether ``side`` has referred the other, which the call therefore still holds."""
    if call.state == UP and any([each.outlives(side) for each in call.mirrors]):
        leave(call, side)
        fire(call, "leave", at, out, Ending("", side=side))
    return call.state == LEFT and call.fork is not None and call.fork.dialog(side).state == "ended"


def _withdraw(call: Call, ending: Ending, at: float, out: list[Command]) -> None:
    if call.setup is not None:
        call.setup.withdraw(ending, at, out)


def _confirm(call: Call, ending: Ending, at: float, out: list[Command]) -> None:
    """The caller's ACK closed the first three-way handshake; what led there may be let go of."""
    if call.setup is not None:
        call.setup.let_go()
        call.setup = None
    if call.longest or call.until:
        _bound(call)
    for leg in (call.a, call.b):
        if leg is not None:
            leg.flow.allowance.earned += EARNED
    out.append(Note("call-up", call.id, {"setup_time": round(at - call.created, 3)}))
    hooks = call.snapshot.hooks.answer
    if hooks:
        run(call, hooks, answer_of(call, at), out)


def _bound(call: Call) -> None:
    """It ends when its rule says, or that of the call that a party of it came from; a call for help never."""
    own = call.answered_at + call.longest if call.longest else call.until
    call.until = min(own, call.until) if call.until else own
    if not call.emergency:
        call.schedule(LONGEST, call.until)


def _end_near(call: Call, ending: Ending, at: float, out: list[Command]) -> None:
    for answered in call.answered_invites.values():
        answered.overtaken(ending.side, at, out)
    if call.fork is not None:
        call.fork.dialog(ending.side).end()


def _bye_far(call: Call, ending: Ending, at: float, out: list[Command]) -> None:
    _hang_up(call, other(ending.side), at, out, ending.bye)


def _bye_a(call: Call, ending: Ending, at: float, out: list[Command]) -> None:
    _hang_up(call, "a", at, out, why=ending.reasons)


def _bye_b(call: Call, ending: Ending, at: float, out: list[Command]) -> None:
    _hang_up(call, "b", at, out, why=ending.reasons)


def _hang_up(
    call: Call, side: Side, at: float, out: list[Command], bye: Request | None = None, why: Fields = ()
) -> None:
    """Send BYE on ``side`` where its dialog is confirmed; a 2xx that it gave is acknowledged before.

    ``bye`` is the other side's: its Reason and User-to-User cross (RFC 3326, RFC 7433); ``why`` is ours.
    """
    for answered in call.answered_invites.values():
        answered.acknowledge(side, at, out)
    fork = call.fork
    if fork is not None and fork.dialog(side).state == "confirmed":
        request = call.request(fork, side, "BYE")
        request.headers.extend(why)
        if bye is not None:
            near, far = call.leg(other(side)), call.leg(side)
            request.headers.extend(carried(bye, near, far))
            _with_bodies(request, bye, near.trunk, far.trunk)
        explain(request.headers, call.leg(side).trunk, UNSPECIFIED if bye is None else NORMAL)
        call.send(fork, side, request, NOBODY, at, out)
        fork.dialog(side).end()


def _with_bodies(request: Request, bye: Request, near: Trunk, far: Trunk) -> None:
    """Let what a BYE says to the network behind cross (RFC 3204); it ends the call, however it is divided."""
    try:
        with_bodies(request, bye, b"", near, far)
    except PeerError:
        return


def _release(call: Call, ending: Ending, at: float, out: list[Command]) -> None:
    """Media, timers, limits and dialogs are given back, and whoever wants to know is told."""
    call.timers.clear()
    call.media_waits.clear()
    while call.mirrors:
        call.mirrors[-1].abandon(at, out)
    call.answered_invites.clear()
    call.drop_forks()
    if call.setup is not None:
        call.setup.let_go()
        call.setup = None
    if call.has_media:
        call.has_media = False
        out.append(DeleteMedia(call.id))
    out.append(Note("call-ended", call.id, record_of(call, ending, at)))
    call.recorded = True
    hung_up(call, at)
    if call.emergency:
        emergency_failed(call, ending, out)
    hooks = call.snapshot.hooks.end
    if hooks:
        run(call, hooks, end_of(call, ending, at), out)
    forget(call, at)  # last: what failed before this is found again, and cleared up


_ACTIONS: Final[dict[str, _Action]] = {
    "withdraw": _withdraw,
    "confirm": _confirm,
    "end near": _end_near,
    "bye far": _bye_far,
    "bye a": _bye_a,
    "bye b": _bye_b,
    "release": _release,
}


def _compile() -> dict[State, dict[Event, tuple[State, tuple[_Action, ...], bool]]]:
    compiled: dict[State, dict[Event, tuple[State, tuple[_Action, ...], bool]]] = {}
    for (state, event), (after, names) in CALL.items():
        actions = tuple([_ACTIONS[name] for name in names if name != "go on"])
        compiled.setdefault(state, {})[event] = (after, actions, "go on" in names)
    return compiled


_LIFE: Final = _compile()
