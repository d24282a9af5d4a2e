"""A stage with phones: users of the trunk ``phones``, each on a connection of its own.

``rings`` sets up the contacts of bob; a phone is a peer of the stage, which says and hears what peers do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sbc.base import Address
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.registrar.binding import Binding
from sbc.sip.message import Request
from sbc.sip.uri import parse_uri
from tests.playbook.phones import configured
from tests.playbook.stage import SDP, Peer, Stage

#: Why those are cancelled who have not answered first.
ELSEWHERE = 'SIP ;cause=200 ;text="Call completed elsewhere"'


def with_phones(then: str = "route registered", **options: object) -> Snapshot:
    """Calls from the office go where ``then`` says; ``options`` are of the trunk of the phones."""
    lines = "\n".join(f"      {line}" for line in then.splitlines())
    rules = f'rules:\n  - name: to phones\n    when: trunk in ["office", "phones"]\n    then: |\n{lines}\n'
    made = configured(rules=rules)
    given = {"trunk": "phones", "listener": "main", "phones": True, "sources": ["0.0.0.0/0"], **options}
    trunks = {name: trunk for name, trunk in made.trunks.items() if name != "soft"}
    return replace(made, trunks={**trunks, "phones": Trunk.model_validate(given)})


class Phones(Stage):
    """The stage, and phones that have registered as bob."""

    def __init__(self, configuration: Snapshot | None = None) -> None:
        configuration = configuration or with_phones()
        self.trunk = configuration.trunks["phones"]
        others = {name: trunk for name, trunk in configuration.trunks.items() if name != "phones"}
        super().__init__(replace(configuration, trunks=others))
        self.engine.store.current = configuration  # nobody has connected from there yet
        self.bindings: list[Binding] = []

    def phone(self, name: str, q: float = 1.0, **known: object) -> Peer:
        """One more phone of bob."""
        self.flows += 1
        listener = self.engine.store.current.settings.listeners[self.trunk.listener]
        remote = Address(f"203.0.113.{self.flows}", 40000 + self.flows)
        peer = self.peers.get(name)
        transport = listener.transport
        flow = Flow(
            self.flows, transport, listener.bind, remote, listener=self.trunk.listener, trunk="phones"
        )
        if peer is None:
            peer = self.peers[name] = Peer(self, name, flow)
        else:
            peer.flow = flow
        contact = parse_uri(f"sip:bob@192.168.1.{self.flows}:5060;transport={transport}")
        at: dict[str, Any] = {"expires_at": 9e9, "registered_at": float(self.flows), "q": q, **known}
        self.bindings.append(Binding("bob", contact, flow, remote, transport, "phones", **at))
        self.engine.registrar.put("bob", self.bindings)
        return peer

    def calls(self, body: bytes = SDP, **headers: str) -> None:
        """The office calls bob."""
        self.office.request("INVITE", "sip:bob@sbc.example", body, **headers)
        self.office.hears(100)

    def rung(self, *names: str, body: bytes = SDP) -> list[Request]:
        """The office calls bob, and the phones of these names ring."""
        self.calls(body)
        invites = [self.peers[name].hears_request("INVITE") for name in names]
        for name, invite in zip(names, invites, strict=True):
            self.peers[name].respond(invite, 180, tag=name)
            self.office.hears(180)
        return invites

    def talks(self, name: str, invite: Request) -> None:
        """The phone answers, the office hears it and acknowledges."""
        self.peers[name].respond(invite, 200, tag=name, body=b"v=0 answer of " + name.encode())
        answer = self.office.hears_response(200)
        assert answer.body == b"via-sbc v=0 answer of " + name.encode()
        self.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
        self.peers[name].hears("ACK")

    def cancelled(self, name: str, invite: Request, reason: str = "") -> None:
        """The phone is told to stop ringing, and does."""
        peer = self.peers[name]
        cancel = peer.hears_request("CANCEL")
        assert cancel.via.branch == invite.via.branch
        assert (cancel.headers.get("Reason") or "") == reason
        peer.respond(cancel, 200)
        peer.respond(invite, 487, tag=name)
        peer.hears("ACK")

    def ends(self) -> None:
        """Whoever is left falls silent; nothing of any call is held in the end."""
        for call in list(self.engine.calls):
            self.carry_out(self.engine.end_call(call, "over", self.now))
        self.wait(1000)
        engine = self.engine
        assert not engine.calls and not len(engine.dialogs) and not len(engine.transactions)
        assert {engine.limits.calls(name) for name in self.peers} == {0}


def stage_of(*names: str, **options: Any) -> Phones:
    """A stage on which bob has these phones."""
    stage = Phones(with_phones(**options))
    for name in names:
        stage.phone(name)
    return stage
