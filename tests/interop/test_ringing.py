"""Two PJSIP phones of one user, over TLS with SRTP: both ring, one answers, nobody else hears anything."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import NAMESPACE_DNS, uuid5

import pytest

from sbc.sip.digest import user_hash
from tests.interop.pair import HIGH, LOW
from tests.interop.rig import SBC, Far, Rig, assert_media, hears_lately, messages, rtp_received, talk
from tests.peers.canaries import PASSWORD
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.tone import heard, listen
from tests.peers.waiting import until

pytestmark = pytest.mark.interop

REALM = "phones.example"
ALICE, DESK, SOFT = "127.0.0.2", "127.0.0.3", "127.0.0.4"
OTHER = 700.0
RULE = """\
  - name: to the phones of whoever is called
    when: trunk == "alice" and to.user == "bob"
    then: route registered
"""


class Phones(Far):
    """The trunk that phones come to."""

    __slots__ = ()

    def trunk(self) -> str:
        """The trunk's file."""
        return (
            f"trunk: {self.name}\nphones: true\nsources: [{DESK}, {SOFT}]\nlistener: trunk-tls\n"
            "srtp: required\ntls: {mode: server, server_identity: sbc}\n"
        )


class House:
    """Alice on a trunk of her own, and the phones of bob."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.alice = rig.pjsip("alice", ALICE, HIGH, answer=0)
        self.desk = self.phone("desk", DESK, LOW)
        self.soft = self.phone("soft", SOFT, OTHER)

    def phone(self, name: str, address: str, hz: float) -> Pjsip:
        registrar = f"sip:{SBC}:{self.rig.tls};transport=tls"
        return self.rig.pjsip(
            name, address, hz, answer=0, uri=f"sip:bob@{REALM}", registrar=registrar, user="bob",
            password=PASSWORD, register_again=1, instance=f"urn:uuid:{uuid5(NAMESPACE_DNS, name)}",
        )  # fmt: skip

    def rings(self) -> tuple[int, int, int]:
        """Alice calls bob: the numbers of the call at alice, at the desk and on the softphone."""
        for each in (self.alice, self.desk, self.soft):
            each.events.clear()
        call = self.alice.call(self.rig.number("bob"))
        there = [each.expect("incoming")["call"] for each in (self.desk, self.soft)]
        for phone, number in zip((self.desk, self.soft), there, strict=True):
            phone.answer(number, 180)
        self.alice.expect_state(call, "EARLY")
        return call, there[0], there[1]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    needs("pjsua2")
    root = tmp_path_factory.mktemp("house")
    rig = Rig(
        root,
        rules=RULE,
        more=f"registrar: {{realm: {REALM}, users: phones}}\n",
        others=(Phones("phones", 0),),
    )
    users = root / "sbc" / "phones"
    users.parent.mkdir()
    users.write_text(f"bob:{REALM}:{user_hash('SHA-256', 'bob', REALM, PASSWORD)}\n"
                     f"bob:{REALM}:{user_hash('MD5', 'bob', REALM, PASSWORD)}\n")  # fmt: skip
    users.chmod(0o600)
    house = House(rig)
    spare = rig.pjsip("spare", SBC, LOW)
    with rig.running(Far("alice", house.alice.port, ALICE), Far("spare", spare.port), house.alice):
        with house.desk, house.soft:
            for each in (house.desk, house.soft):
                each.expect("registration", seconds=30, status=200)
            yield house


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    yield shared
    shared.rig.check_log()


@pytest.mark.parametrize("answers", ["desk", "soft"])
def test_both_phones_ring_and_whoever_answers_talks(house: House, answers: str) -> None:
    call, desk, soft = house.rings()
    phones = {"desk": (house.desk, desk, LOW), "soft": (house.soft, soft, OTHER)}
    phone, number, tone = phones.pop(answers)
    other, left, _ = next(iter(phones.values()))
    phone.answer(number)
    house.alice.expect_state(call, "CONFIRMED")
    phone.expect_state(number, "CONFIRMED")
    assert other.expect_state(left, "DISCONNECTED")["status"] == 487
    assert 'cause=200 ;text="Call completed elsewhere"' in messages(other, "RX")
    assert phone.expect("media", call=number)["srtp"] and house.alice.expect("media", call=call)["srtp"]
    talk((house.alice, call), (phone, number))
    house.alice.hangup(call)
    phone.expect_state(number, "DISCONNECTED")
    house.alice.expect_state(call, "DISCONNECTED")
    record = house.rig.record()
    assert heard(house.alice.recording(call), tone) and heard(phone.recording(number), HIGH)
    assert record["status"] == 200 and record["b"]["trunk"] == "phones" and record["b"]["media"]["srtp"]
    assert_media(record["b"]["media"])
    assert record["b"]["remote"].startswith(f"{phone.settings.address}:")


def test_early_media_of_one_is_heard_until_the_other_answers(house: House) -> None:
    call, desk, soft = house.rings()
    house.soft.answer(soft, 183)
    house.alice.expect("media", call=call)
    talk((house.alice, call))
    house.desk.answer(desk)
    house.alice.expect_state(call, "CONFIRMED")
    assert house.soft.expect_state(soft, "DISCONNECTED")["status"] == 487
    talk((house.alice, call), (house.desk, desk))
    house.alice.hangup(call)
    house.desk.expect_state(desk, "DISCONNECTED")
    house.rig.record()
    recording = house.alice.recording(call)
    assert listen(recording, OTHER).tone > 0.8 and hears_lately(recording, LOW)


def test_all_refuse_and_alice_hears_the_best_of_it(house: House) -> None:
    call, desk, soft = house.rings()
    house.soft.hangup(soft, 486)
    house.desk.hangup(desk, 480)
    assert house.alice.expect_state(call, "DISCONNECTED")["status"] == 480
    assert house.rig.record()["status"] == 480


def test_alice_gives_up_and_both_phones_are_silent(house: House) -> None:
    call, desk, soft = house.rings()
    house.alice.hangup(call)
    for phone, number in ((house.desk, desk), (house.soft, soft)):
        assert phone.expect_state(number, "DISCONNECTED")["status"] == 487
    assert house.rig.record()["status"] == 487


def test_after_a_restart_phones_are_there_again(house: House) -> None:
    house.desk.events.clear()
    house.soft.events.clear()
    house.rig.sbc.stop()
    house.rig.sbc.start()
    house.rig.sbc.ready()
    for each in (house.desk, house.soft):  # each finds its connection gone, and makes another
        each.expect("registration", seconds=90, status=200)
    call, desk, soft = house.rings()
    house.desk.answer(desk)
    house.alice.expect_state(call, "CONFIRMED")
    talk((house.alice, call), (house.desk, desk))
    house.alice.hangup(call)
    house.desk.expect_state(desk, "DISCONNECTED")
    house.soft.expect_state(soft, "DISCONNECTED")
    assert house.rig.record()["status"] == 200


def test_a_phone_that_has_vanished_keeps_nobody_waiting(house: House) -> None:
    house.soft.process.kill()
    house.soft.process.wait()
    call = house.alice.call(house.rig.number("bob"))
    desk = house.desk.expect("incoming")["call"]
    house.desk.answer(desk)
    house.alice.expect_state(call, "CONFIRMED")
    until(lambda: rtp_received(house.alice, call), "media of the phone that is left")
    house.alice.hangup(call)
    house.desk.expect_state(desk, "DISCONNECTED")
    assert house.rig.record()["status"] == 200
