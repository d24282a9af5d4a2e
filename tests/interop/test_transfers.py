"""Three PJSIPs and a transfer: one of them connects the other two through a running Portcullis.

Mutual TLS and mandatory SRTP on all legs. All calls of this file go through the same SBC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, assert_secure, hears_lately, log_size, messages, once_idle, talk
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.tone import heard
from tests.peers.waiting import PATIENCE

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB, CAROL = "127.0.0.2", "127.0.0.3", "127.0.0.4"
#: What Carol says, in hertz, and her number.
MIDDLE, HER = 700.0, "+12125550199"
#: A number that nobody may call, and the rule that says so, as records name it.
PREMIUM, BARRED = "+19005550100", "no premium numbers (routes.d/10-rig.yaml:2)"
RULES = f"""\
  - name: no premium numbers
    when: to.user starts with "+1900"
    then: reject 403
  - name: Carol
    when: to.user == "{HER}"
    then: route "carol"
"""


@dataclass(slots=True)
class Three(Pair):
    """Alice and Bob, and Carol, whom a rule leads to."""

    carol: Pjsip | None = None

    @property
    def third(self) -> Pjsip:
        """Carol."""
        assert self.carol is not None
        return self.carol

    def connected(self) -> tuple[int, int]:
        """Alice and Bob talk."""
        self.third.events.clear()
        call, there = self.connect()
        talk((self.alice, call), (self.bob, there), packets=20)
        return call, there

    def reached(self) -> int:
        """Carol's call, which she has taken."""
        call = int(self.third.expect("incoming")["call"])
        self.third.expect_state(call, "CONFIRMED")
        return call


def running(root: object, word: str) -> Iterator[Three]:
    """The three, and an SBC on which transfers of all of them are treated by ``word``."""
    needs("pjsua2")
    more = f"transfers: {word}"
    rig = Rig(root, rules=RULES)  # type: ignore[arg-type]
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0)
    bob = rig.pjsip("bob", BOB, LOW, answer=0)
    carol = rig.pjsip("carol", CAROL, MIDDLE)
    rig.others = (Far("carol", carol.port, CAROL, more=more),)
    first, second = [Far(each.name, each.port, each.settings.address, more=more) for each in (alice, bob)]
    with rig.running(first, second, alice, bob, carol):
        yield Three(rig, alice, bob, carol=carol)


@pytest.fixture(scope="module")
def performing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    yield from running(tmp_path_factory.mktemp("three"), "perform")


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    yield from running(tmp_path_factory.mktemp("passed"), "pass")


@pytest.fixture
def passed(passing: Three) -> Iterator[Three]:
    yield passing
    passing.rig.check_log()


@pytest.fixture
def three(performing: Three) -> Iterator[Three]:
    yield performing
    performing.rig.check_log()


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_party_is_connected_with_whom_it_is_transferred_to(three: Three, who: str) -> None:
    call, there = three.connected()
    ends = [(three.alice, call, HIGH), (three.bob, there, LOW)]
    (one, own, _), (other, its, tone) = ends if who == "caller" else ends[::-1]
    once_idle(one, lambda: one.refer(own, three.rig.number(HER)))
    hers = three.reached()
    assert one.expect("transfer", call=own, final=True)["status"] == 200
    one.expect_state(own, "DISCONNECTED")
    first = three.rig.record()
    assert (first["reason"], first["ended_by"]) == ("transferred", who)
    talk((other, its), (three.third, hers))
    other.hangup(its)
    three.third.expect_state(hers, "DISCONNECTED")
    second = three.rig.record()
    assert (second["status"], second["referred_trunk"], second["ended_by"]) == (200, one.name, "caller")
    assert_secure(second["a"], other.name)
    assert_secure(second["b"], "carol")
    assert hears_lately(other.recording(its), MIDDLE) and heard(three.third.recording(hers), tone)


