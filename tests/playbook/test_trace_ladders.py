"""Ladders of real calls: each message on the side where it was said, in its order, with what was decided."""

from __future__ import annotations

import re

from sbc.observe.tap import Seen
from sbc.observe.trace.frames import Remark
from sbc.sip.message import Request
from tests.playbook.phones import Phone, configured
from tests.playbook.stage import SDP, Peer, snapshot
from tests.playbook.traced import Traced


def last(peer: Peer, method: str) -> Request:
    """The newest request of ``method`` that ``peer`` heard."""
    return [each for each in peer.heard if isinstance(each, Request) and each.method == method][-1]


def failed_over(stage: Traced) -> None:
    """The carrier says 503, the backup forks and answers with the second fork."""
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears_request("INVITE"), 503)
    invite = stage.backup.hears_request("INVITE")
    stage.backup.respond(invite, 180, tag="one")
    stage.backup.respond(invite, 183, tag="two", body=SDP)
    stage.backup.respond(invite, 200, tag="two", body=SDP)
    for status in (100, 180, 183):
        stage.office.hears(status)


def answered(stage: Traced) -> None:
    """The same, acknowledged, with a re-INVITE, and hung up."""
    failed_over(stage)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.within("office", answer, "INVITE", body=SDP)
    stage.backup.respond(last(stage.backup, "INVITE"), 200, body=SDP)
    stage.within("office", answer, "BYE")
    stage.backup.respond(last(stage.backup, "BYE"), 200)


LADDER = """\
office: from 198.51.100.1:5061, ours 192.0.2.1:40000: TLSv1.3, peer office, verified
|-- INVITE +12125550100 -->|                          | office 198.51.100.1:5061 body
|<------- 100 Trying ------|                          | office 198.51.100.1:5061
  route carrier then backup (on 503, timeout, unreachable), by office to carrier (test.yaml:3)
carrier: from 198.51.100.2:5061, ours 192.0.2.1:40000: TLSv1.3, peer carrier, verified
|                          |-- INVITE +12125550100 -->| carrier 198.51.100.2:5061 body
|                          |<-- 503 Service Unavaila -| carrier 198.51.100.2:5061
|                          |---------- ACK ---------->| carrier 198.51.100.2:5061
  failover to=backup on=503
backup: from 198.51.100.3:5061, ours 192.0.2.1:40000: TLSv1.3, peer backup, verified
|                          |-- INVITE +12125550100 -->| backup 198.51.100.3:5061 body
|                          |<------ 180 Ringing ------| backup 198.51.100.3:5061
|<------ 180 Ringing ------|                          | office 198.51.100.1:5061
|                          |<-- 183 Session Progress -| backup 198.51.100.3:5061 body
|<-- 183 Session Progress -|                          | office 198.51.100.1:5061 body
|                          |<--------- 200 OK --------| backup 198.51.100.3:5061 body
|<--------- 200 OK --------|                          | office 198.51.100.1:5061 body
|---------- ACK ---------->|                          | office 198.51.100.1:5061
|                          |---------- ACK ---------->| backup 198.51.100.3:5061
  call-up setup_time=0.0
|-- INVITE +12125550100 -->|                          | office 198.51.100.1:5061 body
|<------- 100 Trying ------|                          | office 198.51.100.1:5061
|                          |------- INVITE bob ------>| backup 198.51.100.3:5061 body
|                          |<--------- 200 OK --------| backup 198.51.100.3:5061 body
|<--------- 200 OK --------|                          | office 198.51.100.1:5061 body
|---------- BYE ---------->|                          | office 198.51.100.1:5061
|                          |---------- ACK ---------->| backup 198.51.100.3:5061
|                          |---------- BYE ---------->| backup 198.51.100.3:5061
  call-ended status=200 reason=normal by=caller
|<--------- 200 OK --------|                          | office 198.51.100.1:5061
|                          |<--------- 200 OK --------| backup 198.51.100.3:5061"""


def test_a_failover_forks_a_re_invite_and_the_end_stand_where_they_happened() -> None:
    stage = Traced()
    answered(stage)
    assert "\n".join(stage.ladder()) == LADDER


def test_the_rings_have_all_of_it_afterwards_with_what_was_decided() -> None:
    stage = Traced()
    answered(stage)
    kept = [line for line in stage.ladder(stage.again()) if not line.startswith("  ") or "route" in line]
    live = [line for line in LADDER.splitlines() if not line.startswith("  ") or "route" in line]
    assert kept == live


def test_so_many_of_the_last_are_the_newest() -> None:
    stage = Traced()
    answered(stage)
    lines = [line for line in stage.ladder(stage.again(most=2)) if line.startswith("|")]
    assert lines == [line for line in LADDER.splitlines() if line.startswith("|")][-2:]


