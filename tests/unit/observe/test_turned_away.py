"""What was refused before any rule: a record each, until somebody brings too many; none goes uncounted."""

from __future__ import annotations

import json
from typing import Any

from sbc.b2bua.commands import Note
from sbc.base import Address
from sbc.flow import Flow
from sbc.observe.journal import Journal
from sbc.observe.recorder import Recorder
from sbc.observe.turned_away import ALL, EACH, EVERY, MOST
from sbc.sip.parse import parse_message

NOW = 1777630000.0


class Papers:
    """A recorder and the records that it wrote."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.lines: list[str] = []
        self.recorder = Recorder(Journal(self.log.append), self.lines.append)

    def refuse(
        self,
        host: str = "198.51.100.1",
        at: float = NOW,
        trunk: str = "office",
        caller: str = "<sip:alice@x>",
    ) -> None:
        text = (
            "INVITE sip:+12125550100@sbc SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n"
            f"From: {caller};tag=1\r\nTo: <sip:+12125550100@sbc>\r\nCall-ID: c@x\r\nCSeq: 1 INVITE\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        flow = Flow(1, "udp", Address("192.0.2.1", 5060), Address(host, 5060), trunk=trunk)
        fields = {
            "request": parse_message(text.encode()), "a": flow, "from": trunk, "status": 503,
            "reason": "over limits.rates.invite", "created": at,
        }  # fmt: skip
        self.recorder.note(Note("call-turned-away", "", fields), None, at)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def test_the_record_of_one_that_was_refused() -> None:
    papers = Papers()
    papers.refuse()
    (record,) = papers.records
    assert (record["call"], record["rule"], record["refused"]) == ("", "", 1)
    assert (record["caller"], record["called"]) == ("alice", "+12125550100")
    assert (record["status"], record["reason"], record["ended_by"]) == (503, "over limits.rates.invite", "us")
    assert record["started"] == record["ended"] and record["answered"] is None and record["b"] is None
    assert record["a"]["remote"] == "198.51.100.1:5060" and record["a"]["call_id"] == "c@x"
    assert papers.log == [], "the journal has its own line about it"
    assert papers.recorder.counters.view().calls == 0


def test_ten_a_second_of_a_source_are_recorded_and_the_rest_is_one_record_with_its_count() -> None:
    papers = Papers()
    for number in range(1000):
        papers.refuse(at=NOW + number / 2000)
    assert len(papers.lines) == EACH
    papers.recorder.tick(NOW + 1)
    assert len(papers.lines) == EACH, "it is still counted"
    papers.recorder.tick(NOW + EVERY + 1)
    rest = papers.records[-1]
    assert rest["refused"] == 1000 - EACH and (rest["caller"], rest["called"]) == ("", "")
    assert rest["a"]["trunk"] == "office" and rest["a"]["remote"] == "198.51.100.1:5060"
    assert sum(each["refused"] for each in papers.records) == 1000
    papers.recorder.tick(NOW + 9 * EVERY)
    assert len(papers.lines) == EACH + 1, "what is told is told once"


def test_one_source_takes_no_record_from_another() -> None:
    papers = Papers()
    for _ in range(100):
        papers.refuse()
    papers.refuse("198.51.100.2")
    papers.refuse("198.51.100.2", trunk="carrier")
    assert [each["refused"] for each in papers.records] == [1] * (EACH + 2)


def test_many_sources_are_bounded_too_and_none_goes_uncounted() -> None:
    papers, count = Papers(), MOST + ALL + 500
    for number in range(count):
        papers.refuse(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(papers.lines) == ALL
    papers.recorder.turned_away.close()
    assert len(papers.lines) == ALL + MOST + 1
    assert sum(each["refused"] for each in papers.records) == count
    (others,) = [each for each in papers.records if each["a"]["remote"] == ""]
    assert others["refused"] == 500 and others["a"]["trunk"] == ""


def test_a_source_of_ipv6_is_its_network() -> None:
    papers = Papers()
    for number in range(100):
        papers.refuse(f"2001:db8::{number:x}")
    assert len(papers.lines) == EACH


def test_what_cannot_be_read_has_a_record_without_it() -> None:
    papers = Papers()
    papers.refuse(caller="<sip:[x@;;>")
    assert papers.records[0]["caller"] == ""


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    papers = Papers()
    for _ in range(50):
        papers.refuse()
    papers.refuse(at=NOW - 3600)
    papers.recorder.tick(NOW - 3599)
    assert sum(each["refused"] for each in papers.records) == 51
