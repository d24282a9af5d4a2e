"""A stage for the B2BUA: two peers, the real engine, and no network in between.

``stage.office`` and ``stage.carrier`` are peers. A peer says something with ``request`` or
``respond``; what the engine sends to it lies in ``heard`` until ``hears`` takes it out, which
fails where the next message is not the one that was named. A trunk's first peer has the trunk's name,
its others have their own host's first label. Connections succeed unless the trunk's name is in
``stage.dead`` or the peer's address in ``stage.refusing``, and wait in ``stage.dialling`` where that is a
list; what is sent on one that has closed is lost (``closes``). TLS peers have shown a verified certificate
unless their name is in ``strangers``; media is a boundary here, so an SDP body goes through with
``via-sbc`` in front, and one that holds ``unusable`` is refused.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from dsl.answers import read_answer
from dsl.load import load
from dsl.names import Known
from sbc.b2bua.commands import (
    AnswerMedia,
    Ask,
    AskRegister,
    Command,
    Connect,
    Decided,
    DeleteMedia,
    DropMedia,
    HearMedia,
    KeepBindings,
    Note,
    OfferMedia,
    RecordMedia,
    RollbackMedia,
    RunHooks,
    Spent,
    Suspect,
    TakeMedia,
)
from sbc.b2bua.engine import Engine
from sbc.base import Address, PeerError
from sbc.config.lookup import Lookup, LookupConfig
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.flow import Flow, PeerIdentity, ReuseKey, TlsFacts
from sbc.ids import Ids, counter_bytes
from sbc.net.hooks.register import asked
from sbc.net.hooks.run import HookFailure, HookRun
from sbc.registrar.binding import Binding
from sbc.sip.headers import Headers
from sbc.sip.machine import Send
from sbc.sip.message import Message, Request, Response, response_to, serialize
from sbc.sip.parse import parse_message

SDP = b"v=0 offer"
RULES = """
rules:
  - name: office to carrier
    when: trunk == "office"
    then: route "carrier" then "backup" on 503, timeout, unreachable
  - name: carrier to office
    when: trunk == "carrier"
    then: route "office"
