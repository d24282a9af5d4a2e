"""Phones of one user in any order, on real ports: who answers has the caller's media, and no port is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbc.b2bua.commands import AnswerMedia, Command, DeleteMedia, DropMedia, OfferMedia, TakeMedia
from sbc.base import Address, LocalError, PeerError
from sbc.media.stats import MediaStats
from sbc.net.media.embedded import MediaIO
from tests.playbook.ringing import Phones, with_phones
from tests.property.driven import media_plane
from tests.property.test_ringing_orders import Play
from tests.unit.media.kit import audio, crypto, first, sdp

HOST = "198.51.100.200"


class Sounding(Phones):
    """A stage whose media is real."""

    def __init__(self, plane: MediaIO, then: str) -> None:
        self.plane = plane
        self.ended: list[MediaStats] = []
        super().__init__(with_phones(then, srtp="required"))

    def _one(self, command: Command) -> list[Command]:
        if isinstance(command, OfferMedia | AnswerMedia):
            return self._ask(command)
        if isinstance(command, TakeMedia):
            self.plane.take(command.call, command.branch)
        elif isinstance(command, DropMedia):
            self.plane.drop(command.call, command.branch)
        elif isinstance(command, DeleteMedia):
            self.ended.append(self.plane.delete(command.call))
        return super()._one(command)

    def _ask(self, command: OfferMedia | AnswerMedia) -> list[Command]:
        self.media.append(command)
        written, error = b"", None
        try:
            if isinstance(command, OfferMedia):
                written = self.plane.offer(
                    command.call, command.side, command.sdp, command.ours, command.theirs, command.restart,
                    command.branch,
                )  # fmt: skip
            else:
                written = self.plane.answer(command.call, command.side, command.sdp, command.branch)
        except PeerError as refused:
            error = refused
        except LocalError as failed:
            error = PeerError(str(failed), 503)
        return self.engine.media_ready(command.call, written, error, self.now)


class SoundingPlay(Play):
    """One call of the office to bob, whose phones are known by their ports and keys."""

    def __init__(self, seed: int, plane: MediaIO) -> None:
        self.plane = plane
        super().__init__(seed)

    def stage_for(self, then: str) -> Phones:
        """Real media."""
        return Sounding(self.plane, then)

    def description(self, name: str) -> bytes:
        """A port and a key for each."""
        if name in ("office", "carrier"):
            return sdp(audio(49000 if name == "office" else 49100), host=HOST)
        number = int(name.removeprefix("phone")) + 1
        return sdp(audio(50000 + 100 * number, "RTP/SAVP", crypto(number)), host=HOST)

    def talks(self) -> int:
        """How many calls are up, of which each has the media of whoever answered it."""
        up = 0
        for call in self.stage.engine.calls.values():
            if call.state != "up" or call.b is None:
                continue
            (name,) = [each.peer.name for each in self.ringers if each.peer.flow.remote == call.b.flow.remote]
            (stream,) = self.plane.query(call.id).streams
            assert stream.b.remote == Address(HOST, first(self.description(name)).port), (
                f"{name} has answered"
            )
            assert bool(stream.b.suite) == (name != "carrier")
            assert stream.a.remote == Address(HOST, 49000)
            up += 1
        return up


@pytest.fixture
def plane() -> Iterator[MediaIO]:
    made = media_plane()
    yield made
    made.close()


def test_whoever_answers_has_the_media_and_no_port_is_left(plane: MediaIO) -> None:
    free, answered = plane.free_ports(), 0
    for seed in range(5000, 5060):
        try:
            play = SoundingPlay(seed, plane)
            play.listens()
            for _ in range(30):
                play.step()
            answered += bool(play.talks())
            play.wind_up()
            play.holds()
            assert plane.free_ports() == free and not len(plane), "ports are left"
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert answered > 10, "they did not get far"
