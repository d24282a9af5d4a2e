"""A stage whose engine runs under the real driver: real media ports, journal and records, hooks in greenlets.

The peers are agents that do what RFC 3261 wants of them without being told: a final refusal of an INVITE is
acknowledged, CANCEL and BYE are answered. What else they say is the test's; ``wind_up`` lets them, and every
timer, run out, and ``owed`` says who still waits for what.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, cast

import gevent

from sbc.b2bua.commands import Command
from sbc.config.media import MediaConfig
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.ids import Ids, counter_bytes
from sbc.net.driver import Driver
from sbc.net.media.embedded import MediaIO
from sbc.net.system.clock import Clock
from sbc.net.transport.dial import DialFailed
from sbc.observe.journal import Journal
from sbc.observe.recorder import Recorder
from sbc.sip.cancel import build_ack
from sbc.sip.message import Message, Request, Response
from sbc.sip.parse import ParseError, parse_message, validate
from tests.peers.ports import free_port
from tests.playbook.stage import Stage


def clock_of(stage: Stage) -> Clock:
    """Tells the stage's time."""
    clock = Clock()
    clock.now = clock.monotonic = lambda: stage.now
    return clock


class Wire:
    """A flow's channel: what is sent lies before the agent at once."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def send(self, data: bytes) -> None:
        self.agent.inbox.append(parse_message(data))

    def close(self, reason: str) -> None:
        """Nothing is behind it."""


class Agent:
    """A user agent beyond a trunk, and what it is owed."""

    def __init__(self, stage: DrivenStage, name: str) -> None:
        self.stage = stage
        self.peer = stage.peers[name]
        self.inbox: list[Message] = []
        self.heard: list[Message] = []
        self.sent: dict[tuple[str, str], Request] = {}  # what it asked, by branch and method
        self.finals: dict[tuple[str, str], Response] = {}  # and how that was answered in the end
        self.given: dict[str, int] = {}  # its own final answers to INVITEs, by branch
        self.rang: set[str] = set()
        self.gone = False  # its connection closed in the middle: it can be told nothing

    def react(self) -> None:
        """Do what is not the test's to decide, until nothing more comes."""
        while self.inbox:
            message = self.inbox.pop(0)
            try:
                validate(message)
            except ParseError as error:
                # A refusal echoes what was wrong with the request; all else that we write is sound.
                assert isinstance(message, Response) and message.status >= 400, f"{error.reason}: {message}"
                continue
            self.heard.append(message)
            if isinstance(message, Response):
                self._on_response(message)
            elif isinstance(message, Request):
                self._on_request(message)

    def _on_response(self, response: Response) -> None:
        key = (response.via.branch, response.cseq.method)
        if response.status < 200:
            return
        known = self.finals.setdefault(key, response)
        assert known.status == response.status, f"{known.status}, then {response.status}"
        invite = self.sent.get(key)
        if response.status >= 300 and invite is not None and invite.method == "INVITE":
            self.stage.play(self.peer.flow, build_ack(invite, response))

    def _on_request(self, request: Request) -> None:
        if request.method == "BYE":
            self.peer.respond(request, 200)
        elif request.method == "INVITE" and self.stage.winding_up:
            self.answer(request, 180)
        elif request.method == "CANCEL":
            self.peer.respond(request, 200, tag="")
            for invite in self.invites():
                if invite.via.branch == request.via.branch and invite.via.branch not in self.given:
                    self.answer(invite, 487)

    def invites(self) -> list[Request]:
        """Every INVITE that it has heard, in their order."""
        return [each for each in self.heard if isinstance(each, Request) and each.method == "INVITE"]

    def last(self, method: str) -> Request:
        """The newest request of ``method``."""
        return [each for each in self.heard if isinstance(each, Request) and each.method == method][-1]

    def reply(self, status: int) -> Response:
        """The newest response of ``status`` to an INVITE."""
        said = [each for each in self.heard if isinstance(each, Response) and each.status == status]
        return [each for each in said if each.cseq.method == "INVITE"][-1]

    def answer(self, invite: Request, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer an INVITE."""
        if status >= 200:
            self.given[invite.via.branch] = status
        elif status > 100:
            self.rang.add(invite.via.branch)
        self.peer.respond(invite, status, body=body, **headers)

    def owed(self) -> list[str]:
        """What this agent still waits for, by RFC 3261."""
        waits = [
            f"an answer to {method}" for branch, method in self.sent if (branch, method) not in self.finals
        ]
        said = [each for each in self.heard if isinstance(each, Request)]
        for invite in self.invites():
            branch = invite.via.branch
            given = self.given.get(branch)
            if given is None:
                waits.append("a CANCEL for the INVITE that it has not answered")
            elif not any(each.method == "ACK" and each.cseq.number == invite.cseq.number for each in said):
                waits.append(f"the ACK for its {given}")
            if given == 200 and not self._over(invite.call_id):
                waits.append("a BYE for the call that it has answered")
        for key, final in self.finals.items():
            if key[1] == "INVITE" and final.status < 300 and not self._over(final.call_id):
                waits.append("a BYE for the call that was answered")
        return waits

    def _over(self, call_id: str) -> bool:
        asked = [*self.sent.values(), *(each for each in self.heard if isinstance(each, Request))]
        return any(each.method == "BYE" and each.call_id == call_id for each in asked)


class DrivenStage(Stage):
    """The engine, the driver and the agents around them."""

    def __init__(self, configuration: Snapshot, media: MediaIO) -> None:
        super().__init__(configuration)
        self.lines: list[str] = []
        self.records: list[str] = []
        self.io = media
        self.free = media.free_ports()
        self.winding_up = False
        self.recorder = Recorder(Journal(self.lines.append), self.records.append)
        dialer = cast(Any, self)
        self.driver = Driver(self.engine, media, self.recorder, clock_of(self), lambda _: dialer)
        self.agents = {name: Agent(self, name) for name in self.peers}
        for name, peer in self.peers.items():
            peer.flow.channel = Wire(self.agents[name])

    def lookup(self, trunk: Any, snapshot: Any, peers: Any = (), near: Any = ()) -> Flow | None:
        """The dialer's: every trunk has a connection, or is ``dead``."""
        return None if trunk.trunk in self.dead else self.peers[trunk.trunk].flow

    def connect(self, trunk: Any, snapshot: Any, peers: Any = (), near: Any = ()) -> Flow:
        """The dialer's, where there is no connection: a moment later there is none either, or it is back."""
        gevent.sleep(0)
        flow = self.lookup(trunk, snapshot, peers, near)
        if flow is None:
            raise DialFailed("connection refused")
        return flow

    def play(self, flow: Flow, message: Message) -> None:
        agent = self.agents[flow.trunk or ""]
        if isinstance(message, Request) and message.method not in ("ACK", "SPENT"):
            agent.sent[message.via.branch, message.method] = message
        self.driver.on_message(flow, message)

    def say(self, flow: Flow, data: bytes) -> None:
        """What arrives as octets; what is no message is refused."""
        try:
            message = parse_message(data)
        except ParseError as error:
            self.driver.on_malformed(flow, error)
        else:
            self.driver.on_message(flow, message)

    def carry_out(self, commands: list[Command]) -> None:
        self.driver.run(lambda now: commands)

    def run(self, step: Callable[..., list[Command]], *arguments: Any) -> None:
        """Run a method of the engine under the driver."""
        self.driver.run(step, *arguments)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.engine.next_deadline) is not None and due <= end:
            self.now = max(self.now, due)
            self.driver.run(self.engine.tick)
            self.settle()
        self.now = end

    def settle(self) -> None:
        """Let hooks and agents come to rest."""
        hooked = self.engine.store.current.hooks
        waits = bool(hooked.files or self.engine._connecting)
        for _ in range(8 if waits else 1):
            while any(agent.inbox for agent in self.agents.values()):
                for agent in self.agents.values():
                    agent.react()
            if waits:
                gevent.sleep(0)

    @property
    def faults(self) -> list[str]:
        """What the journal says of faults of our own."""
        return [line for line in self.lines if "internal-error" in line]

    def wind_up(self) -> None:
        """The agents bring to an end what is theirs to end, and every timer runs out."""
        self.settle()
        self.winding_up = True
        for agent in self.agents.values():
            for invite in agent.invites():
                if invite.via.branch not in agent.given and invite.via.branch not in agent.rang:
                    agent.answer(invite, 180)
        self.settle()
        self._acknowledge()
        self.wait(600)
        self._acknowledge()
        self.wait(600)
        self.driver._timer.stop()

    def _acknowledge(self) -> None:
        for agent in self.agents.values():
            for (_, method), final in list(agent.finals.items()):
                if method == "INVITE" and final.status < 300 and final.contact is not None:
                    agent.peer.request(
                        "ACK", str(final.contact.uri), To=final.headers.get("To") or "",
                        Via=f"SIP/2.0/TLS x.example;branch=z9hG4bK-ack-{final.cseq.number}",
                        CSeq=f"{final.cseq.number} ACK", Call_ID=final.call_id,
                        From=final.headers.get("From") or "",
                    )  # fmt: skip
        self.settle()

    def left_over(self) -> list[str]:
        """What is still held although everybody has had their time."""
        engine = self.engine
        held = {
            "calls": len(engine.calls),
            "transactions": len(engine.transactions),
            "dialogs": len(engine.dialogs),
            "connections asked for": len(engine._connecting),
            "slots of trunks": sum(engine.limits.calls(name) for name in self.peers),
            "slots of rules": sum(usage.calls for usage in engine.rule_limits._usage.values()),
            "media": len(self.io),
            "ports": self.free - self.io.free_ports(),
            "counters of media": len(self.driver._ended_media),
        }
        return [f"{number} {what}" for what, number in held.items() if number]

    def owed(self) -> list[str]:
        """Who still waits for what."""
        return [
            f"{name} waits for {each}"
            for name, agent in self.agents.items()
            if not agent.gone
            for each in agent.owed()
        ]


def media_plane() -> MediaIO:
    """Real ports on the loopback; its clock runs ten seconds with each look, so that ports have rested."""
    first = (free_port(81) + 1) // 2 * 2
    ticks = count(1000)
    return MediaIO(
        MediaConfig(ports=f"{first}-{first + 79}"), Ids(counter_bytes()), lambda: 10.0 * next(ticks)
    )
