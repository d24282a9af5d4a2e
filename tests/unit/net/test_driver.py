"""The driver: commands are carried out, and a fault of our own ends one call and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import gevent
import pytest

from sbc.b2bua.attempt import Attempt
from sbc.b2bua.commands import Note, RunHooks
from sbc.b2bua.desk import NOBODY
from sbc.b2bua.engine import Engine
from sbc.b2bua.setup import Setup
from sbc.base import Address, LocalError, PeerError
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.flow import Flow
from sbc.ids import Ids, counter_bytes
from sbc.media.stats import MediaStats
from sbc.net.driver import Driver
from sbc.net.system.clock import Clock
from sbc.net.transport.dial import DialFailed
from sbc.sip.message import Message, Request, Response, response_to
from sbc.sip.parse import parse_message
from sbc.sip.transactions import SLICE
from sbc.tls.events import Unreached
from tests.peers.trunks import with_peers
from tests.peers.waiting import until, until_equal
from tests.playbook.stage import snapshot

INVITE = (
    "INVITE sip:+12125550100@sbc.example SIP/2.0\r\n"
    "Via: SIP/2.0/TLS office.example;branch=z9hG4bK-{id}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:alice@office.example>;tag={id}\r\nTo: <sip:+12125550100@sbc.example>\r\n"
    "Call-ID: {id}\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@office.example>\r\n"
    "Content-Type: application/sdp\r\n\r\nv=0 {id}"
)


class Channel:
    """Keeps what is sent; fails on what holds ``poison``."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.closed = ""
        self.poison = b"poison"

    def send(self, data: bytes) -> None:
        if self.poison in data:
            raise RuntimeError("a fault of the channel")
        self.sent.append(parse_message(data))

    def close(self, reason: str) -> None:
        self.closed = reason