"""


def snapshot(
    rules: str = RULES,
    transport: str = "tls",
    lookups: Any = None,
    **trunk_options: object,
) -> Snapshot:
    """A snapshot with the trunks office, carrier, backup on one listener and ``plain`` on UDP."""
    settings = Settings.model_validate(
        {
            "listeners": {
                "main": {"bind": "192.0.2.1:5061", "transport": transport},
                "udp": {"bind": "192.0.2.1:5060", "transport": "udp"},
            }
        }
    )
    trunks = {
        name: Trunk.model_validate(
            {
                "trunk": name,
                "listener": "main",
                "peers": [f"{name}.example:5061"],
                "sources": ["198.51.100.0/24"],
                **trunk_options,
            }
        )
        for name in ("office", "carrier", "backup")
    }
    trunks["plain"] = Trunk.model_validate(
        {"trunk": "plain", "listener": "udp", "peers": ["plain.example:5060"]}
    )
    services = {name: service(name, words, frozenset(trunks)) for name, words in (lookups or {}).items()}
    known = Known(
        trunks=frozenset(trunks), listeners=frozenset(("main", "udp")), tenants=frozenset(),
        services={name: each.service for name, each in services.items()},
    )  # fmt: skip
    ruleset, problems = load({"test.yaml": rules}, known)
    assert ruleset is not None, problems
    return Snapshot("test", Path("."), settings, trunks, ruleset, lookups=services)


def service(name: str, words: dict[str, object], trunks: frozenset[str]) -> Lookup:
    """A service that rules may ask, as `lookups` of sbc.yaml would have it."""
    config = LookupConfig.model_validate({"url": "https://crm.example/", "facts": ["to.user"], **words})
    return Lookup(name, config, config.service(name), trunks)


class Peer:
    """One user agent beyond a trunk."""

    def __init__(self, stage: Stage, name: str, flow: Flow) -> None:
        self.stage = stage
        self.name = name
        self.flow = flow
        self.heard: deque[Message] = deque()
        self.last: Message | None = None

    def request(self, method: str, text: str = "", body: bytes = b"", **headers: str) -> None:
        """Send a request: of its own dialog where ``in_dialog`` has been called, else a new one."""
        self.stage.play(self.flow, _parsed(self._fields(method, headers), method, text, body))

    def say(self, message: Message) -> None:
        """Send a message as it is."""
        self.stage.play(self.flow, parse_message(serialize(message)))

    def _fields(self, method: str, headers: dict[str, str]) -> Headers:
        self.stage.cseq += method not in ("ACK", "CANCEL")
        fields = {
            "Via": f"SIP/2.0/TLS {self.name}.example;branch=z9hG4bK-{self.name}-{self.stage.cseq}",
            "Max-Forwards": "70",
            "From": f'"Alice" <sip:alice@{self.name}.example>;tag=from-{self.name}',
            "To": "<sip:+12125550100@sbc.example>",
            "Call-ID": f"call-of-{self.name}",
            "CSeq": f"{self.stage.cseq} {method}",
            "Contact": f"<sip:alice@{self.name}.example;transport=tls>",
        }
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        return Headers([(name, value) for name, value in fields.items() if value])

    def invite(self, body: bytes = SDP, **headers: str) -> None:
        """Send an INVITE out of any dialog."""
        self.request("INVITE", body=body, **headers)

    def hears(self, what: str | int) -> Message:
        """Take the next message out: a request of this method, or a response of this status."""
        assert self.heard, f"{self.name} heard nothing more, not {what}"
        message = self.heard.popleft()
        said = message.method if isinstance(message, Request) else getattr(message, "status", None)
        assert said == what, f"{self.name} heard {said}, not {what}"
        self.last = message
        return message

    def hears_request(self, method: str) -> Request:
        """Take the next message out, which is a request of ``method``."""
        message = self.hears(method)
        assert isinstance(message, Request)
        return message

    def hears_response(self, status: int) -> Response:
        """Take the next message out, which is a response of ``status``."""
        message = self.hears(status)
        assert isinstance(message, Response)
        return message

    def hears_nothing(self) -> None:
        """Nothing more was sent to this peer."""
        assert not self.heard, [serialize(message) for message in self.heard]

    def respond(
        self, request: Message, status: int, tag: str = "callee", body: bytes = b"", **headers: str
    ) -> None:
        """Answer ``request``, which this peer heard before."""
        assert isinstance(request, Request)
        response = response_to(request, status, "", tag if not request.to_tag else "")
        if status > 100 and request.method == "INVITE":
            response.headers.add("Contact", f"<sip:bob@{self.name}.example;transport=tls>")
        for name, value in headers.items():
            response.headers.add(name.replace("_", "-"), value)
        if body:
            if "Content-Type" not in response.headers:
                response.headers.add("Content-Type", "application/sdp")
            response.body = body
        self.say(response)


def _parsed(headers: Headers, method: str, uri: str, body: bytes) -> Message:
    if body and "Content-Type" not in headers:
        headers.add("Content-Type", "application/sdp")
    return parse_message(serialize(Request(method, uri or "sip:+12125550100@sbc.example", headers, body)))


class Stage:
    """The engine and the peers around it."""

    def __init__(self, configuration: Snapshot | None = None, strangers: tuple[str, ...] = ()) -> None:
        configuration = configuration or snapshot()
        self.strangers = strangers
        self.sans: dict[str, tuple[str, ...]] = {}  # of the certificates of a trunk's peers
        self.engine = Engine(SnapshotStore(configuration), Ids(counter_bytes()))
        self.now = 1000.0
        self.cseq = 0
        self.dead: set[str] = set()
        self.refusing: set[Address] = set()
        self.dialling: list[Connect] | None = None
        # By UDP peer: the TCP connection that it has taken, or will take, beside its datagrams.
        self.streams: dict[str, Flow] = {}
        # By which transport each message in the clear went, by its top Via and its CSeq.
        self.ways: dict[tuple[str | None, str | None], str] = {}
        # What is on the disk of the registrar; what waits for it, where that is a list.
        self.kept: dict[str, tuple[Binding, ...]] = {}
        self.keeping: list[KeepBindings] | None = None
        self.notes: list[Note] = []
        self.decisions: list[Decided] = []
        self.spent: list[int] = []  # when counts were to be kept: how many were connected to
        self.suspects: list[Suspect] = []
        self.media: list[Command] = []
        self.asked: list[RunHooks] = []
        self.asks: list[Ask] = []  # questions that wait for ``answers``
        self.told: list[tuple[str, dict[str, object]]] = []
        self.flows = 0
        self.peers: dict[str, Peer] = {
            name: Peer(self, name, self.flow(trunk)) for name, trunk in configuration.trunks.items()
        }
        for trunk in configuration.trunks.values():
            for index, address in enumerate(trunk.peers[1:], 1):
                name = address.host.partition(".")[0]
                self.peers[name] = Peer(self, name, self.flow(trunk, index))
        self.connects: list[tuple[tuple[Address, ...], tuple[Address, ...]]] = []
        self.office, self.carrier = self.peers["office"], self.peers["carrier"]
        self.backup, self.plain = self.peers["backup"], self.peers["plain"]

    def flow(self, trunk: Trunk, index: int = 0) -> Flow:
        """A live flow to one of ``trunk``'s peers, by default the first."""
        self.flows += 1
        transport = self.engine.store.current.settings.listeners[trunk.listener].transport
        target = trunk.peers[index] if trunk.peers else Address("phone.example", 5060)
        remote = Address(f"198.51.100.{self.flows}", target.port)
        return Flow(
            self.flows, transport, Address("192.0.2.1", 40000), remote,
            listener=trunk.listener, trunk=trunk.trunk, tls=self._tls(trunk) if transport == "tls" else None,
            reuse=ReuseKey(trunk.trunk, transport, target, "", ""),
        )  # fmt: skip

    def _tls(self, trunk: Trunk) -> TlsFacts:
        peer = PeerIdentity(trunk.trunk, "CA", self.sans.get(trunk.trunk, ()), "", "", 0.0, 0.0, True)
        return TlsFacts("TLSv1.3", "", "", "", "", None if trunk.trunk in self.strangers else peer)

    def play(self, flow: Flow, message: Message) -> None:
        """Let the engine receive ``message`` and carry its commands out."""
        self.carry_out(self.engine.receive(flow, message, self.now))

    def wait(self, seconds: float) -> None:
        """Let time pass; every timer fires at its own moment."""
        end = self.now + seconds
        while (due := self.engine.next_deadline) is not None and due <= end:
            self.now = max(self.now, due)
            self.carry_out(self.engine.tick(self.now))
        self.now = end

    def carry_out(self, commands: list[Command]) -> None:
        """What the driver does, without a network."""
        waiting = deque(commands)
        while waiting:
            waiting.extend(self._one(waiting.popleft()))

    def _one(self, command: Command) -> list[Command]:
        if isinstance(command, Send):
            flow, message = command.flow, command.message
            if flow.alive:
                if not flow.secure:
                    self.ways[message.headers.get("Via"), message.headers.get("CSeq")] = flow.transport
                self._beyond(flow).heard.append(parse_message(serialize(message)))
        elif isinstance(command, Note):
            self.notes.append(command)
        elif isinstance(command, Connect):
            self.connects.append((command.peers, command.near))
            if self.dialling is None:
                return self.dialled(command)
            self.dialling.append(command)
        elif isinstance(command, (OfferMedia, AnswerMedia)):
            self.media.append(command)
            error = PeerError("the answer is unusable", 488) if b"unusable" in command.sdp else None
            if b"no ports" in command.sdp:
                error = PeerError("all are in use", 503)
            return self.engine.media_ready(command.call, b"via-sbc " + command.sdp, error, self.now)
        elif isinstance(command, (DeleteMedia, DropMedia, HearMedia, RecordMedia, RollbackMedia, TakeMedia)):
            self.media.append(command)
        elif isinstance(command, Decided):
            self.decisions.append(command)
        elif isinstance(command, Spent):
            self.spent.append(len(self.connects))
        elif isinstance(command, Suspect):
            self.suspects.append(command)
        elif isinstance(command, RunHooks):
            return self.hooks(command)
        elif isinstance(command, Ask):
            self.asks.append(command)
        elif isinstance(command, AskRegister):
            refused, failed = asked(command, self.hears_of_hooks)
            return self.engine.register_asked(command.key, refused, failed, self.now)
        elif isinstance(command, KeepBindings):
            self.kept[command.user] = command.bindings
            if self.keeping is None:
                return self.engine.bindings_kept(command.key, self.now)
            self.keeping.append(command)
        return []

    def dialled(self, command: Connect) -> list[Command]:
        """What comes of a ``Connect``."""
        if command.stream:
            beside = self._at(command.trunk, command.peers[0])
            found = self.streams.get(beside.name) if beside is not None else None
            if found is not None and found.alive:
                return self.engine.connected(command.key, found, self.now)
            return self.engine.connect_failed(command.key, "connection refused", self.now)
        for address in command.peers:
            peer = self._at(command.trunk, address)
            if peer is not None and command.trunk.trunk not in self.dead and address not in self.refusing:
                return self.engine.connected(command.key, peer.flow, self.now)
        return self.engine.connect_failed(command.key, "connection refused", self.now)

    def _at(self, trunk: Trunk, address: Address) -> Peer | None:
        """Who is found at ``address`` of a trunk, by its name or by where its connection comes from."""
        if address in trunk.peers:
            index = trunk.peers.index(address)
            return self.peers[address.host.partition(".")[0] if index else trunk.trunk]
        of_trunk = [each for each in self.peers.values() if each.flow.trunk == trunk.trunk]
        return next((each for each in of_trunk if each.flow.remote.host == address.host), None)

    def closes(self, peer: Peer) -> None:
        """The connection of ``peer`` closes; it has another one when it says more, or is dialled."""
        old = peer.flow
        self.flows += 1
        peer.flow = Flow(
            self.flows, old.transport, old.local, old.remote,
            listener=old.listener, trunk=old.trunk, tls=old.tls, reuse=old.reuse, channel=old.channel,
        )  # fmt: skip
        self.carry_out(self.engine.flow_closed(old, self.now))

    def _beyond(self, flow: Flow) -> Peer:
        """Who is at the other end of ``flow``."""
        peers = self.peers.values()
        for each in peers:  # once a message, and this is measured with the engine: no list is made
            if each.flow is flow:
                return each
        found = [each for each in peers if self.streams.get(each.name) is flow] or [
            each for each in peers if each.flow.trunk == flow.trunk
        ]
        return found[0]

    def hears_of_hooks(self, event: str, fields: dict[str, object]) -> None:
        """What the driver notes of hooks."""
        self.told.append((event, fields))

    def hooks(self, command: RunHooks) -> list[Command]:
        """What the driver does with hooks, at once."""
        self.asked.append(command)
        try:
            run = HookRun(command.hooks, self.hears_of_hooks, command.snapshot.trunks)
            result = run.ask(command.facts, command.about)
        except HookFailure as failure:
            return self.engine.hooks_done(command.call, None, str(failure), self.now)
        return self.engine.hooks_done(command.call, result, "", self.now)

    def answers(self, said: dict[str, object] | None) -> None:
        """The service that was asked first says this; None: nothing, in its time."""
        asked = self.asks.pop(0)
        lookup = asked.lookup
        answer = None if said is None else read_answer(said, lookup.service, lookup.trunks)
        self.carry_out(self.engine.looked_up(asked.call, answer, self.now))

    def noted(self, event: str) -> list[Note]:
        """Every note of this name so far."""
        return [note for note in self.notes if note.event == event]

    def established(self) -> tuple[Request, Response]:
        """Set a call up from office to carrier; return the INVITE and the 200 as the peers heard them."""
        self.office.invite()
        invite = self.carrier.hears_request("INVITE")
        self.carrier.respond(invite, 180)
        self.carrier.respond(invite, 200, body=b"v=0 answer")
        self.office.hears(100)
        self.office.hears(180)
        answer = self.office.hears_response(200)
        self.within("office", answer, "ACK")
        self.carrier.hears("ACK")
        return invite, answer

    def within(self, name: str, answer: Response, method: str, body: bytes = b"", **headers: str) -> None:
        """The caller ``name`` sends ``method`` within the dialog that ``answer`` made for it."""
        peer = self.peers[name]
        contact = answer.contact
        assert contact is not None
        to = answer.headers.get("To") or ""
        peer.request(method, str(contact.uri), body, To=to, **headers)

    def from_callee(
        self, invite: Request, method: str, body: bytes = b"", tag: str = "callee", **headers: str
    ) -> None:
        """The callee of ``invite`` sends ``method`` within the dialog; its CSeq runs on its own."""
        contact = invite.contact
        assert contact is not None
        own = f"{invite.headers.get('To')};tag={tag}"
        self.peers["carrier"].request(
            method, str(contact.uri), body,
            From=own, To=invite.headers.get("From") or "", Call_ID=invite.call_id, **headers,
        )  # fmt: skip
