"""The reception: what becomes of each request of a peer.

One that begins a call makes one; one within a dialog goes to the call whose dialog it is, if it comes
from the trunk that the dialog is with; the others are answered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl.addresses import escape_user
from sbc.b2bua.body_parts import left_out
from sbc.b2bua.call import Call, Fork
from sbc.b2bua.commands import Command, Note
from sbc.b2bua.leg import Leg, Side, local_address
from sbc.b2bua.mirror import Mirror, screen
from sbc.b2bua.screening import ACCEPT, Refusal, arrival, looped, refuse
from sbc.b2bua.setup import Setup
from sbc.b2bua.translate import ALLOW, CARRIED_EXTENSIONS, reasons
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.sip.matching import same_party
from sbc.sip.message import Request
from sbc.sip.transactions import ACK2XX, ServerTransaction

if TYPE_CHECKING:
    from sbc.b2bua.engine import Engine

DialogKey = tuple[str, str, str]


class Reception:
    """One for the engine; it keeps the index of the calls' dialogs."""

    __slots__ = ("_dialogs", "_engine")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dialogs: dict[DialogKey, tuple[Call, Fork, Side]] = {}

    def register(self, fork: Fork, call: Call) -> None:
        """From now on requests within the dialogs of ``fork`` are for ``call``."""
        for side in ("a", "b"):
            dialog = fork.dialog(side)
            self._dialogs[dialog.call_id, dialog.local_tag, dialog.remote_tag] = (call, fork, side)

    def unregister(self, fork: Fork) -> None:
        """The dialogs of ``fork`` are over."""
        for dialog in (fork.a, fork.b):
            self._dialogs.pop((dialog.call_id, dialog.local_tag, dialog.remote_tag), None)

    def request(self, flow: Flow, request: Request, now: float, out: list[Command]) -> None:
        """Take in one valid request."""
        server = self._engine.transactions.receive_request(flow, request, now, out)
        if server is None:
            return
        if server is ACK2XX:
            self._on_ack(flow, request, now, out)
            return
        if not isinstance(server, ServerTransaction):
            fields = {"remote": str(flow.remote), "reason": "too many refusals were not acknowledged"}
            out.append(Note("call-refused", "", fields))
            return
        self._engine.serving = server
        try:
            self._serve(flow, server, request, now, out)
        except PeerError as error:
            out.append(Note("malformed", "", {"remote": str(flow.remote), "reason": error.reason}))
            self._refuse(server, Refusal(error.status, "" if error.status == 400 else error.reason), now, out)

    def _serve(
        self, flow: Flow, server: ServerTransaction, request: Request, now: float, out: list[Command]
    ) -> None:
        if flow.secure and not request.to_tag:
            out.append(Note("sips-arrival", request.call_id, arrival(flow, request)))
        refusal = refuse(request, server.merged, looped(flow, request, self._engine.transactions))
        if refusal is None and request.body and request.method in ("INVITE", "UPDATE", "PRACK"):
            types = [part.type for part in left_out(request)]
            if types:
                fields = {"trunk": flow.trunk, "call_id": request.call_id, "types": ",".join(types)}
                out.append(Note("parts-dropped", "", fields))
        if refusal is not None:
            self._refuse(server, refusal, now, out)
        elif request.method == "CANCEL":
            self._on_cancel(server, now, out)
        elif request.to_tag:
            self._within_dialog(flow, server, request, now, out)
        elif request.method == "INVITE":
            self._on_invite(flow, server, request, now, out)
        elif request.method == "OPTIONS":
            self._on_options(server, now, out)
        else:
            self._refuse(server, Refusal(481, "Call/Transaction Does Not Exist"), now, out)

    def _refuse(self, server: ServerTransaction, refusal: Refusal, now: float, out: list[Command]) -> None:
        response = self._engine.respond_to(server, refusal.status, refusal.reason)
        for name, value in refusal.headers:
            response.headers.add(name, value)
        server.respond(response, now, out)

    def _on_options(self, server: ServerTransaction, now: float, out: list[Command]) -> None:
        """OPTIONS to us: what we can do (RFC 3261 11.2)."""
        response = self._engine.respond_to(server, 503 if self._engine.draining else 200, "")
        for name, value in (("Allow", ALLOW), ACCEPT, ("Supported", ", ".join(CARRIED_EXTENSIONS))):
            response.headers.add(name, value)
        server.respond(response, now, out)

    def _on_invite(
        self, flow: Flow, server: ServerTransaction, request: Request, now: float, out: list[Command]
    ) -> None:
        snapshot = self._engine.store.current
        trunk = snapshot.trunks.get(flow.trunk or "")
        if request.contact is None:
            self._refuse(server, Refusal(400, "Missing Contact"), now, out)
            return
        if trunk is None:
            self._refuse(server, Refusal(403, "Forbidden"), now, out)
            return
        if self._engine.draining:
            self._refuse(server, Refusal(503, "Service Unavailable"), now, out)
            return
        # Whole before it counts anywhere: what fails half-made has then nothing to give back.
        call = self._new_call(snapshot, trunk, flow, request, now)
        setup = Setup(call, server, request)
        refusal = self._engine.limits.admit(trunk, now)
        if refusal is not None:
            out.append(Note("call-refused", "", {"trunk": trunk.trunk, "reason": refusal}))
            self._refuse(server, Refusal(503, "Service Unavailable", (("Retry-After", "5"),)), now, out)
            return
        call.admitted.append(trunk)
        call.setup = server.user = setup
        self._engine.calls[call.id] = call
        self._engine.at = call.id
        setup.decide(now, out)

    def _new_call(self, snapshot: Snapshot, trunk: Trunk, flow: Flow, request: Request, now: float) -> Call:
        listener = snapshot.settings.listeners[trunk.listener]
        target = request.target
        scheme = "sips" if target.scheme == "sips" else "sip"
        leg = Leg("a", trunk, flow, local_address(listener, trunk, flow), scheme)
        leg.call_id = request.call_id
        called = target.party.user
        leg.set_contact(escape_user(called))
        leg.invited = True
        call = Call(self._engine, self._engine.ids.key(6).hex(), snapshot, leg, now)
        call.caller, call.called = request.from_.uri.party.user, called
        return call

    def _on_cancel(self, server: ServerTransaction, now: float, out: list[Command]) -> None:
        cancelled = server.cancels
        if cancelled is None:
            self._refuse(server, Refusal(481, "Call/Transaction Does Not Exist"), now, out)
            return
        user = cancelled.user
        if isinstance(user, Setup | Mirror):
            self._engine.at = user.call.id
        server.respond(self._engine.respond_to(server, 200, "OK"), now, out)
        if isinstance(user, Setup | Mirror):
            user.on_cancel(reasons(server.request), now, out)

    def _find(self, flow: Flow, request: Request) -> tuple[Call, Fork, Side] | None:
        """The dialog of ``request``, if this peer is the one that it is with."""
        found = self._dialogs.get((request.call_id, request.to_tag or "", request.from_tag or ""))
        if found is None:
            return None
        leg = found[0].leg(found[2])
        return found if leg.trunk.trunk == flow.trunk or same_party(leg.flow, flow) else None

    def _on_ack(self, flow: Flow, request: Request, now: float, out: list[Command]) -> None:
        found = self._find(flow, request)
        if found is not None:
            call, _, side = found
            self._engine.at = call.id
            answered = call.answered_invites.get((side, request.cseq.number))
            if answered is not None:
                answered.on_ack(request, now, out)

    def _within_dialog(
        self, flow: Flow, server: ServerTransaction, request: Request, now: float, out: list[Command]
    ) -> None:
        found = self._find(flow, request)
        if found is None:
            self._refuse(server, Refusal(481, "Call/Transaction Does Not Exist"), now, out)
            return
        call, fork, side = found
        self._engine.at = call.id
        try:
            fork.dialog(side).check_cseq(request)
        except PeerError as error:
            self._refuse(server, Refusal(error.status, error.reason), now, out)
            return
        call.leg(side).flow = flow
        if request.method == "BYE":
            server.respond(self._engine.respond_to(server, 200, "OK"), now, out)
            call.on_bye(side, request, now, out)
        elif request.method == "OPTIONS":
            self._on_options(server, now, out)
        else:
            self._mirror(call, fork, side, server, request, now, out)

    def _mirror(
        self, call: Call, fork: Fork, side: Side, server: ServerTransaction, request: Request,
        now: float, out: list[Command],
    ) -> None:  # fmt: skip
        busy = screen(call, fork, side, request)
        if busy is not None:
            headers = (("Retry-After", "5"),) if busy[0] == 500 else ()
            self._refuse(server, Refusal(*busy, headers), now, out)
            return
        mirror = Mirror(call, fork, side, server, request)
        server.user = mirror
        mirror.start(now, out)
