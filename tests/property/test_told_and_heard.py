"""Whatever two sides change, refuse and cross: each hears the other, under the key that it was told last.

RFC 3264 8: an exchange that is refused leaves the session as it was; RFC 4568 7.1.4: a key holds from the
answer on. Both sides are looked at from the wire alone: what one has sent and got as SDP says under which key
and to which address its packets go, and by which it reads what comes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sbc.b2bua.commands import AnswerMedia, Command, DeleteMedia, OfferMedia, RollbackMedia
from sbc.base import LocalError, PeerError
from sbc.config.snapshot import Snapshot
from sbc.media.policy import SUITES
from sbc.media.relay import packet
from sbc.media.sdes import CryptoLine
from sbc.media.srtp import Protector, Unprotector
from sbc.net.media.embedded import MediaIO
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response
from tests.playbook.stage import RULES, Stage, snapshot
from tests.property.driven import media_plane
from tests.unit.media.kit import audio, crypto, first, lines, rtp, sdp

pytestmark = pytest.mark.slow
SEEDS, CHANGES = 25, 6


class Sounding(Stage):
    """A stage whose media is real."""

    def __init__(self, configuration: Snapshot, plane: MediaIO) -> None:
        self.plane = plane
        super().__init__(configuration)

    def _one(self, command: Command) -> list[Command]:
        if isinstance(command, OfferMedia | AnswerMedia):
            return self._ask(command)
        if isinstance(command, RollbackMedia):
            self.plane.rollback(command.call)
        elif isinstance(command, DeleteMedia):
            self.plane.delete(command.call)
        return super()._one(command)

    def _ask(self, command: OfferMedia | AnswerMedia) -> list[Command]:
        written, error = b"", None
        try:
            if isinstance(command, OfferMedia):
                written = self.plane.offer(
                    command.call, command.side, command.sdp, command.ours, command.theirs, command.restart
                )
            else:
                written = self.plane.answer(command.call, command.side, command.sdp)
        except PeerError as refused:
            error = refused
        except LocalError as failed:
            error = PeerError(str(failed), 503)
        return self.engine.media_ready(command.call, written, error, self.now)


class Side:
    """One peer: what it has said and was told, as of the last exchange that held."""

    def __init__(self, walk: Walk, name: str, host: str, number: int) -> None:
        self.walk, self.name, self.host, self.number = walk, name, host, number
        self.peer = walk.stage.peers[name]
        self.port, self.key = 30000 + 1000 * number, 1
        self.secure = walk.srtp == "required" or walk.chance.random() < 0.7
        self.said = self.told = b""
        self.first = self.last = ""  # From and To of its dialog
        self.call_id = self.target = ""
        self.sent = 0
        self.senders: dict[bytes, Protector] = {}
        self.receivers: dict[bytes, Unprotector] = {}

    def offer(self) -> bytes:
        """Another one each time: another key, another port, a hold."""
        chance = self.walk.chance
        if chance.random() < 0.3:
            self.key = self.key % 5 + 1
        if chance.random() < 0.2:
            self.port += 20
        line = crypto(10 * self.number + self.key, chance.choice(SUITES[:2]), chance.randint(1, 3))
        more = [line] if self.secure else []
        direction = chance.choice(["sendrecv", "sendrecv", "sendonly", "inactive"])
        profile = "RTP/SAVP" if self.secure else "RTP/AVP"
        return sdp(audio(self.port, profile, *more, direction), host=self.host)

    def answer(self, offer: bytes) -> bytes:
        """With a key where the offer has one, and the side wants one or must."""
        media, usable = first(offer), lines(offer)
        more = []
        if usable and (self.secure or media.proto == "RTP/SAVP"):
            chosen = self.walk.chance.choice(usable)
            more = [crypto(10 * self.number + self.key, chosen.suite, chosen.tag)]
        return sdp(audio(self.port, media.proto, *more), host=self.host)

    def agreed(self) -> tuple[CryptoLine, CryptoLine] | None:
        """Its own line and the other's that belongs to it; None where all is plain."""
        pairs = [
            (own, theirs) for own in lines(self.said) for theirs in lines(self.told)
            if (own.tag, own.suite) == (theirs.tag, theirs.suite)
        ]  # fmt: skip
        assert pairs or not (lines(self.said) and lines(self.told)), "two keys that do not belong together"
        return pairs[0] if pairs else None

    def within(self, method: str, body: bytes = b"", number: int = 0) -> int:
        """Say something in its dialog; the number of its CSeq."""
        stage = self.walk.stage
        stage.cseq += 1
        number = number or stage.cseq
        headers = Headers([
            ("Via", f"SIP/2.0/TLS {self.name}.example;branch=z9hG4bK-in-{stage.cseq}"),
            ("Max-Forwards", "70"), ("From", self.first), ("To", self.last), ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"), ("Contact", f"<sip:x@{self.name}.example;transport=tls>"),
        ])  # fmt: skip
        if body:
            headers.add("Content-Type", "application/sdp")
        self.peer.say(Request(method, self.target, headers, body))
        return number

    def request(self, method: str) -> Request | None:
        """The last request of this method that it was sent."""
        found = [each for each in self.peer.heard if isinstance(each, Request) and each.method == method]
        return found[-1] if found else None

    def final(self) -> Response | None:
        """The last final response that it was sent."""
        found = [each for each in self.peer.heard if isinstance(each, Response) and each.status >= 200]
        return found[-1] if found else None


