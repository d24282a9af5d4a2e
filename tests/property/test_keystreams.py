"""Whatever is offered, answered, refused and taken back: no key of ours ever has a second sending context.

A second one begins its counter anew, and two packets under one key and counter are read by whoever has
both (RFC 3711 9.1).
"""

from __future__ import annotations

import random

import pytest

from sbc.base import LocalError, PeerError
from sbc.media.policy import MediaPolicy
from sbc.media.sdes import CryptoLine
from sbc.media.session import MediaSession
from tests.unit.media.kit import ACCEPT, OFF, OSRTP, REQUIRED, audio, crypto, lines, sdp, session

HOSTS = ("192.0.2.10", "198.51.100.20", "203.0.113.77")
POLICIES = (OFF, ACCEPT, OSRTP, REQUIRED)
FAX = "m=image 40020 udptl t38\r\n"


class Walk:
    """A call whose two sides offer and answer at random; ``contexts`` are all that have sent, by key."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.call: MediaSession = session()[0]
        self.offered: dict[str, list[CryptoLine]] = {"a": [], "b": []}
        self.contexts: dict[bytes, object] = {}
        self.told: list[str] = []
        self.refused = 0

    def step(self) -> None:
        what = self.chance.choice((self._offer, self._offer, self._answer, self._answer, self._rollback))
        try:
            what()
        except (PeerError, LocalError) as error:
            self.refused += 1
            self.told.append(f"  refused: {error}")
        self._look()

    def _policy(self) -> MediaPolicy:
        return self.chance.choice(POLICIES)

    def _section(self, line: CryptoLine | None = None) -> str:
        pick = self.chance
        if line is not None:
            return audio(
                pick.randrange(40000, 40006, 2),
                "RTP/SAVP",
                crypto(pick.randrange(1, 5), line.suite, line.tag),
            )
        if pick.random() < 0.2:
            return FAX
        secure = pick.random() < 0.6
        keys = (crypto(pick.randrange(1, 5)),) if secure else ()
        return audio(pick.randrange(40000, 40006, 2), "RTP/SAVP" if secure else "RTP/AVP", *keys)

    def _offer(self) -> None:
        side, restart = self.chance.choice("ab"), self.chance.random() < 0.4
        count = self.chance.choice((0, 1, 1, 1, 2))
        offer = sdp(*(self._section() for _ in range(count)), host=self.chance.choice(HOSTS))
        self.told.append(f"offer of {side}, restart {restart}, {count} streams")
        written = self.call.offer(side, offer, self._policy(), self._policy(), 0.0, restart=restart)
        target = "b" if side == "a" else "a"
        self.offered[target] = [*self.offered[target], *(lines(written) if count else ())][-6:]

    def _answer(self) -> None:
        side = self.chance.choice("ab")
        known = self.offered[side]
        line = self.chance.choice(known) if known and self.chance.random() < 0.8 else None
        self.told.append(f"answer of {side}")
        sections = [self._section(line) for _ in range(max(1, len(self.call.streams)))]
        self.call.answer(side, sdp(*sections, host=self.chance.choice(HOSTS)), 0.0)

    def _rollback(self) -> None:
        self.told.append("rollback")
        self.call.rollback()

    def _look(self) -> None:
        for stream in self.call.streams:
            for side, end in stream.ends.items():
                sender, terms = end.leg.protect, end.terms
                if sender is not None and terms is not None and terms.ours is not None:
                    known = self.contexts.setdefault(terms.ours.key, sender)
                    assert known is sender, "\n".join([*self.told, f"{side} begins a key anew"])


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_no_key_begins_anew(first: int) -> None:
    contexts = refused = 0
    for seed in range(first, first + 100):
        walk = Walk(seed)
        for _ in range(40):
            walk.step()
        contexts += len(walk.contexts)
        refused += walk.refused
    assert contexts > 150 and refused > 300, "they got somewhere, and were refused there"
