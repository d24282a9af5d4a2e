"""A baresip that knows IPv6 alone and a PJSIP that knows IPv4 alone, each in a network of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.interop.rig import Far, Rig, assert_secure, hears_lately, messages, talk
from tests.interop.test_calls_baresip import HIGH, LOW, Pair
from tests.peers.baresip import Baresip, BaresipSettings
from tests.peers.needs import needs
from tests.peers.tone import heard, write_tone

pytestmark = [pytest.mark.interop, pytest.mark.slow]

BOB, CAROL = "127.0.0.3", "::1"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    needs("pjsua2", "baresip")
    try:
        socket.create_server((CAROL, 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback: two families are not tested here")
    rig = Rig(tmp_path_factory.mktemp("networks"))
    bob = rig.pjsip("bob", BOB, LOW)
    tone = write_tone(rig.root / "high.wav", HIGH, 20)
    own = rig.lab.issue("carol")
    carol = Baresip("carol", rig.root / "carol", BaresipSettings(tone, credentials=own, address=CAROL))
    with rig.running(Far("carol", carol.port + 1, CAROL), Far("bob", bob.port, BOB), bob, carol):
        yield Pair(rig, carol, bob)


def assert_families_apart(pair: Pair) -> None:
    """Neither was told an address that it cannot reach."""
    assert "IN IP6" not in messages(pair.bob, "RX") and "[::1]" not in messages(pair.bob, "RX")
    to_carol = pair.traced(False)
    assert "IN IP6 ::1" in to_carol
    assert "IN IP4" not in to_carol and BOB not in to_carol and "@127.0.0.1" not in to_carol


def test_from_ipv6_to_ipv4_with_a_hold(pair: Pair) -> None:
    carol, bob = pair.carol, pair.bob
    carol.dial(pair.rig.number(host="[::1]"))
    carol.expect("CALL_ESTABLISHED", 20)
    there = bob.expect("incoming", 20)["call"]
    talk((bob, there))
    carol.command("hold")
    bob.expect("media", 20, call=there, direction=2)
    carol.command("resume")
    bob.expect("media", 20, call=there, direction=3)
    talk((bob, there))
    pair.end(there)
    record = pair.rig.record()
    assert hears_lately(bob.recording(there), HIGH)
    assert heard(carol.recording(), LOW)
    assert_secure(record["a"], "carol")
    assert_secure(record["b"], "bob")
    assert_families_apart(pair)


def test_from_ipv4_to_ipv6(pair: Pair) -> None:
    pair.bob.events.clear()
    pair.carol.events.clear()
    call = pair.bob.call(pair.rig.number("carol"))
    pair.carol.expect("CALL_ESTABLISHED", 20)
    pair.bob.expect_state(call, "CONFIRMED", 20)
    talk((pair.bob, call))
    pair.end(call)
    record = pair.rig.record()
    assert heard(pair.bob.recording(call), HIGH)
    assert heard(pair.carol.recording(), LOW)
    assert (record["ended_by"], record["status"]) == ("callee", 200)
    assert_families_apart(pair)
