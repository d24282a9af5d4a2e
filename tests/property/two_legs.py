"""Random walks over both legs of one call: two user agents that do what they like, on connections that close.

Each says, in no order, what its side may say and some that it may not: provisional and reliable responses,
answers, refusals, changes, PRACK, INFO, CANCEL, BYE, or nothing. Connections close and are opened again by
whoever has something to say, by the SBC at once or a moment later, or never. All of it follows from a seed.
"""

from __future__ import annotations

from random import Random
from typing import Any

import gevent

from sbc.flow import Flow
from sbc.net.media.embedded import MediaIO
from sbc.net.transport.dial import DialFailed
from sbc.sip.message import Request, Response
from tests.playbook.stage import Peer, snapshot
from tests.property.driven import Agent, DrivenStage, Wire
from tests.property.test_faults import AGAIN, OFFER, RULES

RELIABLE = {"Require": "100rel", "RSeq": "1"}
PATIENCE = 31.0  # seconds that an INVITE of which nothing was heard is remembered (timer B has 32)
CLOSINGS = 6  # of one agent


class Walker(Agent):
    """An agent that knows what it has answered, and forgets what the SBC must think it never saw."""

    def __init__(self, stage: Legs, name: str) -> None:
        super().__init__(stage, name)
        self.seen: dict[str, float] = {}
        self.spoken: set[str] = set()
        self.acknowledged: set[tuple[str, int]] = set()
        self.closings = 0

    def _on_request(self, request: Request) -> None:
        if request.method == "INVITE":
            self.seen.setdefault(request.via.branch, self.stage.now)
        super()._on_request(request)

    def answer(self, invite: Request, status: int, body: bytes = b"", **headers: str) -> None:
        self.spoken.add(invite.via.branch)
        super().answer(invite, status, body, **headers)

    def invites(self) -> list[Request]:
        """Those that are still worth an answer, each once."""
        since = self.stage.now - PATIENCE
        found = {each.via.branch: each for each in super().invites()}
        return [
            each for branch, each in found.items()
            if branch in self.spoken or self.seen.get(branch, since) > since
        ]  # fmt: skip

    def forget_unanswered(self) -> None:
        """The connection closed: an INVITE of which nothing was heard goes elsewhere, without a CANCEL."""
        for branch in self.seen:
            if branch not in self.spoken:
                self.seen[branch] = self.stage.now - PATIENCE

    def open_invites(self) -> list[Request]:
        """Those without a final answer."""
        return [each for each in self.invites() if each.via.branch not in self.given]

    def open_requests(self) -> list[Request]:
        """Other requests within the dialog, which may be answered now or never, or twice."""
        asked = [each for each in self.heard if isinstance(each, Request)]
        return [each for each in asked if each.method in ("UPDATE", "INFO", "PRACK")][-2:]

    def open_finals(self) -> list[Response]:
        """2xx of INVITEs that it has not acknowledged."""
        finals = [each for (_, method), each in self.finals.items() if method == "INVITE"]
        known = self.acknowledged
        return [
            each for each in finals if each.status < 300 and (each.call_id, each.cseq.number) not in known
        ]


