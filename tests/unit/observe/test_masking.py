"""Numbers are shortened wherever they stand, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.b2bua.commands import Note
from sbc.base import Address
from sbc.flow import Flow
from sbc.observe.journal import Journal
from sbc.observe.masking import Mask
from sbc.observe.recorder import Recorder
from sbc.sip.uri import parse_uri

MASK = Mask(4)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+4930123456", "+493012xxxx"),
        ("4930123456", "493012xxxx"),
        ("sip:+4930123456@carrier.example;user=phone", "sip:+493012xxxx@carrier.example;user=phone"),
        ("<sip:%2B4930123456@a>", "<sip:%2B493012xxxx@a>"),
        ("tel:+49-30-123-456", "tel:+49-30-12x-xxx"),
        ("tel:030-123456", "tel:030-12xxxx"),
        ("sip:030-123456@a", "sip:030-12xxxx@a"),
        ("sip:030123@a", "sip:03xxxx@a"),
        ('"4930123456" <sip:a@b>', '"493012xxxx" <sip:a@b>'),
        ("+4930123456 calls as +4940654321: no", "+493012xxxx calls as +494065xxxx: no"),
        ("+49 12345", "+49 12345"),  # what a blank divides are two
        ("limit of 60 minutes: from.user=+4930123456", "limit of 60 minutes: from.user=+493012xxxx"),
    ],
)
def test_numbers_lose_their_last_digits(text: str, shown: str) -> None:
    assert MASK.text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "112", "sip:112@sbc", "911", "11833", "1001", "sip:1001@pbx", "+1",
        "192.168.100.200:50600", "sip:192.168.100.200", "sip:192.168.100.200:5060;transport=tls",
        "2001:db8::1234:5678", "[2001:db8::1234:5678]:5061",
        "2026-11-29T20:07:54.123Z", "9f3a1100aa77", "550e8400-e29b-41d4-a716-446655440000",
        "sha256/00112233445566778899aabbccddeeff", "calls.jsonl-20261129", "z9hG4bK1234567890",
        "503 Service Unavailable", "0.412", "12345.678901",
    ],
)  # fmt: skip
def test_what_is_no_number_stays_as_it_is(text: str) -> None:
    assert MASK.text(text) == text


@given(
    st.integers(1, 15),
    st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    st.text("ab <>:;@\"'=,", max_size=9),
)
def test_so_many_digits_are_left_out_wherever_it_stands(digits: int, number: str, around: str) -> None:
    text = f"{around} {number} {around}"
    masked = Mask(digits).text(text)
    assert len(masked) == len(text) and masked.count("x") == min(digits, len(number) - 1)
    assert number not in masked


@given(st.text())
def test_whatever_a_text_holds_only_digits_change_and_nothing_moves(text: str) -> None:
    masked = MASK.text(text)
    assert len(masked) == len(text)
    assert all(a == b or (a.isdigit() and b == "x") for a, b in zip(text, masked, strict=True))


def test_a_long_row_of_digits_takes_no_long_time() -> None:
    assert MASK.text("1" * 100_000 + "a") == "1" * 100_000 + "a"
    assert MASK.text("+" + "1-" * 50_000 + "a").endswith("a")


def test_a_sip_message_keeps_its_length_its_branches_and_its_body() -> None:
    message = (
        b"INVITE sip:+4930123456@a SIP/2.0\r\nVia: SIP/2.0/TLS 10.0.0.1;branch=z9hG4bK-7654321\r\n"
        b"From: <sip:4940654321@a>;tag=1\r\nf: <sip:4940654321@a>\r\nCall-ID: 1234567890@x\r\n"
        b"CSeq: 1234567 INVITE\r\nContent-Length: 0\r\n\r\no=- 1234567890 1 IN IP4 1.1.1.1\r\n"
    )
    shown = MASK.octets(message)
    assert len(shown) == len(message)
    for same in (b"branch=z9hG4bK-7654321", b"1234567890@x", b"CSeq: 1234567 INVITE", b"o=- 1234567890 "):
        assert same in shown
    assert b"3456" not in shown.split(b"\r\n")[0] and b"4321@" not in shown


def test_the_journal_and_the_records_leave_them_out_and_what_finds_a_call_stays() -> None:
    log: list[str] = []
    records: list[str] = []
    recorder = Recorder(Journal(log.append), records.append)
    recorder.mask = recorder.journal.mask = MASK
    flow = Flow(1, "udp", Address("192.0.2.1", 5060), Address("198.51.100.1", 5060), trunk="office")
    fields: dict[str, Any] = {
        "caller": "+4930123456", "called": "+4940654321", "rule": "all", "from": "office", "to": "",
        "status": 486, "reason": "busy: +4940654321", "by": "callee", "created": 1.0, "answered": 0.0,
        "ended": 2.0, "duration": 0.0, "a": flow, "b": None, "call_id": "1234567890@pbx",
        "tags": ("vip +4930123456",),
        "lookups": {"crm": {"number": "+4930123456"}},
        "asserted": "+4930123456",
    }  # fmt: skip
    recorder.note(Note("call-ended", "1234567890ab", fields), None, 2.0)
    named = {**fields, "from": "4930123456", "to": "4930123457", "rule": "4930123458"}
    recorder.note(Note("call-ended", "1234567890ac", named), None, 2.0)
    other = json.loads(records.pop())
    assert (other["a"]["trunk"], other["b"]["trunk"], other["rule"]) == (
        "4930123456",
        "4930123457",
        "4930123458",
    )
    log.pop()
    uris = {"from": parse_uri("sip:+4930123456@a"), "to": "sip:+4940654321@b", "remote": flow.remote}
    recorder.note(Note("sips-arrival", "1234567890@pbx", uris), None, 2.0)
    text = "\n".join([*log, *records])
    assert "123456@" not in text.replace("1234567890@pbx", "") and "+4930123456" not in text
    assert "654321" not in text and "+493012xxxx" in log[0] and "to=sip:+494065xxxx@b" in log[1]
    (record,) = map(json.loads, records)
    assert (record["caller"], record["called"]) == ("+493012xxxx", "+494065xxxx")
    assert record["a"]["call_id"] == "1234567890@pbx" and "CallID=1234567890@pbx" in log[1]
    assert record["lookups"] == {"crm": {"number": "+493012xxxx"}} and record["tags"] == ["vip +493012xxxx"]


def test_an_address_is_written_as_one() -> None:
    fields = {"remote": Address("192.0.2.1", 5061), "tags": ("+4930123456", "vip")}
    masked = Mask(4).fields(fields)
    assert str(masked["remote"]) == "192.0.2.1:5061"
    assert masked["tags"] == ("+493012xxxx", "vip")
