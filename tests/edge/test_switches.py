"""``sbc trunks disable`` and ``enable``, ``sbc calls end``: what an operator does by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.tls import Refused
from sbc.sip.message import serialize
from tests.edge.attacked import TO, Attacked, attacked
from tests.edge.raw_sip import Stream, options
from tests.edge.sbc_command import sbc
from tests.edge.test_udp_calls import Gateway, final_of, request_of, via_of
from tests.peers.faults import Sbc
from tests.peers.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Any) -> Iterator[Attacked]:
    with attacked(tmp_path) as made:
        yield made


def state(lab: Attacked, trunk: str) -> str:
    status = json.loads(sbc(lab.directory, "status", "--json").out)
    return str(next(each["state"] for each in status["trunks"] if each["name"] == trunk))


def refused(lab: Attacked) -> bool:
    """Whether a connection of the office is closed before it is heard."""
    try:
        stream = Stream(lab.stream())
        return not options(stream)
    except (Refused, OSError):
        return True


def test_a_trunk_that_is_disabled_keeps_its_calls_and_gets_no_others(lab: Attacked) -> None:
    link = lab.office.dial(lab.address, SBC_NAME)
    call = lab.office.call(link, TO)
    assert call.wait_up(30)
    told = sbc(lab.directory, "trunks", "disable", "office")
    assert told.out.startswith("trunk office is disabled by ") and told.status == 0
    assert "it was so already" in sbc(lab.directory, "trunks", "disable", "office").out
    assert state(lab, "office") == "disabled" and "disabled: office: by " in sbc(lab.directory, "status").out
    (act,) = lab.lines("[operator]", act="trunks disable", trunk="office")
    assert act["by"] and lab.lines("[trunk]", event="trunk-disabled", trunk="office")
    assert refused(lab)
    second = lab.office.call(link, TO)
    assert until(lambda: second.status) == 503
    assert lab.lines("[call-refused]", trunk="office")
    call.hang_up()
    (record,) = lab.records(1)
    assert record["ended_by"] == "caller" and record["status"] == 200
    assert link.wait_closed(30)  # the last of its calls is over


def test_a_trunk_is_shown_as_it_is_now_beside_its_settings(lab: Attacked) -> None:
    call = lab.office.call(lab.office.dial(lab.address, SBC_NAME), TO)
    assert call.wait_up(30)
    said = sbc(lab.directory, "trunks", "show", "office").out
    assert "tls.mode" in said and "\nnow: up, 1 calls, 2 pairs of media ports\n" in said
    assert "our certificate: " in said and "its certificate: CN=office" in said
    shown = json.loads(sbc(lab.directory, "trunks", "show", "carrier", "--json").out)
    assert {row["key"] for row in shown["settings"]} > {"peers", "tls.mode"} and shown["why"] == ""
    trunk = shown["now"]["trunk"]
    (peer,), (out,) = trunk["peer_states"], trunk["outcomes"]
    assert (trunk["state"], trunk["calls"], peer["address"]) == ("up", 1, f"{HOST}:{lab.ports.carrier}")
    assert (out["direction"], out["answered"], out["asr"]) == ("outbound", 1, 1.0) and out["pdd"] is not None
    sbc(lab.directory, "trunks", "disable", "carrier")
    assert "\nnow: disabled (by " in sbc(lab.directory, "trunks", "show", "carrier").out
    call.hang_up()
    lab.records(1)
    said = sbc(lab.directory, "trunks", "show", "carrier").out
    columns = [line.split() for line in said.splitlines()]
    assert ["TRUNK", "WAY", "CALLS", "ANSWERED", "LASTED", "RANG", "REFUSED"] in columns
    assert [line for line in columns if line[:5] == ["carrier", "to", "it", "1", "100%"]]


def test_where_none_runs_its_settings_are_shown_and_that(lab: Attacked) -> None:
    assert lab.sbc.stop() == 0
    said = sbc(lab.directory, "trunks", "show", "office")
    assert said.status == 0 and "tls.mode" in said.out and "is it running?" in said.out
    shown = json.loads(sbc(lab.directory, "trunks", "show", "office", "--json").out)
    assert shown["now"] is None and "is it running?" in shown["why"] and shown["settings"]
    lab.sbc = Sbc(lab.directory, Address(HOST, lab.ports.admin))
    lab.sbc.wait_ready()


def test_it_stays_so_over_a_restart_until_it_is_enabled(lab: Attacked) -> None:
    sbc(lab.directory, "trunks", "disable", "office")
    assert lab.sbc.stop() == 0
    lab.sbc = Sbc(lab.directory, Address(HOST, lab.ports.admin))
    lab.sbc.wait_ready()
    assert state(lab, "office") == "disabled" and refused(lab)
    assert sbc(lab.directory, "trunks", "enable", "office").out == "trunk office is enabled\n"
    assert lab.lines("[trunk]", event="trunk-enabled", trunk="office") and not refused(lab)
    assert lab.office.call(lab.office.dial(lab.address, SBC_NAME), TO).wait_up(30)


def test_what_the_file_says_is_stronger(lab: Attacked) -> None:
    path = lab.directory / "trunks.d" / "office.yaml"
    path.write_text(path.read_text() + "enabled: false\n")
    assert sbc(lab.directory, "reload").status == 0
    assert refused(lab)
    line = path.read_text().count("\n")
    said = sbc(lab.directory, "trunks", "enable", "office").refused_in_one_line()
    assert f"trunks.d/office.yaml:{line} says `enabled: false`; change it there" in said
    (lab.directory / "routes.d" / "20-broken.yaml").write_text("rules: [")  # while somebody writes there
    assert sbc(lab.directory, "trunks", "disable", "carrier").status == 0
    assert state(lab, "carrier") == "disabled"
    assert "there is no trunk" in sbc(lab.directory, "trunks", "disable", "nobody").refused_in_one_line()


@pytest.fixture
def gateway(tmp_path: Any) -> Iterator[Gateway]:
    with attacked(tmp_path, srtp="accept") as running:
        made = Gateway(running)
        yield made
        made.close()


def test_a_disabled_trunk_over_udp_is_not_called_and_its_call_goes_on(gateway: Gateway) -> None:
    near, _ = gateway.invite()
    sbc(gateway.sbc.directory, "trunks", "disable", "gateway")
    caller, callee = gateway.caller, gateway.callee
    caller.heard.clear()
    callee.heard.clear()
    caller.send(serialize(request_of(caller)))
    answered = until(lambda: final_of(caller))
    assert answered and answered.status == 503 and not callee.heard
    caller.send(serialize(near.request("BYE", via=via_of(caller), contact="")))
    gateway.hears(callee, "BYE")


def test_an_operator_ends_a_call(gateway: Gateway) -> None:
    gateway.invite()
    (call,) = gateway.sbc.calls()
    told = sbc(gateway.sbc.directory, "calls", "end", call["id"])
    assert told.out == f"call {call['id']} from caller to +12125550100 is ended\n"
    for peer in (gateway.caller, gateway.callee):
        assert (
            gateway.hears(peer, "BYE").headers.get("Reason") == 'SIP;cause=480;text="Ended by the operator"'
        )
    (record,) = gateway.sbc.records(1)
    assert record["reason"].startswith("ended by ") and record["ended_by"] == "us"
    (act,) = gateway.sbc.lines("[operator]", act="calls end", call=call["id"])
    assert act["by"] in record["reason"]
    again = sbc(gateway.sbc.directory, "calls", "end", call["id"]).refused_in_one_line()
    assert "there is no call" in again
