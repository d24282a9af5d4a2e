"""Linphone as a phone of ours: it comes by TLS alone, proves itself, calls, is called, and both sides hear.

Bob's password is asked for by SHA-256, carol's by MD5.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sbc.sip.digest import user_hash
from tests.edge.sbc_command import sbc
from tests.interop.pair import HIGH, LOW
from tests.interop.rig import SBC, Far, Rig, assert_media, messages, talk
from tests.peers.canaries import PASSWORD
from tests.peers.linphone import Linphone, LinphoneSettings
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.tone import heard, write_tone

pytestmark = pytest.mark.interop

REALM = "phones.example"
ALICE, SPARE = "127.0.0.2", "127.0.0.3"
OTHER = 700.0
RULES = """\
  - name: to the phones of whoever is called
    when: trunk in ["alice", "phones"] and to.user == "bob"
    then: route registered
  - name: texts
    when: method == "MESSAGE" and to.user in ["bob", "carol"]
    then: route registered
  - name: phones call alice
    when: trunk == "phones" and auth.user == "bob"
    then: route "alice"
"""


class Phones(Far):
    """The trunk that phones come to."""

    __slots__ = ()

    def trunk(self) -> str:
        """The trunk's file."""
        return (
            f"trunk: {self.name}\nphones: true\nsources: [{SBC}]\nlistener: trunk-tls\n"
            "methods: [MESSAGE]\nsrtp: required\ntls: {mode: server, server_identity: sbc}\n"
        )


@dataclass(slots=True)
class House:
    """Alice is a PJSIP on a trunk, Bob and Carol are Linphones that register."""

    rig: Rig
    alice: Pjsip
    bob: Linphone
    carol: Linphone

    def registrations(self) -> list[dict[str, Any]]:
        """Who is registered, as the command line says."""
        found: list[dict[str, Any]] = json.loads(sbc(self.rig.root / "sbc", "registrations", "--json").out)[
            "phones"
        ]
        return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    needs("pjsua2", "linphonec")
    root = tmp_path_factory.mktemp("linphone")
    more = f"registrar: {{realm: {REALM}, users: phones}}\n"
    rig = Rig(root, rules=RULES, more=more, others=(Phones("phones", 0),))
    rig.lab.also = ("localhost",)
    users = root / "sbc" / "phones"
    users.parent.mkdir()
    digests = {"bob": "SHA-256", "carol": "MD5"}
    users.write_text("".join([
        f"{name}:{REALM}:{user_hash(digest, name, REALM, PASSWORD)} tls_only\n"
        for name, digest in digests.items()
    ]))  # fmt: skip
    users.chmod(0o600)
    alice, spare = rig.pjsip("alice", ALICE, HIGH, answer=0), rig.pjsip("spare", SPARE, LOW)
    bob, carol = (
        Linphone(name, root / name, LinphoneSettings(
            name, REALM, PASSWORD, rig.tls, rig.lab.ca(), write_tone(root / f"{name}.wav", tone, 20), digest
        )) for (name, digest), tone in zip(digests.items(), (LOW, OTHER), strict=True)
    )  # fmt: skip
    near = Far("alice", alice.port, ALICE, more="methods: [MESSAGE]")
    with rig.running(near, Far("spare", spare.port, SPARE), alice, bob, carol):
        bob.registered()
        carol.registered()
        yield House(rig, alice, bob, carol)


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    shared.alice.events.clear()
    yield shared
    shared.rig.check_log()


def assert_spoke(house: House, call: int) -> dict[str, Any]:
    """The record of a call that ended: each has heard the other, over TLS and SRTP on both sides."""
    record = house.rig.record()
    assert heard(house.alice.recording(call), LOW) and heard(house.bob.recording(), HIGH)
    legs = {each["trunk"]: each for each in (record["a"], record["b"])}
    for leg in legs.values():
        assert leg["transport"] == "tls" and leg["media"]["srtp"].startswith("AES_")
        assert_media(leg["media"])
    assert record["status"] == 200 and not record["downgraded"] and set(legs) == {"alice", "phones"}
    return record