class Legs(DrivenStage):
    """Both agents, the SBC between them, and connections that come back soon, late or never."""

    def __init__(self, seed: int, transport: str, media: MediaIO) -> None:
        self.dice = Random(f"{transport} {seed}")
        super().__init__(
            snapshot(
                RULES, transport, srtp="off", limits={"calls": 5}, response_timeout=4, ring_timeout=20
            ),
            media,
        )  # fmt: skip
        self.walkers = {name: Walker(self, name) for name in self.peers}
        self.agents = dict(self.walkers)
        for name, peer in self.peers.items():
            peer.flow.channel = Wire(self.agents[name])

    def lookup(self, trunk: Any, snapshot: Any, peers: Any = (), near: Any = ()) -> Flow | None:
        """The dialer's: there is a connection, or one has to be opened."""
        away = trunk.trunk in self.dead or self.dice.random() < 0.4
        return None if away else self.peers[trunk.trunk].flow

    def connect(self, trunk: Any, snapshot: Any, peers: Any = (), near: Any = ()) -> Flow:
        """The dialer's, which takes a while."""
        for _ in range(self.dice.randrange(4)):
            gevent.sleep(0)
        if trunk.trunk in self.dead:
            raise DialFailed("connection refused")
        return self.peers[trunk.trunk].flow

    def closes(self, peer: Peer) -> None:
        """The connection closes, and of an INVITE that nothing was heard of the SBC must think it unread."""
        self.agents[peer.name].react()
        self.walkers[peer.name].forget_unanswered()
        super().closes(peer)

    def wind_up(self) -> None:
        """Everybody does what is theirs to do, and what is still up is ended by the operator."""
        super().wind_up()
        assert {call.state for call in self.engine.calls.values()} <= {"up"}, "neither up nor over"
        for call in list(self.engine.calls):
            self.run(self.engine.end_call, call, "over")
        self.settle()
        self.wait(600)
        self.driver._timer.stop()