class Walk:
    """One call, from its INVITE on, through changes that follow from a seed."""

    def __init__(self, seed: int, plane: MediaIO) -> None:
        self.chance = random.Random(seed)
        self.srtp = self.chance.choice(["required", "offer", "accept"])
        self.stage = Sounding(snapshot(RULES, "tls", srtp=self.srtp), plane)
        self.a, self.b = Side(self, "office", "198.51.100.200", 1), Side(self, "carrier", "198.51.100.201", 2)
        self.story = [self.srtp]
        self.heard = 0

    def begin(self) -> None:
        """The office calls the carrier, which answers."""
        a, b, offer = self.a, self.b, self.a.offer()
        a.peer.invite(offer)
        invite = b.request("INVITE")
        assert invite is not None
        answer = b.answer(invite.body)
        b.peer.respond(invite, 200, body=answer)
        ok = a.final()
        assert ok is not None and ok.status == 200 and ok.contact is not None and invite.contact is not None
        self._settle(a, offer, ok.body, b, answer, invite.body)
        a.first, a.last = ok.headers.get("From") or "", ok.headers.get("To") or ""
        a.call_id, a.target = ok.call_id, str(ok.contact.uri)
        b.first, b.last = f"{invite.headers.get('To')};tag=callee", invite.headers.get("From") or ""
        b.call_id, b.target = invite.call_id, str(invite.contact.uri)
        a.within("ACK", number=ok.cseq.number)
        self.listen()

    def change(self) -> None:
        """One side changes something, with whatever comes of it."""
        sides = [self.a, self.b]
        self.chance.shuffle(sides)
        kinds = (self._takes, self._updates, self._asks, self._refuses, self._previews, self._crosses)
        kind = self.chance.choice(kinds)
        self.story.append(f"{kind.__name__} {sides[0].name}")
        self.stage.now += 3
        for each in sides:
            each.peer.heard.clear()
        kind(*sides)
        self.listen()

    def _takes(self, near: Side, far: Side, method: str = "INVITE") -> None:
        offer = near.offer()
        number = near.within(method, offer)
        request = far.request(method)
        if request is not None:
            answer = far.answer(request.body)
            far.peer.respond(request, 200, body=answer)
            final = near.final()
            assert final is not None and final.status == 200
            self._settle(near, offer, final.body, far, answer, request.body)
        if method == "INVITE":
            near.within("ACK", number=number)

    def _updates(self, near: Side, far: Side) -> None:
        self._takes(near, far, "UPDATE")

    def _asks(self, near: Side, far: Side) -> None:
        """A re-INVITE without an offer: the far side makes one, and the ACK answers it."""
        number = near.within("INVITE")
        request, offer = far.request("INVITE"), far.offer()
        assert request is not None
        far.peer.respond(request, 200, body=offer)
        final = near.final()
        assert final is not None and final.status == 200, final
        answer = near.answer(final.body)
        far.peer.heard.clear()
        near.within("ACK", answer, number)
        ack = far.request("ACK")
        assert ack is not None
        self._settle(far, offer, ack.body, near, answer, final.body)

    def _refuses(self, near: Side, far: Side, preview: bool = False) -> None:
        number = near.within("INVITE", near.offer())
        request = far.request("INVITE")
        if request is not None:
            if preview:
                far.peer.respond(request, 183, body=far.answer(request.body))
            far.peer.respond(request, self.chance.choice([488, 491, 500]))
        near.within("ACK", number=number)

    def _previews(self, near: Side, far: Side) -> None:
        self._refuses(near, far, True)

    def _crosses(self, near: Side, far: Side) -> None:
        """Both offer at once: the one that came second is refused (RFC 3261 14.2)."""
        offer, number = near.offer(), 0
        number = near.within("INVITE", offer)
        request = far.request("INVITE")
        if request is None:
            near.within("ACK", number=number)
            return
        other = far.within("INVITE", far.offer())
        final = far.final()
        assert final is not None and final.status in (491, 500)
        far.within("ACK", number=other)
        answer = far.answer(request.body)
        far.peer.respond(request, 200, body=answer)
        ok = near.final()
        assert ok is not None and ok.status == 200
        self._settle(near, offer, ok.body, far, answer, request.body)
        near.within("ACK", number=number)

    def _settle(
        self, near: Side, offer: bytes, told: bytes, far: Side, answer: bytes, offered: bytes
    ) -> None:
        near.said, near.told, far.said, far.told = offer, told, answer, offered

    def listen(self) -> None:
        """Each side says something, and the other reads it."""
        (call,) = self.stage.engine.calls
        (stream,) = self.stage.plane._sessions[call].streams
        for leg, near, far in (
            (stream.ends["a"].leg, self.a, self.b),
            (stream.ends["b"].leg, self.b, self.a),
        ):
            near.sent += 1
            said = rtp(1000 * near.number + near.sent, ssrc=near.number)
            keys, there, here = near.agreed(), far.agreed(), first(near.said)
            data = said
            if keys is not None:
                data = near.senders.setdefault(keys[0].key, Protector(keys[0])).rtp(said)
            out = packet(leg.port_rtp, data, (here.host, here.port), self.stage.now)
            assert out is not None, f"{near.name} is refused: {leg.refused}"
            assert out[2] == (first(far.said).host, first(far.said).port)
            if there is None:
                assert self.srtp != "required" and out[1] == said
            else:
                reader = far.receivers.setdefault(there[1].key, Unprotector(there[1]))
                assert reader.rtp(out[1]) == said
            self.heard += 1


@pytest.fixture(scope="module")
def plane() -> Iterator[MediaIO]:
    made = media_plane()
    yield made
    made.close()


def test_each_side_hears_the_other_under_the_key_that_it_was_told(plane: MediaIO) -> None:
    heard = 0
    for seed in range(SEEDS):
        walk = Walk(seed, plane)
        try:
            walk.begin()
            for _ in range(CHANGES):
                walk.change()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}; {walk.story}") from error
        heard += walk.heard
        for call in list(walk.stage.engine.calls):
            plane.delete(call)
    assert heard == SEEDS * (CHANGES + 1) * 2
