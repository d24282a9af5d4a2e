"""A trunk that is disabled has no new calls, in or out, is not probed, and keeps the calls that it has."""

from __future__ import annotations

import pytest

from sbc.b2bua.causes import because
from sbc.sip.message import Request, Response
from tests.playbook.phones import REALM, Phone, configured
from tests.playbook.stage import SDP, Stage, snapshot


def switched(stage: Stage, *trunks: str) -> None:
    """Only these trunks are off now, as ``sbc trunks disable`` leaves them."""
    store = stage.engine.store
    store.swap(store.current.switching_off({name: "by root" for name in trunks}))


def test_a_hop_to_it_fails_at_once_and_the_next_one_is_tried() -> None:
    stage = Stage()
    switched(stage, "carrier")
    stage.office.invite()
    stage.carrier.hears_nothing()
    stage.backup.hears("INVITE")
    (note,) = stage.noted("hop-refused")
    assert note.fields == {"trunk": "carrier", "reason": "it is disabled: by root"}


def test_a_file_says_so_too() -> None:
    stage = Stage(snapshot(enabled=False))
    assert set(stage.engine.store.current.disabled) == {"office", "carrier", "backup"}
    stage.plain.invite()
    assert stage.plain.hears_response(100) and stage.plain.hears_response(404)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_nothing_begins_on_it(method: str) -> None:
    stage = Stage()
    switched(stage, "office")
    stage.office.request(method)
    finals = [each for each in stage.office.heard if isinstance(each, Response) and each.status >= 200]
    assert [each.status for each in finals] == [503]
    assert len(stage.noted("call-refused")) == (method == "INVITE")
    stage.carrier.hears_nothing()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_nothing_begins_on_the_way_to_a_peer_that_has_left_its_trunk(method: str) -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.office.flow.former = True
    stage.office.request(method)
    finals = [each for each in stage.office.heard if isinstance(each, Response) and each.status >= 200]
    assert finals[-1].status == 503
    assert len(stage.noted("call-refused")) == (method == "INVITE")
    stage.carrier.hears_nothing()
    stage.within("office", answer, "BYE")
    stage.carrier.hears("BYE")


def test_its_calls_go_on_to_their_end() -> None:
    stage = Stage()
    _, answer = stage.established()
    switched(stage, "office", "carrier")
    stage.within("office", answer, "INVITE", b"v=0 hold")
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 200, body=b"v=0 held")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "ACK")
    stage.carrier.hears("ACK")
    stage.within("office", answer, "BYE")
    stage.carrier.hears("BYE")


def test_it_is_not_probed_and_what_probes_said_is_forgotten() -> None:
    stage = Stage(snapshot(options={"every": 10, "down_after": 1}))
    stage.dead.add("carrier")
    stage.carry_out(stage.engine.probe(stage.now))
    trunk = stage.engine.store.current.trunks["carrier"]
    assert stage.engine.peers.is_down(trunk)
    switched(stage, "carrier")
    stage.dead.clear()
    stage.now += 10
    stage.carry_out(stage.engine.probe(stage.now))
    stage.carrier.hears_nothing()
    assert not stage.engine.peers.is_down(trunk)
    switched(stage)
    stage.carry_out(stage.engine.probe(stage.now))
    stage.carrier.hears("OPTIONS")


def test_versions_tell_what_is_off_and_come_back() -> None:
    plain = snapshot()
    off = plain.switching_off({"office": "by root", "nobody": "by root"})
    assert set(off.disabled) == {"office"} and off.version != plain.version
    assert off.switching_off({"office": "by root"}) is off
    assert off.switching_off({}).version == plain.version
    assert plain.switching_off({"nobody": "by root"}) is plain


def test_an_operator_ends_a_call_and_both_sides_hear_why() -> None:
    stage = Stage()
    stage.established()
    (call,) = stage.engine.calls
    stage.carry_out(stage.engine.end_by_operator(call, "root", stage.now))
    for peer in (stage.office, stage.carrier):
        bye = peer.hears_request("BYE")
        assert bye.headers.values("Reason") == ['SIP;cause=480;text="Ended by the operator"']
    (ended,) = stage.noted("call-ended")
    assert (ended.fields["reason"], ended.fields["by"]) == ("ended by root (sbc calls end)", "us")
    stage.carry_out(stage.engine.end_by_operator(call, "root", stage.now))
    assert len(stage.noted("call-ended")) == 1


def test_an_operator_ends_a_call_that_nobody_has_answered() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    (call,) = stage.engine.calls
    stage.carry_out(stage.engine.end_by_operator(call, "root", stage.now))
    cancel = stage.carrier.hears("CANCEL")
    assert (
        isinstance(cancel, Request)
        and cancel.headers.get("Reason") == because(480, "Ended by the operator")[0][1]
    )
    stage.office.hears(100)
    stage.office.hears(180)
    stage.office.hears(480)


def test_phones_of_a_trunk_out_of_service_are_neither_registered_nor_called() -> None:
    made = Stage(configured(rules="rules: [{name: in, when: true, then: route registered}]"))
    alice = Phone(made)
    alice.registers()
    store = made.engine.store
    store.swap(store.current.switching_off({"phones": "by root"}))
    alice.asks()
    alice.hears(503)
    made.office.request("INVITE", f"sip:alice@{REALM}", SDP)
    assert [note.fields["trunk"] for note in made.noted("hop-refused")] == ["registered"]
    made.office.hears(100)
    made.office.hears(480)
    store.swap(store.current.switching_off({}))
    made.office.request("INVITE", f"sip:alice@{REALM}", SDP, Call_ID="again")
    assert alice.peer.hears_request("INVITE")