class Media:
    """SDP goes through; ``broken``, ``refused`` and ``full`` in it do what they say."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def offer(
        self, call: str, side: str, sdp: bytes, ours: object, theirs: object, restart: bool, branch: int
    ) -> bytes:
        if b"broken" in sdp:
            raise RuntimeError("a fault of the media plane")
        if b"refused" in sdp:
            raise PeerError("no such media", 488)
        if b"full" in sdp:
            raise LocalError("no port is left")
        return sdp

    def answer(self, call: str, side: str, sdp: bytes, branch: int) -> bytes:
        return self.offer(call, side, sdp, None, None, False, branch)

    def take(self, call: str, branch: int) -> None:
        raise AssertionError("not asked for here")

    def drop(self, call: str, branch: int) -> None:
        raise AssertionError("not asked for here")

    def rollback(self, call: str) -> None:
        raise AssertionError("not asked for here")

    def delete(self, call: str) -> MediaStats:
        self.deleted.append(call)
        return MediaStats()


class Watcher:
    """Writes down what the driver tells."""

    def __init__(self) -> None:
        self.notes: list[tuple[Note, MediaStats | None]] = []
        self.faults: list[str] = []
        self.refusals: list[tuple[str, Address, str]] = []
        self.floods: list[Flow] = []

    def note(self, note: Note, media: MediaStats | None, now: float) -> None:
        self.notes.append((note, media))

    def unreached(self, event: Unreached) -> None:
        raise AssertionError("nobody is dialled here")

    def refused(self, listener: str, address: Address, reason: str, now: float) -> None:
        self.refusals.append((listener, address, reason))

    def flood(self, flow: Flow, now: float) -> None:
        self.floods.append(flow)

    def fault(self, place: str, now: float) -> None:
        self.faults.append(place)

    def named(self, event: str) -> list[Note]:
        """The notes of one event."""
        return [note for note, _ in self.notes if note.event == event]


class Rig:
    """A driver over the real engine, everything else being played."""

    def __init__(self, configuration: Snapshot | None = None) -> None:
        configuration = configuration or snapshot()
        self.engine = Engine(SnapshotStore(configuration), Ids(counter_bytes()))
        self.media = Media()
        self.watcher = Watcher()
        media, dialer = cast(Any, self.media), cast(Any, self)
        self.driver = Driver(self.engine, media, self.watcher, Clock(), lambda _: dialer)
        self.office = self._flow(1, "office")
        self.carrier = self._flow(2, "carrier")
        self.live: Flow | None = self.carrier
        self.dial: Callable[[], Flow] = lambda: self.carrier

    def _flow(self, number: int, trunk: str) -> Flow:
        here, there = Address("192.0.2.1", 5061), Address(f"198.51.100.{number}", 5061)
        return Flow(number, "tls", here, there, listener="main", trunk=trunk, channel=Channel())

    # The dialer
    def lookup(self, trunk: object, snapshot: object, peers: object, near: object) -> Flow | None:
        return self.live

    def connect(self, trunk: object, snapshot: object, peers: object, near: object) -> Flow:
        return self.dial()

    def invite(self, id: str) -> None:
        self.driver.on_message(self.office, parse_message(INVITE.format(id=id).encode()))

    def answered(self, status: int = 180) -> None:
        """The carrier answers the newest INVITE."""
        invite = self.heard(self.carrier)[-1]
        assert isinstance(invite, Request)
        response = response_to(invite, status, "", f"tag-{invite.call_id}")
        response.headers.add("Contact", "<sip:bob@carrier.example>")
        self.driver.on_message(self.carrier, response)

    @staticmethod
    def heard(flow: Flow) -> list[Message]:
        """What was sent on a flow."""
        channel: Channel = flow.channel
        return channel.sent

    def statuses(self, id: str) -> list[int]:
        """The statuses that the office was told for one of its calls."""
        told = (each for each in self.heard(self.office) if isinstance(each, Response))
        return [each.status for each in told if each.call_id == id]


def _calls(rig: Rig) -> set[str]:
    return {call.a.call_id for call in rig.engine.calls.values()}


def test_a_message_goes_through_the_engine_and_its_commands_are_carried_out() -> None:
    rig = Rig()
    rig.invite("one")
    assert rig.statuses("one") == [100]
    assert rig.heard(rig.carrier)[0].body == b"v=0 one"
    rig.answered()
    assert rig.statuses("one") == [100, 180]


@pytest.mark.parametrize(("sdp", "status"), [("refused", 488), ("full", 503)])
def test_media_that_cannot_be_had_is_the_calls_answer_and_no_fault(sdp: str, status: int) -> None:
    rig = Rig()
    rig.invite(sdp)
    assert rig.statuses(sdp) == [100, status]
    assert not rig.watcher.faults


def test_a_fault_in_a_command_ends_its_call_alone() -> None:
    rig = Rig()
    rig.invite("good")
    rig.invite("broken")
    assert _calls(rig) == {"good"}
    assert rig.statuses("broken") == [100, 503]
    (place,) = rig.watcher.faults
    what, innermost, *callers = place.split(" < ")
    assert what == "RuntimeError: a fault of the media plane"
    assert "test_driver.py:" in innermost and innermost.endswith(" offer")
    assert len(callers) >= 2 and all("driver.py:" in each for each in callers), place
    (ended,) = rig.watcher.named("call-ended")
    assert ended.fields["reason"] == "internal error"
    rig.answered()
    assert rig.statuses("good") == [100, 180]


@pytest.mark.pure
def test_a_fault_in_the_engine_ends_its_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.invite("good")

    def fail(*_: object) -> None:
        raise KeyError("a fault of the engine")

    with monkeypatch.context() as patched:
        patched.setattr(Setup, "decide", fail)
        rig.invite("bad")
    assert _calls(rig) == {"good"}
    assert rig.statuses("bad") == [100, 503]
    assert len(rig.watcher.faults) == 1


@pytest.mark.pure
def test_a_fault_in_one_calls_timer_does_not_stop_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(snapshot(response_timeout=0.02))
    rig.live = rig.carrier
    whole = Setup.on_timer

    def fail(self: Setup, name: str, now: float, out: list[Any]) -> None:
        if self.invitation.request.call_id == "bad":
            raise KeyError("a fault of the engine")
        whole(self, name, now, out)

    monkeypatch.setattr(Setup, "on_timer", fail)
    rig.invite("bad")
    rig.invite("good")
    until(lambda: rig.watcher.named("failover"), "the timer of the other call")
    until(lambda: 503 in rig.statuses("bad"))
    assert len(rig.watcher.faults) == 1


@pytest.mark.pure
def test_a_fault_in_one_calls_loss_does_not_hide_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    whole = Attempt.on_failure
    seen: list[str] = []

    def fail(self: Attempt, kind: str, now: float, out: list[Any]) -> None:
        if not seen:
            seen.append(self.call.a.call_id)
            raise KeyError("a fault of the engine")
        whole(self, kind, now, out)

    monkeypatch.setattr(Attempt, "on_failure", fail)
    rig.invite("one")
    rig.invite("two")
    rig.live = rig.carrier
    rig.driver.on_close(rig.carrier, "gone")
    (note,) = until(lambda: rig.watcher.named("hop-failed"))
    assert len(rig.watcher.faults) == 1
    (other,) = {"one", "two"} - set(seen)
    assert note.call in rig.engine.calls
    assert _calls(rig) <= {other}


@pytest.mark.pure
def test_a_call_that_cannot_even_be_ended_gives_back_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def fail(*_: object) -> None:
        raise KeyError("a fault of the engine")

    monkeypatch.setattr(Attempt, "on_response", fail)
    monkeypatch.setattr(Engine, "send_cancel", fail)
    rig.invite("bad")
    (call,) = rig.engine.calls
    rig.answered()
    assert not rig.engine.calls
    assert rig.media.deleted == [call]
    assert rig.engine.limits.calls("office") == rig.engine.limits.calls("carrier") == 0
    assert len(rig.watcher.faults) == 2


@pytest.mark.pure
def test_a_fault_that_belongs_to_no_call_is_told_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.invite("good")

    def fail(*_: object) -> None:
        raise KeyError("a fault of the engine")

    monkeypatch.setattr(Engine, "malformed", fail)
    rig.driver.on_malformed(rig.office, cast(Any, None))
    assert _calls(rig) == {"good"}
    assert len(rig.watcher.faults) == 1


def test_commands_behind_the_one_that_failed_are_carried_out() -> None:
    rig = Rig()
    channel: Channel = rig.carrier.channel
    rig.invite("good")
    channel.poison = b"CANCEL"
    rig.answered()
    (call,) = rig.engine.calls
    rig.driver.run(rig.engine.end_call, call, "the SBC is shutting down")
    assert rig.statuses("good")[-1] == 503
    assert rig.media.deleted == [call]
    assert len(rig.watcher.faults) == 1


def test_a_trunk_is_dialled_where_no_connection_lives() -> None:
    rig = Rig()
    rig.live = None
    rig.invite("one")
    assert not rig.heard(rig.carrier)
    until(lambda: rig.heard(rig.carrier))


@pytest.mark.parametrize("error", [DialFailed("nobody there"), RuntimeError("a fault of the dialer")])
def test_a_dial_that_fails_in_any_way_is_the_end_of_the_hop(error: Exception) -> None:
    rig = Rig()

    def dial() -> Flow:
        raise error

    rig.live, rig.dial = None, dial
    rig.invite("one")
    until_equal(lambda: rig.statuses("one"), [100, 503])
    assert len(rig.watcher.faults) == isinstance(error, RuntimeError)
    assert not rig.engine.calls


@pytest.mark.pure
def test_a_fault_around_the_hooks_rejects_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("sbc.net.driver.HookRun", fail)
    whole = Setup.decide

    def ask(self: Setup, now: float, out: list[Any]) -> None:
        out.append(RunHooks(self.call.id, self.call.snapshot, (), cast(Any, None)))

    monkeypatch.setattr(Setup, "decide", ask)
    rig.invite("one")
    until_equal(lambda: rig.statuses("one"), [100, 503])
    monkeypatch.setattr(Setup, "decide", whole)


def test_timers_run_by_themselves() -> None:
    rig = Rig(snapshot(ring_timeout=0.05))
    rig.invite("one")
    rig.answered()

    def methods() -> list[str]:
        return [each.method for each in rig.heard(rig.carrier) if isinstance(each, Request)]

    until(methods, "a CANCEL", holds=lambda sent: "CANCEL" in sent)


def test_nothing_is_sent_on_a_dead_flow() -> None:
    rig = Rig()
    rig.office.alive = False
    rig.invite("one")
    assert not rig.heard(rig.office)


def test_an_ended_call_is_noted_with_its_media_counters() -> None:
    rig = Rig()
    rig.invite("one")
    rig.answered(486)
    ((_, media),) = [(note, media) for note, media in rig.watcher.notes if note.event == "call-ended"]
    assert isinstance(media, MediaStats)


def test_refusals_are_passed_on() -> None:
    rig = Rig()
    rig.driver.on_refused("main", Address("203.0.113.1", 1), "no trunk admits this address")
    assert rig.watcher.refusals == [("main", Address("203.0.113.1", 1), "no trunk admits this address")]


class TestBusy:
    """What closing a connection would lose."""

    def called(self, rig: Rig) -> Rig:
        rig.invite("one")
        rig.answered(200)
        return rig

    def acknowledge(self, rig: Rig) -> None:
        answer = rig.heard(rig.office)[-1]
        assert isinstance(answer, Response) and answer.status == 200
        text = INVITE.format(id="one").replace("z9hG4bK-", "z9hG4bKack-").replace("INVITE", "ACK")
        ack = parse_message(text.encode())
        ack.headers.set("To", answer.headers.get("To") or "")
        rig.driver.on_message(rig.office, ack)

    def test_a_call_in_the_making_keeps_both_sides(self) -> None:
        rig = Rig()
        assert not rig.driver.busy(rig.office) and not rig.driver.busy(rig.carrier)
        self.called(rig)
        assert rig.driver.busy(rig.office) and rig.driver.busy(rig.carrier)

    def test_a_call_that_is_up_keeps_neither_where_both_can_be_dialled(self) -> None:
        rig = self.called(Rig())
        self.acknowledge(rig)
        assert [call.state for call in rig.engine.calls.values()] == ["up"]
        assert not rig.driver.busy(rig.carrier)
        peers = {name: bool(trunk.peers) for name, trunk in rig.engine.store.current.trunks.items()}
        assert rig.driver.busy(rig.office) is not peers["office"]
        assert rig.office in rig.driver.in_use() and rig.carrier in rig.driver.in_use(), "nor are they idle"
        rig.carrier.former = True
        assert rig.driver.busy(rig.carrier), "whoever has left its trunk could come by no other"

    def test_who_cannot_be_dialled_keeps_its_connection_for_the_whole_call(self) -> None:
        configuration = snapshot()
        trunks = dict(configuration.trunks)
        trunks["office"] = with_peers(trunks["office"])
        rig = self.called(Rig(replace(configuration, trunks=trunks)))
        self.acknowledge(rig)
        assert rig.driver.busy(rig.office)
        (call,) = rig.engine.calls
        rig.driver.run(rig.engine.end_call, call, "over")
        bye = rig.heard(rig.office)[-1]
        assert isinstance(bye, Request) and bye.method == "BYE" and rig.driver.busy(rig.office)
        rig.driver.on_message(rig.office, response_to(bye, 200))
        assert not rig.driver.busy(rig.office)


def test_what_a_closed_connection_leaves_lets_others_have_turns() -> None:
    rig = Rig()
    many = 4 * SLICE
    for number in range(many):
        options = parse_message(INVITE.format(id=f"left{number}").replace("INVITE", "OPTIONS").encode())
        assert isinstance(options, Request)
        rig.engine.transactions.start(rig.office, options, rig.driver.clock.monotonic(), [], NOBODY)
    seen: list[int] = []

    def other() -> None:
        while left := len(rig.engine.transactions):
            seen.append(left)
            gevent.sleep(0.0001)

    greenlet = gevent.spawn(other)
    gevent.sleep(0)
    rig.driver.on_close(rig.office, "gone")
    until(lambda: greenlet.dead)
    assert len(set(seen)) > 2, "it saw some of them go"