def test_who_holds_the_other_transfers_it_too(three: Three) -> None:
    call, there = three.connected()
    once_idle(three.alice, lambda: three.alice.hold(call))
    three.bob.expect("media", call=there, direction=2)
    once_idle(three.alice, lambda: three.alice.refer(call, three.rig.number(HER)))
    hers = three.reached()
    three.alice.expect_state(call, "DISCONNECTED")
    three.rig.record()
    talk((three.bob, there), (three.third, hers))
    three.bob.hangup(there)
    three.third.expect_state(hers, "DISCONNECTED")
    three.rig.record()
    assert hears_lately(three.bob.recording(there), MIDDLE)
    assert heard(three.third.recording(hers), LOW)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_transfer_is_refused_by_the_rule_that_refuses_the_call(three: Three, who: str) -> None:
    """The two stay as they were, and who dials the number himself is told the same."""
    call, there = three.connected()
    one, own = (three.alice, call) if who == "caller" else (three.bob, there)
    before = log_size(three.third)
    once_idle(one, lambda: one.refer(own, three.rig.number(PREMIUM)))
    assert one.expect("transfer", PATIENCE, call=own, final=True)["status"] == 403
    talk((three.alice, call), (three.bob, there))
    transferred = three.rig.record()
    one.hangup(own)
    three.over(call, there)
    dialled = one.call(three.rig.number(PREMIUM))
    assert one.expect_state(dialled, "DISCONNECTED", PATIENCE)["status"] == 403
    for record in (transferred, three.rig.record()):
        assert (record["rule"], record["status"], record["b"]) == (BARRED, 403, None)
    assert transferred["referred_trunk"] == one.name
    assert "INVITE sip:" not in messages(three.third, "RX", before)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_who_was_consulted_takes_the_place_of_who_asked(three: Three, who: str) -> None:
    call, there = three.connected()
    ends = [(three.alice, call), (three.bob, there)]
    (one, own), (other, its) = ends if who == "caller" else ends[::-1]
    once_idle(one, lambda: one.hold(own))
    consulting = one.call(three.rig.number(HER))
    hers = three.reached()
    one.expect_state(consulting, "CONFIRMED")
    talk((one, consulting), (three.third, hers), packets=20)
    once_idle(one, lambda: one.refer_replaces(own, consulting))
    one.expect_state(consulting, "DISCONNECTED")
    one.expect_state(own, "DISCONNECTED")
    talk((other, its), (three.third, hers))
    assert [each["reason"] for each in three.rig.records(2)] == ["replaced", "transferred"]
    other.hangup(its)
    three.third.expect_state(hers, "DISCONNECTED")
    last = three.rig.record()
    assert (last["status"], last["referred_trunk"]) == (200, one.name)
    assert_secure(last["a"], other.name)
    assert_secure(last["b"], "carol")
    assert hears_lately(other.recording(its), MIDDLE)


def test_a_refer_crosses_and_the_other_calls(passed: Three) -> None:
    call, there = passed.connected()
    before = log_size(passed.bob)
    once_idle(passed.alice, lambda: passed.alice.refer(call, passed.rig.number(HER)))
    made = int(passed.bob.expect("refer")["made"])
    hers = passed.reached()
    assert passed.alice.expect("transfer", call=call, final=True)["status"] == 200
    assert f"Refer-To: <sip:{HER}@" in messages(passed.bob, "RX", before)
    passed.alice.hangup(call)
    passed.over(call, there)
    talk((passed.bob, made), (passed.third, hers))
    passed.bob.hangup(made)
    passed.third.expect_state(hers, "DISCONNECTED")
    assert passed.rig.record()["referred_by"] == ""
    assert hears_lately(passed.bob.recording(made), MIDDLE)


def test_whoever_is_told_by_a_refer_to_dial_what_is_barred_is_refused(passed: Three) -> None:
    call, there = passed.connected()
    once_idle(passed.alice, lambda: passed.alice.refer(call, passed.rig.number(PREMIUM)))
    made = int(passed.bob.expect("refer", PATIENCE)["made"])
    assert passed.bob.expect_state(made, "DISCONNECTED", PATIENCE)["status"] == 403
    assert passed.alice.expect("transfer", PATIENCE, call=call, final=True)["status"] == 403
    refused = passed.rig.record()
    assert (refused["rule"], refused["status"], refused["b"]) == (BARRED, 403, None)
    talk((passed.alice, call), (passed.bob, there))
    passed.alice.hangup(call)
    passed.over(call, there)


def test_a_refer_with_replaces_crosses_and_names_what_the_third_knows(passed: Three) -> None:
    call, _ = passed.connected()
    consulting = passed.alice.call(passed.rig.number(HER))
    hers = passed.reached()
    passed.alice.expect_state(consulting, "CONFIRMED")
    once_idle(passed.alice, lambda: passed.alice.refer_replaces(call, consulting))
    made = int(passed.bob.expect("refer")["made"])
    taken = int(passed.third.expect("replaced")["made"])
    passed.third.expect_state(hers, "DISCONNECTED")
    passed.alice.expect_state(consulting, "DISCONNECTED")
    talk((passed.bob, made), (passed.third, taken))
    passed.rig.record()
    passed.alice.hangup(call)
    passed.rig.record()
    passed.bob.hangup(made)
    passed.third.expect_state(taken, "DISCONNECTED")
    passed.rig.record()
