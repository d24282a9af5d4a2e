"""What one reader is shown: its bounds hold whatever comes, and what it chose is all that it gets."""

from __future__ import annotations

from typing import Any

from dsl.decision import Reject
from sbc.b2bua.commands import Note
from sbc.base import Address
from sbc.flow import Path
from sbc.observe.tap import Ruling, Seen
from sbc.observe.trace.frames import Encoder
from sbc.observe.trace.view import CALLS, RULINGS, TOGETHER, WAITING, WAITING_OCTETS, View

WAY = Path(1, "udp", Address("192.0.2.1", 5060), Address("198.51.100.7", 5060), "office")


def view(**chosen: Any) -> View:
    return View(Encoder(bytes), **chosen)


def seen(call: str = "", trunk: str = "office", size: int = 10) -> Seen:
    return Seen(0.0, 1.0, False, WAY, b"x" * size, "id", call, "a", trunk)


def drained(shown: View) -> bytes:
    frames = b""
    while not shown.idle:
        frames += shown.frames(50)
    return frames


def test_no_more_octets_wait_than_there_is_room_for() -> None:
    shown = view()
    for _ in range(1000):
        shown.seen(seen(size=80_000))
    assert shown.shown + shown.missed == 1000
    assert shown.shown * 80_000 <= WAITING_OCTETS < (shown.shown + 1) * 80_000
    assert drained(shown).endswith(b"L %d\n" % shown.missed)


def test_remarks_do_not_pile_up_either() -> None:
    shown = view()
    for number in range(3 * WAITING):
        shown.decided(Ruling(0.0, 1.0, str(number), "office", Reject(403)))
        shown.noted(Note("failover", str(number), {}), 1.0)
    assert len(drained(shown).splitlines()) <= WAITING


def test_of_a_chosen_trunk_no_more_calls_and_decisions_are_remembered_than_live_at_once() -> None:
    shown = view(trunk="carrier")
    for number in range(2 * CALLS):
        shown.decided(Ruling(0.0, 1.0, str(number), "office", Reject(403)))
        shown.seen(seen(str(number), "carrier"))
        drained(shown)
    shown.seen(seen("0", "office"))
    assert shown.idle, "the oldest is forgotten"
    shown.seen(seen(str(2 * CALLS - 1), "office"))
    assert not shown.idle
    for number in range(10 * RULINGS):
        shown.decided(Ruling(0.0, 1.0, f"elsewhere-{number}", "office", Reject(403)))
    assert len(shown._rulings) <= RULINGS


def test_a_piece_is_short_however_long_the_messages_are() -> None:
    shown = view()
    for _ in range(20):
        shown.seen(seen(size=60_000))
    assert len(shown.frames(50)) < 3 * TOGETHER


def test_what_is_of_no_call_and_no_chosen_trunk_is_not_told() -> None:
    shown = view(trunk="carrier")
    shown.noted(Note("call-refused", "", {"trunk": "office"}), 1.0)
    shown.noted(Note("sips-arrival", "a-peers-call-id", {}), 1.0)
    assert shown.idle
    shown.noted(Note("call-refused", "", {"trunk": "carrier", "reason": "over"}), 1.0)
    assert drained(shown) == b"N 1.000000 - call-refused trunk=carrier reason=over\n"


def test_how_a_call_ended_is_told_in_a_few_words() -> None:
    shown = view()
    record = {"status": 486, "reason": "486 Busy Here", "by": "callee", "a": WAY, "lookups": {"x": 1}}
    shown.noted(Note("call-ended", "6f1e", record), 1.0)
    assert drained(shown) == b'N 1.000000 6f1e call-ended status=486 reason="486 Busy Here" by=callee\n'


def test_after_its_last_message_nothing_more_is_shown() -> None:
    shown = View(Encoder(bytes), most=1)
    shown.seen(seen())
    shown.seen(seen())
    shown.decided(Ruling(0.0, 1.0, "", "office", Reject(403)))
    assert shown.over == "that was as many as were asked for: 1" and drained(shown).count(b"M ") == 1
