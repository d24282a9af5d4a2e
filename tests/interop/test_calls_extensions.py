"""PJSIP to PJSIP with what is less common: PRACK, UPDATE, offers from the callee, a hold upon a hold.

Every INVITE requires 100rel here, every provisional response is acknowledged (RFC 3262).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, assert_secure, log_size, messages, once_idle, talk
from tests.peers.needs import needs
from tests.peers.tone import heard

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB = "127.0.0.2", "127.0.0.3"


@dataclass(slots=True)
class Acknowledging(Pair):
    """The same two, who both require 100rel; the numbers of their one call are kept."""

    call: int = 0
    there: int = 0

    def dial(self, offer: bool = True) -> None:
        """Alice calls Bob, who does nothing yet."""
        self.call, self.there, _ = self.ring(offer)

    def answered(self) -> None:
        """Bob answers, both know it."""
        self.answer(self.call, self.there)

    def talk(self, packets: int = 40) -> None:
        """Both hear each other."""
        talk((self.alice, self.call), (self.bob, self.there), packets=packets)

    def media(self) -> tuple[int, int]:
        """The direction of the media that both have just agreed, as Alice and as Bob sees it."""
        at_alice = self.alice.expect("media", call=self.call)
        at_bob = self.bob.expect("media", call=self.there)
        assert at_alice["srtp"] and at_bob["srtp"]
        return at_alice["direction"], at_bob["direction"]

    def end(self) -> None:
        """Alice hangs up; tones were heard, nothing was lost or leaked, both legs were secured all along."""
        self.alice.hangup(self.call)
        record = self.over(self.call, self.there)
        assert heard(self.alice.recording(self.call), LOW)
        assert heard(self.bob.recording(self.there), HIGH)
        assert_secure(record["a"], "alice")
        assert_secure(record["b"], "bob")
        self.assert_hidden()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acknowledging]:
    needs("pjsua2")
    rig = Rig(tmp_path_factory.mktemp("pair"))
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0, prack="mandatory")
    bob = rig.pjsip("bob", BOB, LOW, answer=0, prack="mandatory")
    with rig.running(Far("alice", alice.port, ALICE), Far("bob", bob.port, BOB), alice, bob):
        yield Acknowledging(rig, alice, bob)


@pytest.fixture
def pair(shared: Acknowledging) -> Iterator[Acknowledging]:
    yield shared
    shared.rig.check_log()


def test_early_media_is_acknowledged_and_heard(pair: Acknowledging) -> None:
    start = log_size(pair.bob)
    pair.dial()
    pair.bob.answer(pair.there, 183)
    assert pair.alice.expect_state(pair.call, "EARLY")["status"] == 183
    assert pair.media() == (3, 3)
    pair.talk()
    pair.bob.answer(pair.there, 180)
    pair.answered()
    pair.talk()
    pair.end()
    assert messages(pair.bob, "RX", start).count("PRACK sip:") == 2


def test_update_from_either_side(pair: Acknowledging) -> None:
    pair.dial()
    pair.answered()
    assert pair.media() == (3, 3)
    once_idle(pair.bob, lambda: pair.bob.update(pair.there))
    assert pair.media() == (3, 3)
    once_idle(pair.alice, lambda: pair.alice.update(pair.call))
    assert pair.media() == (3, 3)
    pair.talk(60)
    pair.end()


def test_the_callee_makes_the_offer(pair: Acknowledging) -> None:
    """An INVITE and two re-INVITEs without SDP: the offer is in the 2xx, its answer in the ACK."""
    pair.dial(offer=False)
    pair.answered()
    assert pair.media() == (3, 3)
    once_idle(pair.alice, lambda: pair.alice.reinvite(pair.call, offer=False))
    assert pair.media() == (3, 3)
    once_idle(pair.bob, lambda: pair.bob.reinvite(pair.there, offer=False))
    assert pair.media() == (3, 3)
    pair.talk(60)
    pair.end()


def test_both_hold_and_both_resume(pair: Acknowledging) -> None:
    pair.dial()
    pair.answered()
    assert pair.media() == (3, 3)
    pair.talk()
    once_idle(pair.alice, lambda: pair.alice.hold(pair.call))
    assert pair.media() == (1, 2)
    once_idle(pair.bob, lambda: pair.bob.hold(pair.there))
    assert pair.media() == (0, 0)
    once_idle(pair.alice, lambda: pair.alice.reinvite(pair.call))
    assert pair.media() == (2, 1)
    once_idle(pair.bob, lambda: pair.bob.reinvite(pair.there))
    assert pair.media() == (3, 3)
    pair.talk(60)
    pair.end()


def test_both_hang_up_at_once(pair: Acknowledging) -> None:
    pair.dial()
    pair.answered()
    pair.alice.hangup(pair.call)
    pair.bob.hangup(pair.there)
    assert pair.over(pair.call, pair.there)["status"] == 200