def test_a_trunk_is_shown_with_both_sides_of_the_calls_that_touch_it_and_no_others() -> None:
    for view in ("live", "last"):
        stage = Traced(trunk="carrier" if view == "live" else "")
        failed_over(stage)
        stage.plain.request("OPTIONS", Call_ID="of-plain")
        shown = stage.ladder(None if view == "live" else stage.again(trunk="carrier"))
        assert not any(line.endswith(("plain.example", "plain")) or "OPTIONS" in line for line in shown)
        assert shown[0].startswith("  route carrier"), "it was decided before the call came to the trunk"
        assert any("INVITE" in line and "carrier" in line for line in shown)
        assert any("503" in line and "carrier" in line for line in shown)
        assert any("180" in line and "office" in line for line in shown), "the other side, from then on"


def test_one_call_is_shown_alone_until_it_is_over() -> None:
    stage = Traced(call="000000000001")
    answered(stage)
    assert "\n".join(stage.ladder()) == LADDER and stage.view.ended
    stage.office.invite(Call_ID="another")
    assert stage.ladder() == []


def test_a_call_that_is_redirected_is_followed_to_where_it_goes_on() -> None:
    rules = 'rules: [{name: all, when: true, then: "follow redirects\\nroute \\"carrier\\""}]'
    stage = Traced(snapshot(rules), call="000000000001")
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 302, Contact="<sip:+12125550111@carrier.example>")
    calls = {each.call for each in stage.events() if isinstance(each, Seen)}
    assert calls == {"000000000001", *stage.engine.calls}
    assert len(calls) == 2 and not stage.view.ended


def test_a_phone_registers_on_the_left_and_its_password_is_no_ones_business() -> None:
    stage = Traced(configured())
    phone = Phone(stage)
    phone.registers()
    challenge = phone.challenge
    assert challenge is not None
    shown = stage.ladder(whole=True)
    lines = [line for line in shown if line.startswith("|")]
    assert [line[:28] for line in lines] == [
        "|----- REGISTER alice ---->|", "|<---- 401 Unauthorized ---|",
        "|----- REGISTER alice ---->|", "|<--------- 200 OK --------|",
    ]  # fmt: skip
    assert all("phones" in line for line in lines)
    text = "\n".join(shown)
    assert challenge.nonce not in text and 'username="alice"' in text
    (answer,) = re.findall(r'\bresponse="(.*?)"', text)
    assert len(answer) in (32, 64) and set(answer) == {"x"}
    assert not any(each.call for each in stage.events(stage.again()) if isinstance(each, Seen))


def test_probes_of_ours_are_on_the_right_with_their_answers() -> None:
    stage = Traced(snapshot(options={"every": 10}))
    stage.carry_out(stage.engine.probe(stage.now))
    probe = stage.carrier.hears_request("OPTIONS")
    stage.carrier.respond(probe, 200)
    stage.office.request("OPTIONS", Call_ID="from-office")
    lines = [line for line in stage.ladder() if line.startswith("|")]
    ours = [line for line in lines if "carrier" in line]
    assert [line[27:55] for line in ours] == ["|-------- OPTIONS -------->|", "|<--------- 200 OK --------|"]
    theirs = [line for line in lines if "office" in line][-2:]
    assert [line[:28] for line in theirs] == ["|-------- OPTIONS -------->|", "|<--------- 200 OK --------|"]


def test_what_no_rule_takes_is_refused_before_everybodys_eyes() -> None:
    stage = Traced()
    stage.backup.invite()
    lines = stage.ladder()
    assert "  reject 404 No route, by no rule matched" in lines
    assert any(line.startswith("|<------ 404 No route -----|") for line in lines)


def test_so_many_messages_and_no_more() -> None:
    stage = Traced(most=3)
    answered(stage)
    messages = [each for each in stage.events() if isinstance(each, Seen)]
    assert len(messages) == 3 and stage.view.over == "that was as many as were asked for: 3"


def test_what_comes_faster_than_it_is_read_is_counted_and_the_rest_is_whole() -> None:
    stage = Traced()
    for number in range(3000):
        stage.office.request("OPTIONS", Call_ID=f"flood-{number}")
    events = stage.events()
    messages = [each for each in events if isinstance(each, Seen)]
    lost = [each for each in events if isinstance(each, Remark) and each.kind == "lost"]
    assert len(messages) + int(lost[0].text) == 6000 and len(messages) >= 5000
    assert stage.view.missed == int(lost[0].text) and stage.view.idle
    stage.office.request("OPTIONS", Call_ID="afterwards")
    assert [each.call_id for each in stage.events() if isinstance(each, Seen)] == ["afterwards"] * 2