def test_they_are_registered_over_tls(house: House) -> None:
    known = house.registrations()
    assert sorted(each["user"] for each in known) == ["bob", "carol"]
    for each in known:
        assert (each["trunk"], each["transport"], each["reachable"]) == ("phones", "tls", True)
        assert "transport=tls" in each["contact"] and "Linphone" in each["user_agent"]


def test_one_calls_the_other(house: House) -> None:
    house.carol.call(f"sip:bob@{REALM}")
    number = house.bob.rings()
    house.carol.expect(r"Call \d+ to \S+ ringing")
    house.bob.do(f"answer {number}")
    for each in (house.carol, house.bob):
        each.expect("Media streams established")
    for each in (house.carol, house.bob):
        each.listens(2)
    house.carol.do("terminate all")
    house.bob.expect(rf"Call {number} with \S+ ended")
    record = house.rig.record()
    assert heard(house.carol.recording(), LOW) and heard(house.bob.recording(), OTHER)
    for leg in (record["a"], record["b"]):
        assert leg["trunk"] == "phones" and leg["media"]["srtp"].startswith("AES_")
        assert_media(leg["media"])


def test_it_calls(house: House) -> None:
    house.bob.call(f"sip:+4930100@{REALM}")
    call = house.alice.expect("incoming", 30)["call"]
    house.alice.answer(call, 180)
    house.bob.expect(r"Call \d+ to \S+ ringing")
    house.alice.answer(call)
    house.bob.expect("Media streams established")
    talk((house.alice, call))
    house.bob.do("terminate all")
    house.alice.expect_state(call, "DISCONNECTED", 30)
    house.bob.expect(r"Call \d+ with \S+ ended")
    record = assert_spoke(house, call)
    assert (record["caller"], record["called"], record["ended_by"]) == ("bob", "+4930100", "caller")
    assert "Linphone" not in messages(house.alice, "RX")


def test_it_is_called_holds_and_resumes(house: House) -> None:
    call = house.alice.call(house.rig.number("bob"))
    number = house.bob.rings()
    house.alice.expect_state(call, "EARLY", 30)
    house.bob.do(f"answer {number}")
    house.alice.expect_state(call, "CONFIRMED", 30)
    house.bob.expect("Media streams established")
    talk((house.alice, call))
    house.bob.do("pause")
    house.bob.expect(rf"Call {number} with \S+ is now paused")
    house.bob.do("resume")
    house.bob.expect(rf"Call {number} with \S+ resumed|Media streams established")
    talk((house.alice, call))
    house.alice.hangup(call)
    house.alice.expect_state(call, "DISCONNECTED", 30)
    house.bob.expect(rf"Call {number} with \S+ ended")
    assert assert_spoke(house, call)["ended_by"] == "caller"


def test_a_caller_gives_up_and_it_stops_ringing(house: House) -> None:
    call = house.alice.call(house.rig.number("bob"))
    number = house.bob.rings()
    house.alice.hangup(call)
    house.alice.expect_state(call, "DISCONNECTED", 30)
    house.bob.expect(rf"Call {number} with \S+ ended")
    assert house.rig.record()["status"] == 487


def test_it_declines(house: House) -> None:
    call = house.alice.call(house.rig.number("bob"))
    number = house.bob.rings()
    house.bob.do(f"terminate {number}")
    assert house.alice.expect_state(call, "DISCONNECTED", 30)["status"] == 603
    house.rig.record()


def test_texts_reach_it_and_go_from_one_to_the_other(house: House) -> None:
    house.alice.message(house.rig.number("bob"), "Is it raining?")
    house.bob.expect(r"Message received from \S*alice\S*: .*Is it raining\?")
    assert house.alice.expect("message status", 30)["status"] == 200
    house.bob.do(f'chat sip:carol@{REALM} "Not over here"')
    house.carol.expect(r"Message received from \S*bob\S*: .*Not over here")
