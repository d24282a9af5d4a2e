"""A trunk whose peer is a domain: each server that DNS names is tried, rests, is probed (RFC 3263 4.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.b2bua.peers import REST
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.dns.search import Target
from sbc.sip.digest_client import Account
from sbc.sip.message import response_to
from tests.peers.trunks import with_peers
from tests.playbook.servers import ONLY_CARRIER
from tests.playbook.stage import Peer, Stage, snapshot

DOMAIN = Address("carrier.example", 0)


def staged(*peers: Address | dict[str, Any], rules: str = ONLY_CARRIER, **options: Any) -> tuple[Stage, Peer]:
    """The carrier is a domain with two servers, itself and the second, in this order."""
    configuration = snapshot(rules, **options)
    carrier = with_peers(configuration.trunks["carrier"], *(peers or (DOMAIN,)))
    stage = Stage(replace(configuration, trunks={**configuration.trunks, "carrier": carrier}))
    second = stage.peers["second"] = Peer(stage, "second", stage.flow(carrier))
    located(stage, stage.carrier, second)
    return stage, second


def place(peer: Peer, port: int = 5061) -> Address:
    return Address(peer.flow.remote.host, port)


def located(stage: Stage, *peers: Peer) -> None:
    """DNS names these as the servers of the carrier, each of a priority of its own."""
    targets = [Target(f"{each.name}.edge.example", place(each), rank, 1) for rank, each in enumerate(peers)]
    stage.engine.peers.located.learn("carrier", DOMAIN, tuple(targets))


def again(stage: Stage, number: int) -> None:
    stage.office.heard.clear()
    stage.office.invite(Call_ID=f"call-{number}")


def test_a_server_is_spoken_to_by_the_domain() -> None:
    stage, _ = staged()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    assert invite.uri == "sip:+12125550100@carrier.example;transport=tls", (
        "the domain has no port: its servers do"
    )
    assert invite.to.uri.host == "carrier.example"
    assert stage.connects[-1] == ((place(stage.carrier),), ())


def test_a_503_leads_to_the_next_server_and_the_first_rests() -> None:
    stage, second = staged()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 503, Retry_After="60")
    stage.carrier.hears("ACK")
    second.respond(second.hears("INVITE"), 486)
    second.hears("ACK")
    again(stage, 2)
    second.hears("INVITE")
    stage.carrier.hears_nothing()
    stage.wait(61)
    again(stage, 3)
    stage.carrier.hears("INVITE")


def test_a_server_that_cannot_be_reached_is_set_aside_and_healed() -> None:
    stage, second = staged()
    stage.refusing.add(place(stage.carrier))
    stage.office.invite()
    second.respond(second.hears("INVITE"), 486)
    second.hears("ACK")
    stage.refusing.clear()
    again(stage, 2)
    second.respond(second.hears("INVITE"), 486)
    second.hears("ACK")
    stage.wait(REST)
    again(stage, 3)
    stage.carrier.hears("INVITE")


def test_each_server_is_probed_and_the_trunk_is_down_with_the_last() -> None:
    stage, second = staged(options={"every": 10, "down_after": 1})
    backup, office = stage.peers["backup"], stage.office
    for statuses, down in (((503, 200), False), ((503, 503), True), ((503, 200), False)):
        stage.carry_out(stage.engine.probe(stage.now))
        for peer, status in zip((stage.carrier, second), statuses, strict=True):
            asked = peer.hears_request("OPTIONS")
            assert asked.uri == "sip:carrier.example;transport=tls"
            peer.respond(asked, status)
        for each in (backup, office):
            each.heard.clear()
        assert stage.engine.peers.is_down(stage.engine.store.current.trunks["carrier"]) is down
        stage.now += 10
    assert [note.fields["peer"] for note in stage.noted("peer-down")] == [
        str(place(stage.carrier)), str(place(second)),
    ]  # fmt: skip
    again(stage, 2)
    second.hears("INVITE")


def test_the_records_change_and_calls_move_and_the_running_one_stays() -> None:
    stage, second = staged()
    _, answer = stage.established()
    located(stage, second)
    stage.carry_out(stage.engine.probe(stage.now))
    stage.office.invite(Call_ID="another")
    second.hears("INVITE")
    stage.within("office", answer, "BYE")
    stage.carrier.hears("BYE")
    located(stage, stage.carrier, second)
    again(stage, 3)
    stage.carrier.hears("INVITE")


def test_what_a_peer_has_for_its_first_response_its_servers_have() -> None:
    stage, second = staged({"host": "carrier.example", "try_for": "4s"})
    stage.office.invite()
    stage.carrier.hears("INVITE")
    stage.wait(3.9)
    second.hears_nothing()
    stage.wait(0.2)
    second.hears("INVITE")


def test_a_domain_that_is_not_known_yet_is_left_to_the_dialler() -> None:
    stage, _ = staged()
    stage.engine.peers.located.learn("carrier", DOMAIN, None)
    stage.office.invite()
    assert stage.connects[-1] == ((DOMAIN,), ())
    assert stage.carrier.hears_request("INVITE").uri == "sip:+12125550100@carrier.example;transport=tls"


def test_a_domain_without_servers_is_a_hop_that_failed() -> None:
    stage, _ = staged(
        rules='rules: [{name: out, when: true, then: route "carrier" then "backup" on unreachable}]'
    )
    stage.engine.peers.located.learn("carrier", DOMAIN, ())
    stage.office.invite()
    stage.peers["backup"].hears("INVITE")
    (failed,) = stage.noted("hop-failed")
    assert failed.fields["reason"] == "trunk carrier has no peers: carrier.example: DNS names no server of it"


def test_requests_within_the_dialog_go_to_the_server_that_has_the_call() -> None:
    stage, second = staged()
    stage.refusing.add(place(stage.carrier))
    stage.office.invite()
    invite = second.hears_request("INVITE")
    second.respond(invite, 200, body=b"v=0 answer", Contact="<sip:bob@carrier.example>")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    second.hears("ACK")
    stage.closes(second)
    stage.refusing.clear()
    stage.within("office", answer, "BYE")
    assert stage.connects[-1][0] == (place(second),), "and not to whoever is the first of the domain now"
    second.hears("BYE")


def registering() -> tuple[Stage, Peer]:
    """A trunk that registers with a domain of which nothing is known; its first server, and a second."""
    terms = {"user": "4930123", "realm": "carrier.example", "password_file": "secrets/carrier"}
    configuration = snapshot(ONLY_CARRIER)
    given = {"trunk": "carrier", "listener": "main", "srv": "carrier.example", "register": terms}
    trunks = {**configuration.trunks, "carrier": Trunk.model_validate(given)}
    account = Account("4930123", "carrier.example", "secret")
    stage = Stage(replace(configuration, trunks=trunks, accounts={"carrier": account}))
    second = stage.peers["second"] = Peer(stage, "second", stage.flow(trunks["carrier"]))
    return stage, second


def look(stage: Stage, after: float = 0.0) -> None:
    """What is done each second, so much later."""
    stage.wait(after)
    stage.carry_out(stage.engine.probe(stage.now))


def takes(registrar: Peer) -> None:
    """A server takes our REGISTER."""
    register = registrar.hears_request("REGISTER")
    assert register.uri == "sip:carrier.example;transport=tls"
    answer = response_to(register, 200, "", "registrar")
    answer.headers.add("Contact", f"{register.headers.get('Contact')};expires=600")
    registrar.say(answer)


@pytest.mark.parametrize("known", [True, False], ids=["known before", "not known yet"])
def test_calls_go_to_the_server_of_the_domain_that_the_trunk_is_registered_with(known: bool) -> None:
    stage, second = registering()
    if known:
        located(stage, stage.carrier, second)
        stage.refusing.add(place(stage.carrier))
    registrar = second if known else stage.carrier
    look(stage)
    takes(registrar)
    stage.refusing.clear()
    stage.wait(REST)
    if not known:  # what DNS says at last puts the other one first
        places = place(second), stage.carrier.flow.remote
        targets = [Target("a.example", each, rank, 1) for rank, each in enumerate(places)]
        stage.engine.peers.located.learn("carrier", DOMAIN, tuple(targets))
    stage.office.invite()
    registrar.hears("INVITE")


def test_a_registration_waits_for_no_time_of_its_own_where_dns_has_come_up() -> None:
    stage, second = registering()
    stage.refusing.add(DOMAIN)
    look(stage)
    look(stage, 1)
    (failed,) = stage.noted("register-failed")
    assert failed.fields["again_in"] > 5
    located(stage, second)
    look(stage, 1)
    takes(second)


def test_a_registrar_that_dns_names_no_more_is_left_for_one_that_it_names() -> None:
    stage, second = registering()
    located(stage, stage.carrier)
    look(stage)
    takes(stage.carrier)
    located(stage, second)
    look(stage, 5)
    second.hears_nothing()  # whoever says something else each time does not hurry us
    located(stage, stage.carrier)
    look(stage, 40)
    located(stage, second)
    look(stage, 1)
    takes(second)
    stage.office.invite()
    second.hears("INVITE")
