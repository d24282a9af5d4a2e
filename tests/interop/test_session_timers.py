"""PJSIP with session timers and PJSIP without: a call whose sessions are refreshed goes on (RFC 4028)."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, assert_secure, log_size, messages, talk
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.waits]

ALICE, BOB, CAROL, DAVE = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"
TIMER = "session_timer: {expires: 90s}"
REFRESHED = 120.0  # seconds to wait for what comes after 45
OVER = 150.0  # seconds to wait for what comes after 60, or after 90
NUMBERS = {"bob": "+12125550100", "carol": "+12125550101", "dave": "+12125550102"}
RULES = "".join(
    f'  - name: to {name}\n    when: to.user == "{number}"\n    then: route "{name}"\n'
    for name, number in NUMBERS.items()
)


@dataclass(slots=True)
class Refreshing:
    """Alice, who is refreshed, and three that she calls, each of which has to refresh its own leg."""

    rig: Rig
    alice: Pjsip
    bob: Pjsip
    carol: Pjsip
    dave: Pjsip

    def calls(self, *callees: Pjsip) -> list[tuple[int, int]]:
        """Alice calls them, and they talk: the numbers of each call there and here."""
        made = []
        for each in callees:
            call = self.alice.call(self.rig.number(NUMBERS[each.name]))
            there = int(each.expect("incoming", 30)["call"])
            self.alice.expect_state(call, "CONFIRMED", 30)
            each.expect_state(there, "CONFIRMED", 30)
            talk((self.alice, call), (each, there), packets=20)
            made.append((call, there))
        return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    needs("pjsua2")
    rig = Rig(tmp_path_factory.mktemp("timers"))
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0, session_timer="required")
    bob = rig.pjsip("bob", BOB, LOW, answer=0)
    far = Far("alice", alice.port, ALICE, more=TIMER), Far("bob", bob.port, BOB, more=TIMER)
    with rig.running(*far, alice, bob):
        yield Pair(rig, alice, bob)


def test_one_that_requires_timers_and_one_that_has_none(pair: Pair) -> None:
    call, there = pair.connect()
    assert "Session-Expires: 90;refresher=" in pair.at_alice()
    assert "Require: timer" in pair.at_alice()
    assert "Session-Expires: 90" in pair.at_bob()
    talk((pair.alice, call), (pair.bob, there))
    until(lambda: "UPDATE sip:" in pair.at_bob(), "Bob is refreshed", REFRESHED)
    until(lambda: "UPDATE sip:" in pair.at_alice(), "Alice is refreshed", REFRESHED)
    pair.alice.hangup(call)
    record = pair.over(call, there)
    assert (record["status"], record["ended_by"]) == (200, "caller")
    assert_secure(record["a"], "alice")
    assert_secure(record["b"], "bob")
    assert pair.heard_lately(call, there)
    pair.assert_hidden()


@pytest.fixture(scope="module")
def refreshing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refreshing]:
    needs("pjsua2")
    rig = Rig(tmp_path_factory.mktemp("refreshing"), rules=RULES)
    rig.warned = r"\[(check|session|one-way-audio)\]"
    alice = rig.pjsip("alice", ALICE, HIGH, session_timer="optional")
    bob, carol, dave = (
        rig.pjsip(name, at, hz, session_timer="required", session_interval=90)
        for name, at, hz in (("bob", BOB, LOW), ("carol", CAROL, LOW), ("dave", DAVE, LOW))
    )
    rig.others = Far("carol", carol.port, CAROL), Far("dave", dave.port, DAVE)
    far = Far("alice", alice.port, ALICE, more=TIMER), Far("bob", bob.port, BOB)
    with rig.running(*far, alice, bob, carol, dave):
        yield Refreshing(rig, alice, bob, carol, dave)


def test_three_that_have_to_refresh_and_one_does(refreshing: Refreshing) -> None:
    """Bob refreshes; Carol no longer does anything, and Dave is gone: who talks with them is let go."""
    it = refreshing
    (to_bob, bobs), (to_carol, carols), (to_dave, _) = it.calls(it.bob, it.carol, it.dave)
    for each in (it.bob, it.carol, it.dave):
        _says(each, "TX", "Session-Expires: *90; *refresher=uas")
    since = log_size(it.alice)
    os.kill(it.carol.pid, signal.SIGSTOP)
    os.kill(it.dave.pid, signal.SIGKILL)
    for call in (to_carol, to_dave):
        it.alice.expect_state(call, "DISCONNECTED", OVER)
    _says(it.alice, "RX", "^BYE sip:", 2, since)
    os.kill(it.carol.pid, signal.SIGCONT)
    it.carol.expect_state(carols, "DISCONNECTED", 30)
    _says(it.carol, "RX", "^BYE sip:")
    over = it.rig.records(2)
    assert {each["b"]["trunk"] for each in over} == {"carol", "dave"}
    assert {(each["ended_by"], each["reason"]) for each in over} == {("us", "the session was not refreshed")}
    _says(it.bob, "TX", "^UPDATE sip:", 2)
    _says(it.alice, "RX", "^UPDATE sip:", since=since)
    talk((it.alice, to_bob), (it.bob, bobs))
    it.bob.hangup(bobs)
    it.alice.expect_state(to_bob, "DISCONNECTED", 30)
    record = it.rig.record()
    assert (record["b"]["trunk"], record["status"], record["ended_by"]) == ("bob", 200, "callee")


def _says(agent: Pjsip, way: Literal["RX", "TX"], words: str, count: int = 1, since: int = 0) -> None:
    """Wait until its log has so many of these among what it received or sent."""

    def found() -> int:
        return len(re.findall(words, messages(agent, way, since), re.MULTILINE))

    until(found, f"{count} of {words} at {agent.name}", OVER, holds=count.__le__)
