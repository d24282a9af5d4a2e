"""A registrar that fails, refuses, is silent or wants to be left alone (RFC 3261 20.33, RFC 5626 4.5)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sbc.b2bua.registration import AHEAD
from sbc.base import Address
from sbc.sip.digest import parse_credentials
from tests.playbook.stage import Stage
from tests.playbook.test_registration import accept, ask, look, of, refuse, registered, registers, stage


def test_the_next_peer_is_tried_and_then_a_wait_that_doubles() -> None:
    made = stage(trunk={"peers": ["carrier.example:5061", "second.example:5061"]})
    look(made)
    refuse(made, registers(made.carrier), 503)
    refuse_second = registers(made.peers["second"])
    made.peers["second"].respond(refuse_second, 503)
    made.carrier.hears_nothing()
    waits = []
    for _ in range(4):
        waits.append(of(made).due - made.now)
        look(made, waits[-1])
        refuse(made, registers(made.carrier), 503)
        made.peers["second"].respond(registers(made.peers["second"]), 503)
    assert [30 <= waits[0] <= 60, 60 <= waits[1] <= 120, 120 <= waits[2] <= 240] == [True] * 3
    for _ in range(10):
        look(made, of(made).due - made.now)
        refuse(made, registers(made.carrier), 503)
        made.peers["second"].respond(registers(made.peers["second"]), 503)
    assert of(made).due - made.now <= 1800


def test_who_asks_for_a_rest_gets_it() -> None:
    made = stage()
    look(made)
    refuse(made, registers(made.carrier), 503, Retry_After="300 (maintenance)")
    assert of(made).due - made.now == 300


@pytest.mark.parametrize("status", [404, 480, 500, 603])
def test_whoever_asks_for_a_rest_gets_it_with_whatever_status(status: int) -> None:
    """RFC 3261 20.33: a 503 is not the only answer that says when to come again."""
    made = stage()
    look(made)
    refuse(made, registers(made.carrier), status, Retry_After="900")
    look(made, 899)
    made.carrier.hears_nothing()
    look(made, 1)
    registers(made.carrier)


def test_who_asks_for_a_rest_gets_it_though_another_peer_is_tried_meanwhile() -> None:
    made = stage(trunk={"peers": ["carrier.example:5061", "second.example:5061"]})
    second = made.peers["second"]
    made.refusing.add(Address("second.example", 5061))
    look(made)
    refuse(made, registers(made.carrier), 503, Retry_After="900")
    asked = made.now
    while made.now < asked + 899:
        look(made, 1)
    made.carrier.hears_nothing()
    assert len(made.connects) > 3  # the other was
    made.refusing.clear()
    while not second.heard:
        look(made, 1)
        assert made.now < asked + 2700
    second.respond(registers(second), 200, Expires="3600")
    assert (of(made).state, of(made).peer) == ("registered", Address("second.example", 5061))


def asked_until_it_ends(made: Stage, **more: str) -> list[float]:
    """When a registrar that only answers 503 hears from us until the binding is over, in seconds."""
    begun, heard = made.now, []
    while of(made).state == "registered":
        while made.carrier.heard:
            heard.append(made.now - begun)
            refuse(made, registers(made.carrier), 503, **more)
        look(made, 1)
    return heard


def test_a_rest_is_kept_though_the_binding_ends_meanwhile() -> None:
    made = registered()
    look(made, 3600 - AHEAD)
    begun = made.now
    assert asked_until_it_ends(made, Retry_After="450") == [0, 450]
    look(made, begun + 899 - made.now)
    made.carrier.hears_nothing()
    look(made, 1)
    registers(made.carrier)


def test_a_registrar_in_trouble_is_not_pressed_as_the_binding_nears_its_end() -> None:
    made = registered()
    look(made, 3600 - AHEAD)
    heard = asked_until_it_ends(made)
    assert len(heard) <= 12
    assert min(later - former for former, later in pairwise(heard)) >= 5


def test_when_the_binding_has_ended_the_waits_begin_anew() -> None:
    """RFC 5626 4.5 doubles waits, and those before its end were short: half an hour would be lost at once."""
    made = registered()
    look(made, 3600 - AHEAD)
    asked_until_it_ends(made)
    waits = []
    for _ in range(3):
        while not made.carrier.heard:
            look(made, 1)
        refuse(made, registers(made.carrier), 503)
        waits.append(of(made).due - made.now)
    assert [waits[0] <= 240, waits[1] <= 480, waits[2] <= 960] == [True] * 3
    assert waits[2] >= 240


def test_silence_and_no_connection_are_failures() -> None:
    made = stage()
    look(made)
    registers(made.carrier)
    made.wait(33)
    assert of(made).reason == "no answer to REGISTER"
    made.dead.add("carrier")
    look(made, 61)
    assert of(made).reason == "connection refused"
    made.dead.clear()
    look(made, 121)
    accept(made, registers(made.carrier))
    assert of(made).state == "registered" and of(made).reason == ""


def test_a_connection_that_closes_is_replaced_at_once() -> None:
    made = registered()
    look(made, 60)
    made.closes(made.carrier)
    look(made)
    accept(made, registers(made.carrier))
    assert of(made).flow is made.carrier.flow
    assert of(made).state == "registered" and made.noted("registration-lost")


def test_a_connection_that_closes_while_it_is_renewed_is_replaced_at_once() -> None:
    made = registered()
    look(made, 3600 - AHEAD)
    registers(made.carrier)
    made.closes(made.carrier)
    look(made)
    accept(made, registers(made.carrier))
    assert of(made).state == "registered"


def test_who_closes_again_and_again_is_given_time() -> None:
    made = registered()
    for _ in range(2):
        made.closes(made.carrier)
        look(made, 1)
        if made.carrier.heard:
            accept(made, registers(made.carrier))
    look(made, 20)
    made.carrier.hears_nothing()
    look(made, 60)
    registers(made.carrier)


def test_a_first_hop_that_does_not_know_outbound_is_registered_by_without_it() -> None:
    """RFC 5626 4.2.1: a proxy before the registrar does not know what that knows."""
    made = stage()
    look(made)
    request = registers(made.carrier)
    assert "reg-id" in (request.headers.get("Contact") or "")
    refuse(made, request, 439)
    plain = registers(made.carrier)
    assert "reg-id" not in (plain.headers.get("Contact") or "")
    assert plain.headers.values("Supported") == ["path"] and plain.cseq.number == request.cseq.number + 1
    refuse(made, plain, 439)
    made.carrier.hears_nothing()
    assert of(made).state == "failed"
    look(made, of(made).due - made.now)
    accept(made, registers(made.carrier))
    assert of(made).state == "registered"


def test_a_longer_time_is_challenged_anew() -> None:
    """A registrar that takes each nonce once challenges the REGISTER after its 423 too (RFC 7616 3.3).

    It need not call the nonce stale, and the password is not wrong for it; a second time that is so.
    """
    made = stage(expires=60)
    look(made)
    ask(made, registers(made.carrier))
    refuse(made, registers(made.carrier), 423, Min_Expires="1800")
    ask(made, registers(made.carrier), nonce="n2")
    request = registers(made.carrier)
    given = parse_credentials(request.headers.get("Authorization") or "")
    assert (request.headers.get("Expires"), given.nonce, given.nc) == ("1800", "n2", 1)
    ask(made, request, nonce="n3")
    made.carrier.hears_nothing()
    assert of(made).state == "failed"
