"""What speaks against whoever comes to a trunk of phones, and that a forged datagram says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.base import Address
from sbc.config.blocklist import BlocklistSettings
from sbc.config.snapshot import Snapshot
from sbc.sip.parse import ParseError, parse_message
from tests.playbook.phones import REALM, Phone, configured, stage
from tests.playbook.stage import SDP, Stage

SCANNER = "friendly-scanner"


def suspected(made: Stage) -> list[tuple[str, str, str]]:
    """Who was suspected of what, with the user whose password was tried."""
    return [(each.flow.remote.host, each.kind, each.user) for each in made.suspects]


def guess(phone: Phone, password: str = "guessed", **headers: str) -> None:
    """Ask, and prove a wrong password."""
    phone.asks(**headers)
    phone.hears(401)
    phone.password = password
    phone.proves("REGISTER", f"sip:{REALM}", b"", **headers)
    phone.hears(401)


@pytest.mark.parametrize("trunk", ["phones", "soft"])
@pytest.mark.parametrize("user", ["alice", "nobody"])
def test_a_wrong_password_counts_whether_there_is_such_a_user_or_not(user: str, trunk: str) -> None:
    made = stage()
    phone = Phone(made, user, trunk)
    guess(phone)
    assert suspected(made) == [(phone.flow.remote.host, "password", user)]


@pytest.mark.parametrize("trunk", ["phones", "soft"])
def test_who_proves_a_password_or_is_asked_for_one_is_not_suspected(trunk: str) -> None:
    made = stage()
    phone = Phone(made, trunk=trunk)
    phone.registers()
    made.wait(301)
    phone.proves()
    assert "stale=true" in str(phone.hears(401).headers.get("WWW-Authenticate"))
    assert made.suspects == []


@pytest.mark.parametrize("trunk", ["phones", "soft"])
def test_a_password_for_another_realm_is_none_of_ours(trunk: str) -> None:
    """A proxy before us may ask for one of its own, and forwards what it did not ask for (RFC 3261 22.3)."""
    made = stage()
    phone = Phone(made, trunk=trunk)
    others = 'Digest username="alice", realm="proxy.example", nonce="n", uri="sip:x", response="0123"'
    phone.asks(Proxy_Authorization=others)
    phone.hears(401)
    phone.proves(Proxy_Authorization=others)
    phone.hears(200)
    assert made.suspects == [] and not made.noted("phone-refused")
    another = Phone(made, "bob", trunk)
    guess(another, Proxy_Authorization=others)
    assert suspected(made) == [(another.flow.remote.host, "password", "bob")]


@pytest.mark.parametrize("trunk", ["phones", "soft"])
@pytest.mark.parametrize(
    "said",
    [
        'Digest username="{}",realm="{}",nonce="",uri="sip:{}",response=""',
        'Digest username="{}",realm="{}",uri="sip:{}"',
    ],
)
def test_who_only_says_its_name_before_it_is_asked_has_tried_no_password(said: str, trunk: str) -> None:
    """Phones of an IMS name themselves so, without nonce and response (3GPP TS 24.229 5.1.1.2)."""
    made = stage()
    phone = Phone(made, trunk=trunk)
    phone.asks(Authorization=said.format("alice", REALM, REALM))
    assert "stale" not in str(phone.hears(401).headers.get("WWW-Authenticate"))
    phone.proves()
    phone.hears(200)
    assert made.suspects == [] and not made.noted("phone-refused")


@pytest.mark.parametrize("said", ["Digest nonsense", "Basic YWxpY2U6", 'Digest username="alice"x'])
def test_what_cannot_be_read_counts_as_a_password(said: str) -> None:
    made = stage()
    phone = Phone(made)
    phone.asks(Authorization=said)
    phone.hears(401)
    assert suspected(made) == [(phone.flow.remote.host, "password", "")]


def test_a_datagram_with_a_wrong_password_and_no_nonce_of_ours_counts_for_nobody() -> None:
    """Whoever forges the address of a carrier cannot know a nonce that went there."""
    made = stage()
    victim, attacker = Phone(made, "alice", "soft", "victim"), Phone(made, "bob", "soft", "attacker")
    attacker.asks()
    attacker.hears(401)
    victim.challenge = attacker.challenge  # one of ours, but it went to the attacker
    for _ in range(20):
        victim.proves(User_Agent=SCANNER)  # what the attacker sends in the name of the victim
    assert made.suspects == [] and made.noted("scanner-dropped")
    victim.peer.heard.clear()
    victim.password = "guessed"
    victim.proves()
    victim.hears(401)
    assert victim.challenge is not None
    made_up = victim.challenge.nonce[:-1] + ("0" if victim.challenge.nonce[-1] != "0" else "1")
    victim.challenge = replace(victim.challenge, nonce=made_up)
    victim.proves()
    victim.hears(401)
    assert made.suspects == []


def test_nor_does_one_that_was_overheard_long_ago() -> None:
    made = stage()
    phone = Phone(made, "alice", "soft")
    phone.asks()
    phone.hears(401)
    made.wait(301)
    phone.password = "guessed"
    phone.proves()
    phone.hears(401)
    assert made.suspects == []


@pytest.mark.parametrize(
    "agent", ["friendly-scanner", "sipcli/v1.8", "SIPVicious 0.3.4", "vaxsipuseragent/3.1"]
)
@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE", "MESSAGE"])
def test_who_calls_itself_a_scanner_gets_no_answer(method: str, agent: str) -> None:
    made = stage()
    phone = Phone(made)
    phone.asks(method, User_Agent=agent)
    phone.peer.hears_nothing()
    (found,) = made.suspects
    assert (found.kind, found.why) == ("scanner", f"it calls itself {agent}")
    assert len(made.engine.transactions) == 0


@pytest.mark.parametrize(
    "agent", ["sipclient/1.0", "MySipcli/2", "Grandstream GXP2160 1.0", "scanner of doors", ""]
)
def test_who_only_sounds_like_one_is_answered(agent: str) -> None:
    made = stage()
    phone = Phone(made)
    phone.asks(User_Agent=agent)
    phone.hears(401)
    assert made.suspects == []


def test_a_scanner_over_udp_is_dropped_and_suspected_once_its_address_is_proved() -> None:
    made = stage()
    phone = Phone(made, "alice", "soft")
    phone.asks(User_Agent=SCANNER)
    phone.peer.hears_nothing()
    assert made.suspects == []
    (note,) = made.noted("scanner-dropped")
    assert note.fields["agent"] == SCANNER and note.fields["trunk"] == "soft"
    phone.asks()
    phone.hears(401)
    phone.password = "guessed"
    phone.proves(User_Agent=SCANNER)
    phone.peer.hears_nothing()
    assert suspected(made) == [(phone.flow.remote.host, "scanner", "")]


def without(settings: BlocklistSettings | None) -> Snapshot:
    base = configured()
    return replace(base, settings=base.settings.model_copy(update={"blocklist": settings}))


def test_the_list_of_scanners_is_the_operators() -> None:
    made = Stage(without(BlocklistSettings.model_validate({"scanners": ["Rude Phone"]})))
    phone = Phone(made)
    phone.asks(User_Agent=SCANNER)
    phone.hears(401)
    phone.asks(User_Agent="rude phone", Call_ID="another")
    phone.peer.hears_nothing()


def test_without_a_blocklist_everybody_is_answered() -> None:
    made = Stage(without(None))
    phone = Phone(made)
    phone.asks(User_Agent=SCANNER)
    phone.hears(401)


def test_a_peer_of_a_trunk_may_call_itself_what_it_likes() -> None:
    made = stage()
    made.office.invite(SDP, User_Agent=SCANNER)
    made.office.hears(100)
    assert made.suspects == [] and made.engine.calls


def test_a_registration_elsewhere_speaks_against_a_connection_and_against_no_datagram() -> None:
    made = stage()
    for trunk in ("phones", "soft"):
        phone = Phone(made, "alice", trunk, name=trunk)
        phone.asks("REGISTER", "sip:elsewhere.example")
        phone.hears(404)
    assert [each.kind for each in made.suspects] == ["domain"]
    assert made.suspects[0].flow.transport == "tls"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:x SIP/2.0\r\nVia: x\r\n\r\n"])
def test_what_is_no_sip_speaks_against_a_stranger_and_against_no_trunk(data: bytes) -> None:
    made = stage()
    phone, udp = Phone(made), Phone(made, "bob", "soft")
    for flow in (phone.flow, udp.flow, made.office.flow):
        try:
            made.carry_out(made.engine.receive(flow, parse_message(data), made.now))
        except ParseError as error:
            made.carry_out(made.engine.malformed(flow, error, made.now))
    assert [(each.kind, each.flow) for each in made.suspects] == [("malformed", phone.flow)]
    assert len(made.noted("malformed")) == 3


def test_a_nonce_says_nothing_of_the_address_that_it_was_made_for() -> None:
    """Nobody can compute one for another address: eight digits of it depend on our secret and the address."""
    made, found = stage(), list[str]()
    phone = Phone(made, "alice", "soft")
    for host in ("198.51.100.7", "198.51.100.8", "198.51.100.7"):
        phone.flow.remote = Address(host, 5060)
        phone.asks(Call_ID=f"{host}-{len(found)}")
        phone.hears(401)
        assert phone.challenge is not None
        found.append(phone.challenge.nonce[-40:-32])
    assert found[0] == found[2] != found[1]
