"""Alice and Bob, two PJSIPs that call each other through one SBC, perhaps with a carrier before Bob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.interop.rig import (
    Rig,
    assert_hidden,
    hears_lately,
    identity_of,
    log_size,
    messages,
    once_idle,
    talk,
)
from tests.peers.kamailio import Kamailio
from tests.peers.pjsip import Pjsip
from tests.peers.tone import Heard

#: What Bob and Alice say, in hertz.
LOW, HIGH = 440.0, 1000.0


@dataclass(slots=True)
class Pair:
    """Alice and Bob, each on a trunk of one SBC; Bob does what the test says, and nothing alone."""

    rig: Rig
    alice: Pjsip
    bob: Pjsip
    carrier: Kamailio | None = None
    logs: tuple[int, int] = (0, 0)

    def ring(self, offer: bool = True) -> tuple[int, int, str]:
        """Alice calls Bob: the numbers of the call there and here, and the INVITE as Bob got it."""
        self.alice.events.clear()
        self.bob.events.clear()
        self.logs = log_size(self.alice), log_size(self.bob)
        call = self.alice.call(self.rig.number(), offer=offer)
        incoming = self.bob.expect("incoming")
        return call, incoming["call"], incoming["message"]

    def answer(self, call: int, there: int) -> None:
        """Bob answers, both know it."""
        self.bob.answer(there)
        self.alice.expect_state(call, "CONFIRMED")
        self.bob.expect_state(there, "CONFIRMED")

    def connect(self) -> tuple[int, int]:
        """Alice calls, Bob answers, both know it."""
        call, there, _ = self.ring()
        self.answer(call, there)
        return call, there

    def over(self, call: int, there: int) -> dict[str, Any]:
        """Both ends have seen the call end; its record."""
        self.alice.expect_state(call, "DISCONNECTED")
        self.bob.expect_state(there, "DISCONNECTED")
        return self.rig.record()

    def at_alice(self) -> str:
        """What Alice received since the call began."""
        return messages(self.alice, "RX", self.logs[0])

    def at_bob(self) -> str:
        """What Bob received since the call began."""
        return messages(self.bob, "RX", self.logs[1])

    def assert_hidden(self) -> None:
        """Neither has seen anything of the other, nor Alice of the carrier, since the call began."""
        sent = messages(self.alice, "TX", self.logs[0]), messages(self.bob, "TX", self.logs[1])
        beyond = {"carrier": f":{self.carrier.port}"} if self.carrier else {}
        assert_hidden(self.at_bob(), identity_of(sent[0], self.alice))
        assert_hidden(self.at_alice(), identity_of(sent[1], self.bob) | beyond)

    def hold_and_resume(self, who: str, call: int, there: int) -> None:
        """One holds the other and takes it back; before and after that both hear each other."""
        ends = [(self.alice, call), (self.bob, there)]
        (holder, own), (held, its) = ends if who == "caller" else ends[::-1]
        talk(*ends, packets=20)
        for agent, number in ends:
            agent.expect("media", call=number)
        once_idle(holder, lambda: holder.hold(own))
        assert held.expect("media", call=its)["direction"] == 2  # decoding only: sendonly was offered
        holder.expect("media", call=own)
        once_idle(holder, lambda: holder.reinvite(own))
        assert held.expect("media", call=its)["direction"] == 3
        assert holder.expect("media", call=own)["direction"] == 3
        talk(*ends)

    def heard_lately(self, call: int, there: int) -> Heard:
        """Whether each heard the other to the end of the call."""
        at_alice, at_bob = self.alice.recording(call), self.bob.recording(there)
        return hears_lately(at_alice, LOW) and hears_lately(at_bob, HIGH)
