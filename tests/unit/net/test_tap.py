"""The tap: everybody who follows hears of every message, as its octets, with the call that it is of."""

from __future__ import annotations

import pytest

from dsl.decision import Route
from sbc.b2bua.commands import Note
from sbc.b2bua.setup import Setup
from sbc.observe.tap import Ruling, Seen
from sbc.sip.message import Request, response_to
from sbc.sip.parse import ParseError, parse_message
from sbc.sip.stream import MessageStream
from tests.unit.net.test_driver import INVITE, Rig


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[Seen] = []
        self.rulings: list[Ruling] = []
        self.notes: list[Note] = []

    def seen(self, seen: Seen) -> None:
        self.messages.append(seen)

    def decided(self, ruling: Ruling) -> None:
        self.rulings.append(ruling)

    def noted(self, note: Note, now: float) -> None:
        self.notes.append(note)

    def starts(self) -> list[tuple[bool, str, str]]:
        """Of each message whether it went out, its trunk, and the beginning of its start line."""
        starts = [each.octets.split(b"\r\n")[0].decode() for each in self.messages]
        words = [each.split()[1] if each.startswith("SIP/2.0") else each.split()[0] for each in starts]
        return [(each.sent, each.trunk, word) for each, word in zip(self.messages, words, strict=True)]


def followed() -> tuple[Rig, Listener]:
    rig, listener = Rig(), Listener()
    rig.driver.tap.follow(listener)
    return rig, listener


def hang_up(rig: Rig) -> None:
    """The office acknowledges its answer and says BYE."""
    answer = rig.heard(rig.office)[-1]
    for method, number in (("ACK", 1), ("BYE", 2)):
        text = INVITE.format(id="one").replace("INVITE", method).partition("Content-Type")[0] + "\r\n"
        text = text.replace("CSeq: 1", f"CSeq: {number}").replace("z9hG4bK-one", f"z9hG4bK-{method}")
        text = text.replace("To: <sip:+12125550100@sbc.example>", f"To: {answer.headers.get('To')}")
        rig.driver.on_message(rig.office, parse_message(text.encode()))


def test_a_call_is_told_in_its_order_with_both_legs_under_one_name() -> None:
    rig, listener = followed()
    rig.invite("one")
    rig.answered(200)
    hang_up(rig)
    bye = rig.heard(rig.carrier)[-1]
    assert isinstance(bye, Request) and bye.method == "BYE"
    rig.driver.on_message(rig.carrier, response_to(bye, 200))
    # What a test hands over without octets was never on a wire: of the carrier nothing came.
    assert listener.starts() == [
        (False, "office", "INVITE"),
        (True, "office", "100"),
        (True, "carrier", "INVITE"),
        (True, "office", "200"),
        (False, "office", "ACK"),
        (True, "carrier", "ACK"),
        (False, "office", "BYE"),
        (True, "carrier", "BYE"),
        (True, "office", "200"),
    ]
    (call,) = {each.call for each in listener.messages}
    assert call and {(each.trunk, each.side) for each in listener.messages} == {
        ("office", "a"), ("carrier", "b"),
    }  # fmt: skip
    assert [(each.call, each.trunk) for each in listener.rulings] == [(call, "office")]
    assert isinstance(listener.rulings[0].decision, Route)
    assert [each.event for each in listener.notes if each.call == call][-1] == "call-ended"


def test_what_came_is_told_octet_for_octet_in_pieces_or_whole() -> None:
    odd = INVITE.format(id="odd").replace("Call-ID: odd\r\n", "i:  odd\t\r\nX-Odd: folded\r\n  here\r\n")
    octets = odd.replace("\r\n\r\nv=0", "\r\nContent-Length: 7\r\n\r\nv=0").encode()
    for message in (MessageStream().feed(octets)[0], parse_message(octets)):
        rig, listener = followed()
        assert isinstance(message, Request)
        rig.driver.on_message(rig.office, message)
        assert listener.messages[0].octets == octets
        assert listener.messages[0].call_id == "odd" and listener.messages[0].call
    pieces = MessageStream()
    items = [item for at in range(len(octets)) for item in pieces.feed(octets[at : at + 1])]
    rig, listener = followed()
    assert isinstance(items[0], Request)
    rig.driver.on_message(rig.office, items[0])
    assert listener.messages[0].octets == octets


def test_times_and_the_path_are_told_and_no_connection_is_held() -> None:
    rig, listener = followed()
    rig.invite("one")
    first = listener.messages[0]
    assert abs(first.now - rig.driver.clock.now()) < 60 and abs(first.at - rig.driver.clock.monotonic()) < 60
    assert (first.path.trunk, first.path.transport, first.path.remote) == ("office", "tls", rig.office.remote)
    assert not hasattr(first.path, "channel")
    assert len({id(each.path) for each in listener.messages if each.trunk == "office"}) == 1


def test_nobody_follows_and_the_octets_are_not_kept() -> None:
    rig = Rig()
    message = parse_message(INVITE.format(id="one").encode())
    assert message.head
    rig.driver.on_message(rig.office, message)
    assert not message.head


def test_who_has_left_is_told_no_more() -> None:
    rig, listener = followed()
    rig.driver.tap.leave(listener)
    rig.driver.tap.leave(listener)
    rig.invite("one")
    assert not listener.messages and not listener.rulings and not listener.notes


def test_of_what_is_no_message_its_octets_are_told_and_why_it_is_none() -> None:
    rig, listener = followed()
    (item,) = MessageStream().feed(b"INVITE sip:a@b SIP/2.0\r\nno header\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(item, ParseError)
    rig.driver.on_malformed(rig.office, item)
    told = listener.messages[0]
    assert told.octets.startswith(b"INVITE sip:a@b SIP/2.0\r\nno header\r\n")
    assert told.malformed == "malformed header line" and told.trunk == "office"


@pytest.mark.pure
def test_a_message_that_our_own_code_fails_on_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, listener = followed()

    def fail(*_: object) -> None:
        raise RuntimeError("a fault of the engine")

    monkeypatch.setattr(Setup, "decide", fail)
    rig.invite("one")
    assert listener.starts()[0] == (False, "office", "INVITE")
    assert len(rig.watcher.faults) == 1


class Failing(Listener):
    """Fails at one of what it is told."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at
        setattr(self, at, self._fail)

    def _fail(self, *_: object) -> None:
        raise RuntimeError(f"a fault of a follower in {self.at}")


@pytest.mark.parametrize("at", ["seen", "decided", "noted"])
def test_a_follower_that_fails_is_let_go_and_the_call_and_the_others_go_on(at: str) -> None:
    rig, listener, failing = Rig(), Listener(), Failing(at)
    rig.driver.tap.follow(failing)
    rig.driver.tap.follow(listener)
    rig.invite("one")
    rig.answered(200)
    hang_up(rig)
    assert rig.statuses("one") == [100, 200, 200]
    assert len(listener.messages) == 9
    assert rig.driver.tap.followers == (listener,)
    (place,) = rig.watcher.faults
    assert place.startswith(f"RuntimeError: a fault of a follower in {at}")


def test_a_message_within_no_call_has_no_call() -> None:
    rig, listener = followed()
    options = INVITE.format(id="ping").replace("INVITE", "OPTIONS").partition("Content-Type")[0] + "\r\n"
    rig.driver.on_message(rig.office, parse_message(options.encode()))
    assert listener.starts() == [(False, "office", "OPTIONS"), (True, "office", "200")]
    assert {(each.call, each.side, each.call_id) for each in listener.messages} == {("", "", "ping")}