class Walk:
    """One call, ``steps`` things that happen to it, and its end."""

    def __init__(self, seed: int, transport: str, media: MediaIO) -> None:
        self.stage = Legs(seed, transport, media)
        self.dice = self.stage.dice
        self.told: list[str] = []
        self.caller, self.callee = self.stage.walkers["office"], self.stage.walkers["carrier"]
        self.connected = transport != "udp"

    def run(self, steps: int) -> None:
        """Walk; what is left over or owed afterwards is for the test."""
        self._say("calls")
        self.stage.office.invite(self.dice.choice((OFFER, OFFER, OFFER, b"")), Supported="100rel")
        self.stage.settle()
        for _ in range(steps):
            move = self.dice.choice((
                self._ring, self._ring, self._answer, self._answer, self._reply, self._reply,
                self._acknowledge, self._acknowledge, self._change, self._change, self._cancel,
                self._hang_up, self._repeat, self._wait, self._close, self._close, self._close, self._vanish,
            ))  # fmt: skip
            move()
            if self.dice.random() < 0.7:
                self.stage.settle()
        self._say("is wound up")
        if self.dice.random() < 0.5:
            self.stage.dead.clear()
        self.stage.wind_up()

    def _say(self, what: str) -> None:
        self.told.append(f"{self.stage.now - 1000:g}: {what}")

    def _there(self, *agents: Walker) -> list[Walker]:
        return [each for each in agents if each.peer.name not in self.stage.dead]

    def _anyone(self) -> Walker | None:
        there = self._there(self.caller, self.callee)
        return self.dice.choice(there) if there else None

    def _ring(self) -> None:
        for agent in self._there(self.callee, self.stage.walkers["backup"], self.caller)[:1]:
            for invite in agent.open_invites()[-1:]:
                status = self.dice.choice((100, 180, 180, 183, 183))
                body = OFFER if status == 183 and not invite.to_tag else b""
                reliable = RELIABLE if status > 100 and self.dice.random() < 0.4 else {}
                self._say(f"{agent.peer.name} says {status} {'reliably' if reliable else ''}")
                agent.answer(invite, status, body, **reliable)

    def _answer(self) -> None:
        for agent in self._there(*self.stage.walkers.values()):
            for invite in agent.open_invites()[-1:]:
                status = self.dice.choice((200, 200, 200, 200, 486, 488, 503, 302, 491))
                self._say(f"{agent.peer.name} says {status} to {invite.cseq}")
                agent.answer(invite, status, OFFER if status == 200 else b"")
                return

    def _repeat(self) -> None:
        """The callee's 200 comes again, or another phone's."""
        for agent in self._there(self.callee):
            given = [each for each in agent.invites() if agent.given.get(each.via.branch) == 200]
            for invite in given[-1:]:
                tag = self.dice.choice(("callee", "callee", "fork"))
                self._say(f"{tag} says 200 again")
                agent.peer.respond(invite, 200, tag=tag, body=OFFER)

    def _reply(self) -> None:
        """To a request within the dialog."""
        agent = self._anyone()
        if agent is not None and (asked := agent.open_requests()):
            request = self.dice.choice(asked)
            status = self.dice.choice((200, 200, 200, 200, 200, 488, 500, 481))
            self._say(f"{agent.peer.name} says {status} to {request.method}")
            body = OFFER if status == 200 and request.body and request.method != "INFO" else b""
            agent.peer.respond(request, status, body=body)

    def _acknowledge(self) -> None:
        for agent in self._there(self.caller, self.callee):
            for final in agent.open_finals()[-1:]:
                self._say(f"{agent.peer.name} acknowledges {final.cseq}")
                agent.acknowledged.add((final.call_id, final.cseq.number))
                assert final.contact is not None
                agent.peer.request(
                    "ACK", str(final.contact.uri), OFFER if self.dice.random() < 0.3 else b"",
                    To=final.headers.get("To") or "", From=final.headers.get("From") or "",
                    Via=f"SIP/2.0/TLS x.example;branch=z9hG4bK-{self.dice.randrange(1 << 30)}",
                    CSeq=f"{final.cseq.number} ACK", Call_ID=final.call_id,
                )  # fmt: skip

    def _change(self) -> None:
        method = self.dice.choice(("INVITE", "INVITE", "UPDATE", "INFO", "PRACK", "OPTIONS"))
        self._within(method, AGAIN if method in ("INVITE", "UPDATE") and self.dice.random() < 0.8 else b"")

    def _hang_up(self) -> None:
        if self.dice.random() < 0.3:
            self._within("BYE", b"")

    def _within(self, method: str, body: bytes) -> None:
        agent = self._anyone()
        headers = {"RAck": "1 1 INVITE"} if method == "PRACK" else {}
        if agent is self.caller:
            tagged = [each for each in agent.heard if isinstance(each, Response) and each.contact is not None]
            for heard in [each for each in tagged if each.cseq.method == "INVITE" and each.status > 100][-1:]:
                if heard.from_tag == "from-office":
                    self._say(f"the caller sends {method}")
                    self.stage.within("office", heard, method, body, **headers)
        elif agent is self.callee:
            for invite in [each for each in agent.invites() if agent.rang or agent.given][:1]:
                if invite.via.branch in agent.spoken:
                    self._say(f"the callee sends {method}")
                    self.stage.from_callee(invite, method, body, **headers)

    def _cancel(self) -> None:
        if self.dice.random() < 0.3 and self._there(self.caller):
            (via, _), first = next(iter(self.caller.sent.items()))
            if (via, "CANCEL") not in self.caller.sent:
                self._say("the caller cancels")
                self.stage.office.request(
                    "CANCEL", Via=first.headers.get("Via") or "", CSeq=f"{first.cseq.number} CANCEL",
                )  # fmt: skip

    def _wait(self) -> None:
        seconds = self.dice.choice((0.1, 0.6, 1, 3, 5, 12, 35, 200))
        self._say(f"{seconds} s pass")
        self.stage.settle()
        self.stage.wait(seconds)

    def _close(self) -> None:
        agent = self._anyone()
        if self.connected and agent is not None and agent.closings < CLOSINGS:
            agent.closings += 1
            self._say(f"the connection of {agent.peer.name} closes")
            self.stage.closes(agent.peer)

    def _vanish(self) -> None:
        """It is gone for good, or for a while; what it is owed meanwhile nobody can give it."""
        agent = self._anyone()
        if self.connected and agent is not None and self.dice.random() < 0.15:
            agent.gone = True
            self._say(f"{agent.peer.name} is gone")
            self.stage.dead.add(agent.peer.name)
            self.stage.closes(agent.peer)
        elif self.stage.dead and self.dice.random() < 0.5:
            self._say("who was gone is back")
            self.stage.dead.clear()
