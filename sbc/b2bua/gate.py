"""The gate: which requests are sent away before anything is kept of them.

It stands before the transactions. Whoever is over a rate, or comes while the whole cannot keep up, is told
503 with Retry-After by one message; a proxy then tries another way, and comes again in time (21.5.4 of
RFC 3261). The 429 of HTTP (RFC 6585) means something else in SIP: a REFER that does not say who refers
(RFC 3892). What belongs to a call or to a transaction that is known is never counted, nor are ACK and CANCEL,
nor emergency calls within their reserve.

On a trunk with phones it counts besides what each address has had answered without a password. Who is over
that gets one answer a second over UDP, where nobody has shown yet to be where the datagram says.
"""

from __future__ import annotations

from typing import Final

from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command, Note
from sbc.b2bua.desk import Desk
from sbc.b2bua.in_force import InForce
from sbc.b2bua.screening import Refusal
from sbc.b2bua.states import Ending
from sbc.b2bua.told import emergency_failed
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.policy.limits import PER_CALLER, Refused
from sbc.policy.rates import Bucket, Over
from sbc.policy.shares import source_of
from sbc.sip.message import Request
from sbc.sip.transactions import RETRY_AFTER, refuse_stateless

#: The cap that an overload is, as refusals name it.
OVERLOAD: Final = "overload"
# Seconds; whoever obeys brings nothing at all for so long.
_AFTER_OVERLOAD: Final = 5
# Answers a second over UDP while we cannot keep up.
_ANSWERS: Final = 500.0


class Gate:
    """One for the engine."""

    __slots__ = ("_answers", "_desk")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._answers = Bucket(_ANSWERS, 0.0)

    def refuses(
        self, flow: Flow, request: Request, trunk: Trunk | None, in_force: InForce, overloaded: bool,
        at: float, out: list[Command],
    ) -> bool:  # fmt: skip
        """Whether a request of ``trunk`` is sent away, which has been seen to then.

        Asked where there is something to count it against: rates, the challenges of phones, an overload.
        """
        desk = self._desk
        rated = in_force.rated.get(trunk.trunk) if trunk is not None and in_force.rated else None
        strange = trunk is not None and trunk.phones
        if rated is None and not strange and not overloaded:
            return False
        method = request.method
        if method == "ACK" or method == "CANCEL" or desk.transactions.knows(flow, request):
            return False
        if request.to_tag and desk.dialogs.find(request) is not None:
            return False
        source = source_of(flow.remote.host)
        over = None
        if strange:
            over = self._challenged(desk.store.current, flow, method, source, at)
        if over is None and overloaded and method != "OPTIONS" and not request.to_tag:
            answered = self._answers.fill(_ANSWERS, at)
            if answered:
                self._answers.tokens -= 1.0
            over = Over(OVERLOAD, "the SBC", 0.0, _AFTER_OVERLOAD, answered)
        if over is None and rated is not None:
            over = desk.rates.admit(rated, source, method, at)
        if over is None:
            return False
        out.append(over_cap(flow, trunk, method, over))
        if over.answered or flow.reliable:
            out.append(refuse_stateless(flow, request, over.wait))
        return True

    def _challenged(self, snapshot: Snapshot, flow: Flow, method: str, source: str, at: float) -> Over | None:
        """Whether an address has had too much answered without a password."""
        desk = self._desk
        over = desk.rates.strange(source, snapshot.settings.caps.challenges_per_source, at)
        if over is None or method == "REGISTER" or not flow.reliable:
            return over
        # Who has registered on this connection has shown by that who it is.
        return None if desk.registrar.users_on(flow, desk.date(at)) else over


def over_cap(flow: Flow, trunk: Trunk | None, method: str, over: Over) -> Note:
    """What is told of a request that is over a cap."""
    why = "it cannot keep up, and takes nothing new" if over.cap == OVERLOAD else over.why
    fields: dict[str, object] = {
        "trunk": trunk.trunk if trunk is not None else flow.trunk or "-", "remote": str(flow.remote),
        "method": method, "cap": over.cap, "reason": why,
    }  # fmt: skip
    return Note("over-cap", "", fields)


def call_over_cap(call: Call, refused: Refused, urgent: bool, flow: Flow, out: list[Command]) -> Refusal:
    """Tell of a call that is too much for its trunk, its tenant or its caller; the answer.

    What is about one caller alone is not 503, which a proxy takes to be about all of us.
    """
    code = 480 if refused.cap.endswith(PER_CALLER) else 503
    fields = {
        "trunk": call.a.trunk.trunk, "remote": str(flow.remote), "cap": refused.cap, "reason": refused.why
    }  # fmt: skip
    out.append(Note("call-refused", "", fields))
    if urgent:
        emergency_failed(call, Ending(refused.why, status=code), out)
    return Refusal(code, "", (("Retry-After", str(RETRY_AFTER)),))
