"""Hooks that hear calls: what they are given, by what thread, and what becomes of slow and broken ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from gevent import monkey

from sbc.config.hook_set import Hook, called_by
from sbc.config.hooks import load_hooks
from sbc.config.media import MediaConfig
from sbc.hookapi import Facts, Frame
from sbc.hookapi.testing import HookFailure, load
from sbc.ids import Ids
from sbc.media.overhearing import MOST_WAITING, Overhearing
from sbc.net.hooks.media import MediaHooks
from sbc.net.media.embedded import MediaIO
from sbc.net.system.clock import Clock
from tests.edge.test_media_io import RANGE, Phone, plain_call, secured_call
from tests.edge.test_recordings import HIGH, LOW, spoken
from tests.peers.waiting import until, until_equal
from tests.unit.media.kit import Counter

CALL = Facts(call_id="one", from_user="alice")


class Lab:
    """A media plane, and hooks that hear its calls."""

    def __init__(self) -> None:
        self.media = MediaIO(MediaConfig(ports=RANGE), Ids(Counter()), Clock().monotonic)
        self.hooks = MediaHooks()
        self.told: list[tuple[str, dict[str, object]]] = []

    def hear(self, *functions: Callable[..., Any], call: str = "one") -> list[Overhearing]:
        hooks = tuple(
            Hook(f"hooks/{at}.py", str(at), "on_media", 7, each) for at, each in enumerate(functions)
        )
        found = list(self.hooks.hear(call, hooks, CALL, lambda *said: self.told.append(said), 0.0))
        for each in found:
            self.media.listen(call, each)
        return found

    def end(self, call: str = "one") -> None:
        self.hooks.end(call)
        self.media.delete(call)


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.media.close()


@pytest.fixture
def phones() -> Iterator[tuple[Phone, Phone]]:
    made = Phone(), Phone()
    yield made
    for each in made:
        each.socket.close()


def test_both_sides_are_heard_decoded_and_decrypted_in_another_thread(
    lab: Lab, phones: tuple[Phone, Phone]
) -> None:
    a, b = phones
    protector, _ = secured_call(lab.media, a, b)
    heard: list[tuple[Facts, Frame]] = []
    threads: set[int] = set()
    ident = monkey.get_original("threading", "get_ident")

    def on_media(facts: Facts, frames: tuple[Frame, ...]) -> None:
        threads.add(ident())
        heard.extend((facts, each) for each in frames)

    lab.hear(on_media)
    a.send(spoken(LOW, 5))
    b.send(protector.rtp(spoken(HIGH, 9)))
    until(lambda: len(heard) == 2)
    one, other = sorted((each for _, each in heard), key=lambda each: each.leg)
    assert (one.leg, one.codec, one.clock, one.sequence, one.timestamp) == ("a", "PCMU", 8000, 5, 800)
    assert (other.leg, other.sequence, other.payload) == ("b", 9, spoken(HIGH, 9)[12:])
    assert len(one.samples) == len(other.samples) == 320 and one.seconds > 0
    assert all(facts == CALL for facts, _ in heard) and ident() not in threads
    with pytest.raises(FrozenInstanceError):
        one.leg = "b"  # type: ignore[misc]
    lab.end()
    assert not lab.told


@pytest.mark.slow
def test_a_slow_hook_delays_no_packet_and_what_it_misses_is_counted(
    lab: Lab, phones: tuple[Phone, Phone]
) -> None:
    a, b = phones
    plain_call(lab.media, a, b)
    entered, leave = _event(), _event()
    heard: list[Frame] = []
    beside: list[Frame] = []

    def slow(facts: Facts, frames: tuple[Frame, ...]) -> None:
        entered.set()
        leave.wait()
        heard.extend(frames)

    found = lab.hear(slow, lambda facts, frames: beside.extend(frames))
    a.send(spoken(LOW, 0))
    b.receive(1)
    until(entered.is_set)
    for sequence in range(1, MOST_WAITING + 11):
        a.send(spoken(LOW, sequence))
        if sequence % 50 == 0:
            b.receive(50)
    until(lambda: len(beside) == MOST_WAITING + 11)
    assert found[0].missed == 10 and found[1].missed == 0 and not heard
    lab.end()
    assert lab.told == [("hook-missed", {"file": "hooks/0.py", "line": 7, "frames": 10})], "though it hangs"
    leave.set()
    until(lambda: len(heard) == MOST_WAITING + 1)


def test_one_that_fails_is_named_and_hears_that_call_no_more(lab: Lab, phones: tuple[Phone, Phone]) -> None:
    a, b = phones
    plain_call(lab.media, a, b)
    path = "hooks/broken.py"
    text = "def on_media(facts, frames):\n    for each in frames:\n        raise SystemExit(each)\n"
    (hook,) = load_hooks({path: text})[0].media
    (heard,) = lab.hooks.hear("one", (hook,), CALL, lambda *said: lab.told.append(said), 0.0)
    lab.media.listen("one", heard)
    a.send(spoken(LOW, 1))
    until_equal(
        lambda: lab.told,
        [("hook-failed", {"file": path, "line": 3, "reason": "on_media raised SystemExit"})],
    )
    until(lambda: heard.over)
    a.send(spoken(LOW, 2))
    assert b.receive(2), "the call goes on"
    assert heard.waiting == [] and heard.missed == 0


def test_an_answer_is_a_failure(lab: Lab, phones: tuple[Phone, Phone]) -> None:
    a, b = phones
    plain_call(lab.media, a, b)
    lab.hear(lambda facts, frames: "hang up")
    a.send(spoken(LOW, 1))
    reason = "str is not None"
    until_equal(lambda: lab.told, [("hook-failed", {"file": "hooks/0.py", "line": 7, "reason": reason})])


def test_what_is_not_decoded_has_its_payload_and_no_samples() -> None:
    heard = Overhearing(10.0)
    heard.ear("b").hear(spoken(LOW, 3, 9), 12.5)
    (frame,) = heard.take()
    assert (frame.codec, frame.samples, frame.seconds) == ("", b"", 2.5) and len(frame.payload) == 160


def test_a_file_is_loaded_called_by_name_and_tested_like_any_other(tmp_path: Any) -> None:
    path = tmp_path / "50-hear.py"
    path.write_text(
        'WHEN = "named"\nLOUD = []\n'
        "def on_media(facts, frames):\n    LOUD.extend(each.leg for each in frames if max(each.samples))\n"
    )
    (hook,) = load_hooks({str(path): path.read_text()})[0].media
    assert called_by((hook,), ()) == () and called_by((hook,), ("50-hear",)) == (hook,)
    with pytest.raises(HookFailure, match=":4: on_media raised ValueError"):
        load(path).on_media(CALL, (Frame(),))
    load(path).on_media(CALL, (Frame(samples=b"\x01\x00"),))


def _event() -> threading.Event:
    """One that a thread may wait for, whatever gevent has put in its place."""
    return monkey.get_original("threading", "Event")()  # type: ignore[no-any-return]
