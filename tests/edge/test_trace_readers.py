"""Readers of a trace over a real control socket: slow, dead, too many, and none of them holds a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import gevent
import pytest

from sbc.b2bua.call_ids import CallIds
from sbc.base import Address, LocalError
from sbc.flow import Path as Way
from sbc.net.system.clock import Clock
from sbc.net.system.control import ControlServer
from sbc.net.trace import viewing
from sbc.net.trace.viewing import MOST_READERS, Readers, Reading
from sbc.observe.tap import Seen, Tap
from sbc.observe.trace.frames import Decoder, Encoder, Remark
from sbc.observe.trace.view import View
from tests.peers.asking import ask, following
from tests.peers.waiting import until, until_equal

WAY = Way(1, "udp", Address("192.0.2.1", 5060), Address("198.51.100.7", 5060), "office")


class Traced:
    """A tap, and who follows it through the control socket at ``path``."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "sbc.sock"
        self.tap = Tap(CallIds(set()), lambda place: pytest.fail(place))
        self.readers = Readers(self.tap, Clock())
        self.said: list[Mapping[str, object]] = []
        self.server = ControlServer(self.path, {"trace": self.trace, "ping": lambda: "pong"})
        self.server.start()

    def trace(self, seconds: float = 60.0, most: int = 0) -> Reading:
        return self.readers.open(View(Encoder(bytes), most=most), seconds, True, self.said.append)

    def message(self, octets: bytes = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n") -> None:
        seen = Seen(0.0, 1.0, False, WAY, octets, "id")
        for each in self.tap.followers:
            each.seen(seen)

    def all_gone(self) -> bool:
        """Whether nobody follows any more, which is found out by a message."""
        self.message()
        return not self.tap.followers

    def follows(self, count: int = 1) -> None:
        until_equal(lambda: len(self.tap.followers), count)

    @contextmanager
    def reader(self, **asked: float) -> Iterator[BinaryIO]:
        with following(self.path, "trace", 30.0, **asked) as source:
            yield source


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    made = Traced(tmp_path)
    yield made
    made.server.stop()


def read(source: BinaryIO | Decoder) -> list[Seen | Remark]:
    """All that comes, to the end."""
    decoder = source if isinstance(source, Decoder) else Decoder(source)
    found: list[Seen | Remark] = []
    while (event := decoder.next()) is not None:
        found.append(event)
        if isinstance(event, Remark) and event.kind == "end":
            break
    return found


def messages(events: list[Seen | Remark]) -> int:
    return sum(isinstance(each, Seen) for each in events)


def test_a_reader_gets_messages_as_they_come_and_the_end_says_why(traced: Traced) -> None:
    with traced.reader(most=3) as source:
        traced.follows()
        decoder = Decoder(source)
        traced.message(b"one")
        first = decoder.next()
        assert isinstance(first, Seen) and first.octets == b"one"
        for _ in range(5):
            traced.message()
        assert messages(rest := read(decoder)) == 2
        assert rest[-1] == Remark("end", 0.0, "", "that was as many as were asked for: 3")
    traced.follows(0)
    assert traced.said == [{"messages": 3, "missed": None, "reason": "that was as many as were asked for: 3"}]


def test_it_ends_when_its_time_is_over(traced: Traced) -> None:
    with traced.reader(seconds=0.2) as source:
        assert read(source) == [Remark("end", 0.0, "", "0.2 s are over")]
    traced.follows(0)


def test_a_reader_that_is_gone_is_let_go_though_nothing_happens(traced: Traced) -> None:
    with traced.reader():
        traced.follows()
    traced.follows(0)
    assert until(lambda: traced.said)[0]["reason"] == "the reader is gone"


@pytest.mark.slow
def test_a_reader_that_stops_reading_holds_nobody_and_hears_how_much_it_missed(traced: Traced) -> None:
    octets = b"x" * 60_000
    with traced.reader(seconds=1) as slow, traced.reader(seconds=1) as quick:
        traced.follows(2)
        heard: list[Seen | Remark] = []
        reading = gevent.spawn(lambda: heard.extend(read(quick)))
        for _ in range(500):
            traced.message(octets)
            gevent.sleep(0.001)
        assert ask(traced.path, "ping") == "pong", "whoever asks something else is answered"
        reading.join()
        missed = read(slow)
    lost = sum(int(each.text) for each in missed if isinstance(each, Remark) and each.kind == "lost")
    assert messages(missed) + lost == 500 and lost > 0
    assert messages(heard) > messages(missed)


def test_a_reader_that_takes_nothing_is_ended(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewing, "STALL", 0.2)
    with traced.reader():
        traced.follows()
        for _ in range(60):
            traced.message(b"x" * 60_000)
        traced.follows(0)
        assert "took nothing" in str(until(lambda: traced.said)[0]["reason"])


@pytest.mark.slow
def test_a_hundred_readers_are_not_let_in_and_those_that_are_hear_all(traced: Traced) -> None:
    refused = 0
    with ExitStack() as stack:
        sources = []
        for _ in range(100):
            try:
                sources.append(stack.enter_context(traced.reader(seconds=0.5)))
            except LocalError as error:
                assert f"{MOST_READERS} traces are under way" in str(error)
                refused += 1
        assert refused == 100 - MOST_READERS
        traced.follows(MOST_READERS)
        for _ in range(20):
            traced.message()
        assert [messages(read(each)) for each in sources] == [20] * MOST_READERS
    traced.follows(0)
    with traced.reader(seconds=0.1) as source:
        read(source)


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["at once", "in the middle"])
def test_a_connection_that_is_lost_leaves_nothing_behind(traced: Traced, gone: str) -> None:
    for _ in range(5):
        for _ in range(MOST_READERS):
            with traced.reader():
                if gone == "in the middle":
                    until(lambda: traced.tap.followers)
                    traced.message(b"x" * 60_000)
            traced.message()
        until(traced.all_gone)
    with traced.reader(seconds=0.1) as source:
        read(source)
