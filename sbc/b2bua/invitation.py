"""The caller's INVITE, and its final answer where that is none of the callee's 2xx."""

from __future__ import annotations

from dsl.decision import Route
from sbc.b2bua.bodies import Part, read_body, required_parts
from sbc.b2bua.call import Call
from sbc.b2bua.causes import because, explain_refusal
from sbc.b2bua.commands import Command, Note
from sbc.b2bua.life import fire
from sbc.b2bua.states import Ending
from sbc.b2bua.translate import Fields, answer, extensions
from sbc.policy.answers import told_instead
from sbc.policy.downgrade import Judgement
from sbc.sip.message import REASONS, Request, Response
from sbc.sip.transactions import SPENT, ServerTransaction


class Invitation:
    """The INVITE that began a call; its transaction's user until it is answered."""

    __slots__ = ("call", "offer", "parts", "request", "route", "server")

    def __init__(self, call: Call, server: ServerTransaction, request: Request) -> None:
        self.call = call
        self.server = server
        self.request = request
        self.route: Route | None = None  # that a rule has taken
        self.offer = request.body
        self.parts: tuple[Part, ...] = ()
        if request.body and not request.is_sdp:
            body = read_body(request)
            self.offer, self.parts = body.sdp, required_parts(request, body.parts)

    @property
    def requires_100rel(self) -> bool:
        """Whether its provisional responses have to be reliable, and what they offer answered."""
        return bool(extensions(self.request, "Require"))

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """A server transaction has no responses to tell of."""

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """``lost``: the caller's connection closed before there was an answer, which may go over another."""
        if kind == "lost":
            call = self.call
            call.desk.answer_elsewhere(call, call.a, self.server, self._on_lost, at, out)

    def _on_lost(self, at: float, out: list[Command]) -> None:
        """No answer reaches the caller any more, whichever call its INVITE is in now."""
        user = self.server.user
        call = user.call if isinstance(user, Invitation) else self.call
        fire(call, "lost", at, out, Ending("the caller's connection closed", status=503))

    def on_cancel(self, why: Fields, at: float, out: list[Command]) -> None:
        """The caller gave up; ``why`` are its Reasons, such as that another phone has answered."""
        fire(self.call, "cancel", at, out, Ending("cancelled", "caller", 487, reasons=why))

    # One who was referred (RFC 3515) has not called: what it gets is no outcome of its trunk.

    def heard(self, at: float) -> None:
        """The caller is told for the first time that it rings, or of the answer."""
        call = self.call
        call.heard_at = at
        if not call.referred[0]:
            call.desk.outcomes.of(call.a.name, "inbound").delays.observe(at - call.created)

    def accepted(self, status: int) -> None:
        """The caller gets a 2xx."""
        call = self.call
        if not call.referred[0]:
            call.desk.outcomes.of(call.a.name, "inbound").count(str(status))

    def _refused(self, status: int) -> None:
        call = self.call
        if not call.referred[0]:
            call.desk.outcomes.refused(call.a.name, status)

    def end(self, ending: Ending, at: float, out: list[Command]) -> None:
        """Give the caller the final response of ``ending``."""
        self._refused(ending.status)
        response = self.call.desk.respond_to(self.server, ending.status, ending.phrase)
        explain_refusal(response, self.call.a.trunk)
        self.server.respond(response, at, out)
        self.server.user = None

    def refuse(self, status: int, phrase: str, at: float, out: list[Command], why: str) -> None:
        """Refuse the call; ``why`` is for its record."""
        self.finish(self.call.desk.respond_to(self.server, status, phrase), at, out, Ending(why))

    def finish(self, response: Response, at: float, out: list[Command], ending: Ending) -> None:
        """Give the caller this final refusal, or redirection; the call is over."""
        ending.status = response.status
        setup = self.call.setup
        if setup is not None and setup.goes_on(ending, at, out):
            return
        self._refused(response.status)
        explain_refusal(response, self.call.a.trunk)
        if self.route is not None and response.status >= 400:
            self._tell_instead(response, self.route)
            ending.status = response.status
        self.server.respond(response, at, out)
        self.server.user = None
        fire(self.call, "refused", at, out, ending)

    def _tell_instead(self, response: Response, route: Route) -> None:
        """Let the caller hear what the rule, or its trunk, has for this status; Reason keeps what it was."""
        told = told_instead(response.status, route.answers, self.call.a.trunk.answers)
        if told is None:
            return
        if told[0] == response.status:
            response.reason = told[1] or response.reason
            return
        text = response.reason.replace("\\", "").replace('"', "")
        response.headers.extend(because(response.status, text))
        response.status, response.reason = told[0], told[1] or REASONS.get(told[0], "")

    def note_downgrade(self, judged: Judgement, trunk: str, out: list[Command]) -> None:
        """The call goes on without TLS to ``trunk``, or, for none, to where it is redirected."""
        call = self.call
        if judged.outcome == "warn" and not call.downgrades:
            fields: dict[str, object] = {
                "call_id": self.request.call_id, "trunk_in": call.a.name, "trunk_out": trunk,
                "from": call.caller, "to": call.called,
            }  # fmt: skip
            target = call.snapshot.trunks.get(trunk)
            if target is not None and target.identity.out == "trusted":
                fields["identity"] = "trusted"  # who calls crosses with it, withheld or not
            out.append(Note("sips-downgrade", call.id, fields))
        if (trunk, judged.outcome) not in call.downgrades:
            call.downgrades += ((trunk, judged.outcome),)

    def forbid_downgrade(self, judged: Judgement, where: str, at: float, out: list[Command]) -> None:
        """The call may not go on without TLS (RFC 5630 5.3); ``where`` to is for its record."""
        host = self.call.a.host
        response = self.call.desk.respond_to(self.server, judged.status, "Temporarily Unavailable")
        response.headers.add("Warning", judged.warning.format(agent=host))
        self.finish(response, at, out, Ending(f"downgrade to {where} is forbidden"))

    def pass_failure(self, response: Response, at: float, out: list[Command]) -> None:
        """The callee's final failure, as the caller may see it.

        A challenge is for us, not for the caller; a redirect names places of the far side.
        """
        call, status = self.call, response.status
        if status in (401, 407):
            self.refuse(403, "Forbidden", at, out, f"{status} from the callee's side")
        elif status < 400 or status == 422:  # how long a session lasts is between the callee and us
            self.refuse(480, "Temporarily Unavailable", at, out, f"{status} from the callee's side")
        else:
            base = call.desk.respond_to(self.server, status, response.reason, call.desk.ids.tag())
            final = answer(base, response, call.a, call.b, b"")
            self.finish(final, at, out, Ending(f"{status} {response.reason}", "callee"))

    def let_go(self) -> None:
        """The call is up or over: nothing of the message is needed while its transaction lives on."""
        self.request, self.offer, self.parts = SPENT, b"", ()
