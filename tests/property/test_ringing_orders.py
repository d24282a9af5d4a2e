"""Phones of one user, in any order of events: one final answer for the caller, and nothing is left of it."""

from __future__ import annotations

from random import Random

import pytest

from sbc.b2bua.commands import DeleteMedia, OfferMedia
from sbc.sip.message import Message, Request, Response
from sbc.sip.uri import parse_uri
from tests.playbook.ringing import Phones, with_phones
from tests.playbook.stage import Peer

REFUSALS = (302, 401, 404, 415, 480, 486, 500, 503, 603)
THENS = (
    "route registered",
    "route registered one by one",
    'route registered then "carrier" on 4xx, 5xx, timeout',
)


class Ringer:
    """A phone that does what chance has it do, and what RFC 3261 wants of it."""

    def __init__(self, peer: Peer, chance: Random, description: bytes) -> None:
        self.peer = peer
        self.chance = chance
        self.description = description
        self.invites: list[Request] = []
        self.final: dict[str, int] = {}  # by branch
        self.rang: set[str] = set()
        self.gone = False
        # INVITEs that it has said nothing to before they were over: its connection broke, or it was too late.
        self.missed: set[str] = set()
        self.came: dict[str, float] = {}
        self.said: list[str] = []  # ACK, BYE and CANCEL, as they came

    def listens(self) -> None:
        """Take in what has come; CANCEL and BYE are answered."""
        while self.peer.heard:
            message = self.peer.heard.popleft()
            if not isinstance(message, Request):
                continue
            branch = message.via.branch
            if message.method == "INVITE":
                if branch not in [each.via.branch for each in self.invites]:
                    self.invites.append(message)
                    self.came[branch] = self.peer.stage.now
                continue
            self.said.append(f"{message.method} {message.call_id}")
            if message.method == "CANCEL":
                assert branch in self.rang, "RFC 3261 9.1: not before it was heard"
                self.peer.respond(message, 200, tag="")
                for invite in self.invites:
                    if invite.via.branch == branch and branch not in self.final:
                        self.gives(invite, 487)
            elif message.method == "BYE":
                self.peer.respond(message, 200)

    def gives(self, invite: Request, status: int) -> None:
        """Answer ``invite``."""
        branch = invite.via.branch
        if branch not in self.rang and self.peer.stage.now - self.came[branch] >= 32:
            self.missed.add(branch)  # timer B (RFC 3261 17.1.1.2)
        if status >= 200:
            self.final[branch] = status
        self.rang.add(branch)
        body = self.description if status in (183, 200) else b""
        self.peer.respond(invite, status, tag=self.peer.name, body=body)

    def acts(self) -> None:
        """Ring, play something, answer, refuse, or repeat what it said."""
        open_ = [each for each in self.invites if each.via.branch not in self.final]
        if open_:
            status = self.chance.choice((180, 180, 183, 200, self.chance.choice(REFUSALS)))
            self.gives(self.chance.choice(open_), status)
        elif self.invites and self.chance.random() < 0.5:
            last = self.invites[-1]
            if self.final[last.via.branch] == 200:
                self.peer.respond(last, 200, tag=self.peer.name, body=self.description)


