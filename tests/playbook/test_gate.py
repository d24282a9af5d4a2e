"""Who is over a rate, or comes while nothing new is taken, is told so and leaves nothing behind (row S10)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from sbc.b2bua.gate import OVERLOAD
from sbc.config.model import Tenant
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.policy.overload import LATE, PUNCTUAL
from sbc.sip.message import Request, serialize
from tests.playbook.phones import PASSWORDS, Phone, configured
from tests.playbook.stage import SDP, Peer, Stage, snapshot
from tests.playbook.test_emergency import calls, emergency
from tests.playbook.test_left_over import nothing_is_left

METHODS = ["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE", "XYZZY"]


def says(there: Stage, method: str, number: int, peer: str = "office", **headers: str) -> None:
    """A request that is of no call, the ``number``-th."""
    there.peers[peer].request(method, "", b"", **{"Call_ID": f"m{number}", **headers})


def refusals(there: Stage, peer: str = "office") -> list[tuple[int, str]]:
    """What a peer was told in the end, and after how many seconds it may come again."""
    heard = there.peers[peer].heard
    found = [each for each in heard if not isinstance(each, Request) and each.status >= 200]  # type: ignore[attr-defined]
    heard.clear()
    return [(each.status, each.headers.get("Retry-After") or "") for each in found]  # type: ignore[attr-defined]


def up(there: Stage) -> Request:
    """A call from the office to the carrier that is up; the INVITE as the carrier heard it."""
    there.office.invite()
    there.office.hears(100)
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 200, body=b"v=0 answer")
    there.office.hears(200)
    return invite


class TestRates:
    @pytest.mark.parametrize("method", METHODS)
    def test_what_is_over_its_rate_is_told_so_and_nothing_is_kept(self, method: str) -> None:
        there = Stage(snapshot(limits={"rates": {"other": 1, "invite": 1, "options": 1}}))
        says(there, method, 1)
        held, known = len(there.engine.transactions), len(there.engine.calls)
        refusals(there)
        for number in range(2, 50):
            says(there, method, number)
        assert refusals(there) == [(503, "1")] * 48
        assert (len(there.engine.transactions), len(there.engine.calls)) == (held, known)
        notes = there.noted("over-cap")
        assert len(notes) == 48 and {str(note.fields["trunk"]) for note in notes} == {"office"}
        word = method.lower() if method in ("INVITE", "OPTIONS") else "other"
        assert {str(note.fields["cap"]) for note in notes} == {f"limits.rates.{word}"}

    def test_a_trunk_without_rates_is_asked_nothing(self) -> None:
        there = Stage(snapshot(limits={"rates": {"invite": 1}}))
        for number in range(50):
            says(there, "OPTIONS", number)
        assert refusals(there) == [(200, "")] * 50

    def test_within_a_call_nothing_counts_and_nothing_is_cut(self) -> None:
        there = Stage(snapshot(limits={"rates": {"invite": 1, "other": 1, "options": 1}}))
        up(there)
        says(there, "INVITE", 99)
        assert refusals(there) == [(503, "1")]
        tag = _tag_of_ours(there)
        to = f"<sip:+12125550100@sbc.example>;tag={tag}"
        for number in range(5):
            there.office.request("OPTIONS", To=to, CSeq=f"{10 + number} OPTIONS")
        assert refusals(there) == [(200, "")] * 5
        there.office.request("INVITE", body=SDP, To=to, CSeq="20 INVITE")
        there.office.hears(100)
        there.office.request("BYE", To=to, CSeq="21 BYE")
        assert (200, "") in refusals(there)

    def test_a_to_tag_of_no_call_is_no_way_around_it(self) -> None:
        there = Stage(snapshot(limits={"rates": {"invite": 2, "other": 2}}))
        for method in ("INVITE", "BYE"):
            for number in range(9):
                says(there, method, number, To="<sip:x@sbc.example>;tag=made-up")
            assert sorted(refusals(there)) == [(481, "")] * 2 + [(503, "1")] * 7

    def test_a_repeated_request_is_answered_as_before(self) -> None:
        """Over UDP a request comes again until it is answered: that is no second one (RFC 3261 17.2.1)."""
        there = Stage(snapshot(limits={"rates": {"options": 1}}))
        plain = limited(there.engine.store.current, "plain", {"options": 1})
        there.engine.store.swap(plain)
        for _ in range(4):
            there.plain.request("OPTIONS", Via="SIP/2.0/UDP plain.example;branch=z9hG4bK1", CSeq="5 OPTIONS")
        assert refusals(there, "plain") == [(200, "")] * 4

    def test_over_udp_no_more_is_refused_aloud_than_would_pass(self) -> None:
        there = Stage()
        there.engine.store.swap(limited(there.engine.store.current, "plain", {"options": 3}))
        for number in range(50):
            says(there, "OPTIONS", number, "plain", Via=f"SIP/2.0/UDP plain.example;branch=z9hG4bK{number}")
        assert refusals(there, "plain") == [(200, "")] * 3 + [(503, "1")] * 3
        assert len(there.noted("over-cap")) == 47

    def test_cancel_and_ack_are_never_cut(self) -> None:
        there = Stage(snapshot(limits={"rates": {"other": 1, "invite": 1}}))
        says(there, "XYZZY", 1)
        there.office.request("INVITE", body=SDP, Call_ID="c", CSeq="7 INVITE", Via=_via("c"))
        there.carrier.hears("INVITE")
        refusals(there)
        there.office.request("CANCEL", Call_ID="c", CSeq="7 CANCEL", Via=_via("c"))
        assert refusals(there) == [(200, ""), (487, "")]

    def test_each_address_has_its_own(self) -> None:
        there = Stage(snapshot(limits={"rates_per_source": {"options": 2}}))
        other = Peer(there, "other", there.flow(there.engine.store.current.trunks["office"]))
        there.peers["other"] = other
        for number in range(4):
            says(there, "OPTIONS", number)
            says(there, "OPTIONS", number, "other")
        for peer in ("office", "other"):
            assert refusals(there, peer) == [(200, "")] * 2 + [(503, "1")] * 2
        (first, *_) = there.noted("over-cap")
        assert first.fields["cap"] == "limits.rates_per_source.options"

    def test_the_trunks_of_a_tenant_share(self) -> None:
        made = snapshot(tenant="acme")
        words = {"domains": ["acme.example"], "server_identity": "x", "limits": {"rates": {"options": 3}}}
        settings = made.settings.model_copy(update={"tenants": {"acme": Tenant.model_validate(words)}})
        there = Stage(replace(made, settings=settings))
        for number in range(3):
            says(there, "OPTIONS", number)
            says(there, "OPTIONS", number, "carrier")
        assert refusals(there) + refusals(there, "carrier") == [
            (200, ""), (200, ""), (503, "1"), (200, ""), (503, "1"), (503, "1")
        ]  # fmt: skip
        assert {str(note.fields["cap"]) for note in there.noted("over-cap")} == {
            "tenant.limits.rates.options"
        }

    def test_an_emergency_call_passes_within_its_reserve_and_counts_beyond(self) -> None:
        made = emergency(limits={"rates": {"invite": 1}}, reserve={"calls": 2, "cps": 100})
        there = Stage(made)
        assert calls(there, "sip:+12125550100@sbc.example") == 100
        assert [calls(there) for _ in range(2)] == [100, 100]
        there.office.heard.clear()
        there.office.request("INVITE", "sip:112@sbc.example", SDP, Call_ID="beyond")
        assert refusals(there) == [(503, "1")]


class TestCallers:
    def says(self, there: Stage, number: int, caller: str) -> None:
        there.office.request("INVITE", body=SDP, Call_ID=f"c{number}", From=f"<{caller}>;tag=t{number}")

    def test_a_caller_has_so_many_calls_however_it_is_spelled(self) -> None:
        there = Stage(snapshot(limits={"calls_per_caller": 2}))
        for number, each in enumerate(
            ("sip:+1-212-555@a.example", "tel:+1212555", "sip:%2b1212555@b.example", "sip:+1212556@a.example")
        ):
            self.says(there, number, each)
        assert refusals(there) == [(480, "5")]
        (note,) = there.noted("call-refused")
        assert note.fields["cap"] == "limits.calls_per_caller" and "+1212555" in str(note.fields["reason"])
        assert there.engine.limits.calls("office") == 3

    def test_those_who_are_anonymous_are_not_told_apart(self) -> None:
        there = Stage(snapshot(limits={"calls_per_caller": 1}))
        for number in range(3):
            self.says(there, number, "sip:anonymous@anonymous.invalid")
        assert refusals(there) == []

    def test_a_call_that_ends_gives_its_place_back(self) -> None:
        there = Stage(snapshot(limits={"calls_per_caller": 1}))
        kept = len(there.engine.limits)
        for number in range(3):
            self.says(there, number, "sip:alice@a.example")
            there.carrier.respond(there.carrier.hears_request("INVITE"), 486)
            there.carrier.hears("ACK")
            assert refusals(there) == [(486, "")]
        assert len(there.engine.limits) - kept == 2, "the two trunks"
        nothing_is_left(there)

    def test_who_is_refused_for_the_trunk_holds_no_place(self) -> None:
        there = Stage(snapshot(limits={"calls_per_caller": 5, "calls": 1}))
        for number in range(4):
            self.says(there, number, "sip:alice@a.example")
        assert refusals(there) == [(503, "5")] * 3
        assert there.engine.limits.calls("caller alice of trunk office") == 1

    def test_an_emergency_call_is_not_counted(self) -> None:
        there = Stage(emergency(limits={"calls_per_caller": 1}))
        assert [calls(there) for _ in range(3)] == [100] * 3


class TestOverload:
    def overloaded(self, made: Snapshot | None = None) -> Stage:
        there = Stage(made)
        there.now += 1
        for _ in range(LATE):
            there.carry_out(there.engine.look(0.9, there.now))
        return there

    def test_nothing_new_is_taken_and_calls_go_on(self) -> None:
        there = Stage()
        up(there)
        for _ in range(LATE):
            there.carry_out(there.engine.look(0.9, there.now))
        held = len(there.engine.transactions)
        for number, method in enumerate(("INVITE", "REGISTER", "MESSAGE", "SUBSCRIBE")):
            says(there, method, number)
        assert refusals(there) == [(503, "5")] * 4 and len(there.engine.transactions) == held
        assert {str(note.fields["cap"]) for note in there.noted("over-cap")} == {OVERLOAD}
        says(there, "OPTIONS", 9)
        assert refusals(there) == [(200, "")], "who asks whether we live is told so"
        to = f"<sip:+12125550100@sbc.example>;tag={_tag_of_ours(there)}"
        there.office.request("ACK", To=to, CSeq="1 ACK")
        there.carrier.hears("ACK")
        there.office.request("BYE", To=to, CSeq="30 BYE")
        assert refusals(there) == [(200, "")]
        there.carrier.hears("BYE")

    def test_emergency_calls_are_taken(self) -> None:
        assert calls(self.overloaded(emergency())) == 100

    def test_it_is_told_when_it_begins_and_ends(self) -> None:
        there = self.overloaded()
        for _ in range(PUNCTUAL):
            there.carry_out(there.engine.look(0.0, there.now))
        (begun,), (over,) = there.noted("overload-begun"), there.noted("overload-over")
        assert begun.fields["lag"] == "0.900" and "seconds" in over.fields
        says(there, "INVITE", 1)
        there.office.hears(100)
        there.carrier.hears("INVITE")

    def test_so_many_transactions_and_no_more(self) -> None:
        made = snapshot()
        overload = made.settings.overload.model_copy(update={"transactions": 20})
        there = Stage(replace(made, settings=made.settings.model_copy(update={"overload": overload})))
        for number in range(100):
            says(there, "INVITE", number)
        assert len(there.engine.transactions) <= 21
        assert {status for status, _ in refusals(there)} == {503}
        there.carry_out(there.engine.look(0.0, there.now))
        assert len(there.noted("overload-begun")) == 1


class TestStrangers:
    def stage(self, **caps: Any) -> Stage:
        made = configured()
        caps = {"challenges_per_source": 2, **caps}
        changed = made.settings.caps.model_copy(update=caps)
        return Stage(replace(made, settings=made.settings.model_copy(update={"caps": changed})))

    @pytest.mark.parametrize("trunk", ["soft", "phones"])
    @pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "CANCEL", "BYE", "XYZZY"])
    def test_whatever_a_stranger_says_nothing_is_kept_of_it(self, trunk: str, method: str) -> None:
        there = self.stage(challenges_per_source=1000)
        phone = Phone(there, "nobody", trunk)
        for number in range(20):
            phone.asks(method, Call_ID=f"c{number}", To=f"<sip:x@example.com>;tag={number}")
            phone.asks(method, Call_ID=f"d{number}", Require="xyzzy")
            phone.asks(method, Call_ID=f"e{number}")
        assert len(there.engine.transactions) == 0 and not there.engine.calls

    def test_beyond_the_rate_it_is_silence_over_udp_and_503_over_tls(self) -> None:
        for trunk, answers in (("soft", [401, 401, 503]), ("phones", [401, 401] + [503] * 38)):
            there = self.stage()
            phone = Phone(there, "nobody", trunk)
            for number in range(40):
                phone.asks(Call_ID=f"c{number}")
            assert [status for status, _ in refusals(there, "nobody")] == answers
            (first, *_) = there.noted("over-cap")
            assert first.fields["cap"] == "caps.challenges_per_source"

    def test_no_flood_is_sent_more_than_it_sends(self) -> None:
        """Sources of datagrams can be forged: beyond the rate fewer octets come back than came."""
        there = self.stage()
        phone = Phone(there, "nobody", "soft")
        sent = 0
        for number in range(200):
            phone.asks("INVITE", "sip:100@example.com", Call_ID=f"c{number}")
            sent += 400
        assert sum(len(serialize(each)) for each in phone.peer.heard) < sent / 20

    def test_nobody_is_told_100_over_udp_before_it_has_proved_who_it_is(self) -> None:
        there = self.stage()
        phone = Phone(there, trunk="soft")
        phone.registers()
        phone.asks("INVITE", "sip:100@example.com", Call_ID="c1", From="<sip:alice@example.com>;tag=x")
        phone.hears(407)
        phone.peer.hears_nothing()

    def test_passwords_are_not_judged_beyond_the_rate(self) -> None:
        there = self.stage()
        guesser = Phone(there, "alice", "phones")
        guesser.asks()
        guesser.hears(401)
        guesser.password = "wrong"
        guesser.proves()
        guesser.hears(401)
        guesser.password = PASSWORDS["alice"]
        guesser.proves()
        guesser.hears(503)
        assert not there.noted("phone-registered")
        there.now += 1
        guesser.registers()

    @pytest.mark.pure
    @pytest.mark.parametrize("proves", [False, True])
    def test_nobody_learns_from_the_time_it_takes_who_exists(self, proves: bool) -> None:
        """For a user who exists and for one who does not the same functions run, in the same order."""
        there = self.stage(challenges_per_source=1000)
        steps = []
        for user in ("nobody", "alice", "nobody", "alice"):
            phone = Phone(there, user)
            phone.password = "wrong"
            phone.asks()
            phone.hears(401)
            steps.append(_steps(phone.proves if proves else phone.asks))
            phone.hears(401)
        assert len(steps[2]) > 50 and steps[2] == steps[3]

    def test_who_has_registered_on_its_connection_calls_on_beside_a_flood(self) -> None:
        there = self.stage()
        alice = Phone(there)
        alice.registers()
        flood = Phone(there, "nobody", name="flood")
        flood.peer.flow = _from(flood.flow, alice.flow.remote.host)
        for number in range(20):
            flood.asks(Call_ID=f"c{number}")
        alice.asks("INVITE", "sip:100@example.com", Call_ID="call", From="<sip:alice@example.com>;tag=x")
        alice.peer.hears(100)
        there.carrier.hears("INVITE")

    def test_a_user_has_a_rate_of_its_own_wherever_it_comes_from(self) -> None:
        there = self.stage(challenges_per_source=1000)
        trunks = dict(there.engine.store.current.trunks)
        for name in ("phones", "soft"):
            limits = {"limits": {"rates_per_user": {"invite": 2}}}
            words = trunks[name].model_dump(include={"trunk", "listener", "phones", "sources"})
            trunks[name] = type(trunks[name]).model_validate(words | limits)
        there.engine.store.swap(replace(there.engine.store.current, trunks=trunks))
        alice, bob = Phone(there), Phone(there, "bob")
        for phone in (alice, bob):
            phone.registers()
        for number in range(4):
            for phone in (alice, bob):
                caller = f"<sip:{phone.user}@example.com>;tag=x"
                phone.asks("INVITE", "sip:100@example.com", Call_ID=f"{phone.user}{number}", From=caller)
                there.carrier.heard.clear()
            assert refusals(there, "alice") == ([] if number < 2 else [(480, "1")])
        (first, *_) = there.noted("over-cap")
        assert first.fields["cap"] == "limits.rates_per_user.invite"


def _steps(act: Callable[[], None]) -> list[str]:
    """The functions of ours that run while ``act`` does."""
    found: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "/sbc/" in frame.f_code.co_filename:
            found.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return found


def limited(made: Snapshot, trunk: str, rates: dict[str, float]) -> Snapshot:
    """``made`` with rates for one trunk."""
    found = made.trunks[trunk]
    limits = found.limits.model_copy(update={"rates": rates})
    return replace(made, trunks={**made.trunks, trunk: found.model_copy(update={"limits": limits})})


def _via(branch: str) -> str:
    return f"SIP/2.0/TLS office.example;branch=z9hG4bK-{branch}"


def _tag_of_ours(there: Stage) -> str:
    (call,) = [each for each in there.engine.calls.values() if each.fork is not None]
    assert call.fork is not None
    return call.fork.dialog("a").local_tag


def _from(flow: Flow, host: str) -> Flow:
    return Flow(
        flow.id, flow.transport, flow.local, flow.remote._replace(host=host), listener=flow.listener,
        trunk=flow.trunk, tls=flow.tls, reuse=flow.reuse,
    )  # fmt: skip
