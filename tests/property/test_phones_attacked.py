"""Phones that register in any order and by any means: nobody touches another's, and nothing is left over."""

from __future__ import annotations

from random import Random

import pytest

from sbc.sip.message import Request, Response
from tests.playbook.phones import REALM, Phone, stage
from tests.playbook.stage import SDP, Stage

USERS = ("alice", "bob", "carol")
CONTACTS = (
    "<sip:{user}@10.0.0.{host}:{port}>",
    "<sip:{user}@10.0.0.{host};transport=tcp>;expires=0",
    "<sip:{user}@10.0.0.{host}>;q=0.{host};expires=60",
    '<sip:{user}@10.0.0.{host}>;+sip.instance="<urn:uuid:{host}>";reg-id={port}',
    '<sip:{user}@10.0.0.{host}>;+sip.instance="<urn:uuid:{port}>"',
    "<sip:a@b>, <sip:a@b>;expires=0, <sip:%61@b>",
    '"x" <sip:a@b>, <sips:c@d>',
    "sip:bare@host;expires=4294967295",
    "*",
    "",
)
EXPIRES = ("", "0", "60", "3600", "1", "x")
PATHS = ("", "", "<sip:e;lr>", "<sip:e;lr;ob>", "bad <")


def said(random: Random, phone: Phone) -> dict[str, str]:
    """Headers of a REGISTER as chance has it."""
    contact = random.choice(CONTACTS).format(
        user=phone.user, host=random.randint(1, 9), port=random.randint(1, 4)
    )
    headers = {"Contact": contact, "Expires": random.choice(EXPIRES), "Path": random.choice(PATHS)}
    headers["Supported"] = random.choice(("", "outbound, path"))
    if random.random() < 0.1:
        headers["Call_ID"] = "one-of-all"
    return headers


def contacts(made: Stage, user: str) -> list[str]:
    """What ``user`` has, expired ones too."""
    return [str(each.contact) for each in made.engine.registrar.known(user)]


def is_challenged(phone: Phone) -> bool:
    """Whether a challenge is what it has heard last."""
    last = phone.peer.heard[-1] if phone.peer.heard else None
    if not isinstance(last, Response) or last.status not in (401, 407):
        return False
    phone.peer.heard.clear()
    phone.peer.heard.append(last)
    phone.hears(last.status)
    return True


def step(made: Stage, random: Random, phone: Phone, other: str) -> None:
    """Something happens; ``other`` is whom somebody would like to be."""
    chance, headers = random.random(), said(random, phone)
    if chance < 0.5:
        phone.asks(**headers)
        if is_challenged(phone):
            phone.proves("REGISTER", f"sip:{REALM}", b"", **headers)
    elif chance < 0.65 and phone.challenge is not None:
        before = contacts(made, other)
        phone.proves("REGISTER", f"sip:{REALM}", b"", **headers, To=f"<sip:{other}@{REALM}>")
        assert other == phone.user or contacts(made, other) == before
    elif chance < 0.75:
        made.closes(phone.peer)
    elif chance < 0.85:
        call = {"Call_ID": f"call-{random.random()}", "From": f"<sip:{other}@{REALM}>;tag=x"}
        phone.peer.request("INVITE", f"sip:+12125550100@{REALM}", SDP, **phone.headers(**call))
        for each in [each for each in made.carrier.heard if isinstance(each, Request)]:
            if each.method == "INVITE":
                assert other == phone.user
                made.carrier.respond(each, 486)
    else:
        made.wait(random.choice((1, 40, 200, 2000)))


@pytest.mark.parametrize("seed", range(15))
def test_nobody_touches_another_s_and_nothing_is_left(seed: int) -> None:
    random, made = Random(seed), stage()
    phones = [
        Phone(made, user, trunk, f"{user}-{trunk}-{number}")
        for user in USERS[:2]
        for trunk in ("phones", "soft")
        for number in range(2)
    ]
    for _ in range(120):
        step(made, random, random.choice(phones), random.choice(USERS))
        made.carry_out(made.engine.probe(made.now))
        for peer in made.peers.values():
            peer.heard.clear()
        for user in USERS:
            assert len(made.engine.registrar.contacts(user, made.engine.date(made.now))) <= 3
        assert contacts(made, "carol") == []
    assert made.noted("phone-registered")
    for _ in range(10):
        made.wait(1000)
        made.carry_out(made.engine.probe(made.now))
    assert len(made.engine.registrar) == 0 and not made.engine.registrar.proven
    assert not any(made.kept.values())