class Play:
    """One call of the office to bob, who has some phones."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = Random(seed)
        self.stage = self.stage_for(f"ring for 20 seconds\n{chance.choice(THENS)}")
        self.finals: list[Response] = []
        count = chance.randint(1, 4)
        peers = [self.stage.phone(f"phone{at}", q=chance.choice((1.0, 1.0, 0.5))) for at in range(count)]
        for binding, peer in zip(self.stage.bindings, peers, strict=True):
            binding.contact = parse_uri(f"sip:bob@{peer.name}.example;transport=tls")  # as in its answers
        everybody = (*peers, self.stage.carrier)
        self.ringers = [Ringer(each, chance, self.description(each.name)) for each in everybody]
        self.over = False
        offer = self.description("office") if chance.random() < 0.8 else b""
        self.stage.office.request("INVITE", "sip:bob@sbc.example", offer)
        self.cseq = self.stage.cseq
        self.branch = f"z9hG4bK-office-{self.cseq}"

    def stage_for(self, then: str) -> Phones:
        """Where it is played."""
        return Phones(with_phones(then))

    def description(self, name: str) -> bytes:
        """What somebody says of its media."""
        return b"v=0 of " + name.encode()

    def listens(self) -> None:
        """Everybody takes in what has come, until nothing more comes."""
        while any(each.peer.heard for each in self.ringers) or self.stage.office.heard:
            for each in self.ringers:
                each.listens()
            self._office()

    def _office(self) -> None:
        heard: list[Message] = list(self.stage.office.heard)
        self.stage.office.heard.clear()
        for message in heard:
            if isinstance(message, Request):
                if message.method == "BYE":
                    self.stage.office.respond(message, 200)
                continue
            if not isinstance(message, Response) or message.cseq.method != "INVITE" or message.status < 200:
                continue
            self.finals.append(message)
            if message.status == 200:
                self.stage.within("office", message, "ACK", CSeq=f"{self.cseq} ACK")
            else:
                ack = f"{self.cseq} ACK"
                via = f"SIP/2.0/TLS office.example;branch={self.branch}"
                to = message.headers.get("To") or ""
                self.stage.office.request("ACK", "sip:bob@sbc.example", CSeq=ack, Via=via, To=to)

    def step(self) -> None:
        """Something happens."""
        kind = self.chance.random()
        if kind < 0.75:
            self.chance.choice(self.ringers).acts()
        elif kind < 0.82:
            self.stage.wait(self.chance.choice((0.1, 1, 10, 25)))
        elif kind < 0.87 and not self.over:
            self.over = True
            via = f"SIP/2.0/TLS office.example;branch={self.branch}"
            cseq = f"{self.cseq} CANCEL"
            self.stage.office.request("CANCEL", "sip:bob@sbc.example", Via=via, CSeq=cseq)
        elif kind < 0.92:
            self._closes(self.chance.choice(self.ringers))
        self.listens()

    def _closes(self, ringer: Ringer) -> None:
        """Its connection breaks; a phone registers again, or is gone."""
        self.stage.closes(ringer.peer)
        ringer.missed |= {each.via.branch for each in ringer.invites} - ringer.rang
        if ringer.peer is self.stage.carrier:
            return
        ringer.gone = self.chance.random() < 0.3
        if not ringer.gone:
            index = self.ringers.index(ringer)
            self.stage.bindings[index].flow = ringer.peer.flow

    def wind_up(self) -> None:
        """Nobody acts any more; whoever is up hangs up."""
        self.stage.wait(200)
        self.listens()
        for call in list(self.stage.engine.calls):
            self.stage.carry_out(self.stage.engine.end_call(call, "over", self.stage.now))
        self.listens()
        self.stage.wait(1000)
        self.listens()

    def holds(self) -> None:
        """One final answer; no phone is left ringing or talking to nobody; and nothing is held."""
        answers = {(each.status, each.to_tag) for each in self.finals}
        assert len(answers) == 1, f"the caller heard {answers}"
        for each in self.ringers:
            for invite in each.invites:
                final = each.final.get(invite.via.branch)
                if final == 200 and not each.gone and invite.via.branch not in each.missed:
                    assert f"ACK {invite.call_id}" in each.said, f"{each.peer.name} has no ACK"
                    assert f"BYE {invite.call_id}" in each.said, f"{each.peer.name} was not hung up"
        engine = self.stage.engine
        assert not engine.calls and not len(engine.dialogs) and not len(engine.transactions)
        assert {engine.limits.calls(name) for name in self.stage.peers} == {0}
        asked = {each.call for each in self.stage.media if isinstance(each, OfferMedia)}
        given = {each.call for each in self.stage.media if isinstance(each, DeleteMedia)}
        assert asked <= given, "media that nobody has given back"


def played(seed: int) -> Play:
    play = Play(seed)
    play.listens()
    for _ in range(30):
        play.step()
    play.wind_up()
    play.holds()
    return play


@pytest.mark.parametrize("first", [0, 40])
def test_any_order_of_events(first: int) -> None:
    heard = set()
    for seed in range(first, first + 40):
        try:
            heard |= {each.status for each in played(seed).finals}
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert 200 in heard and len(heard) > 3, f"they did not get far: {heard}"


@pytest.mark.slow
def test_many_orders_of_events() -> None:
    for seed in range(1000, 1500):
        try:
            played(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
