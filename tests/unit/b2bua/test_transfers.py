"""What is read of a REFER and of Replaces, and what is written of them for the other side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.b2bua.transfers import (
    MOST_REFERS,
    Refers,
    Replaces,
    event_across,
    fragment,
    parse_replaces,
    refer_crossed,
    refer_to,
    target_dialog,
)
from sbc.base import PeerError
from sbc.sip.headers import Headers
from sbc.sip.message import Request

WRITTEN = "abc@host;to-tag=b;from-tag=a"


def refer(**headers: str) -> Request:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request("REFER", "sip:sbc.example", Headers(fields))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (WRITTEN, Replaces("abc@host", "b", "a")),
        ("abc ; From-Tag = a ; TO-TAG=b ;x=1", Replaces("abc", "b", "a")),
        (f"{WRITTEN};early-only", Replaces("abc@host", "b", "a", True)),
    ],
)
def test_replaces_is_read(text: str, read: Replaces) -> None:
    assert parse_replaces(text) == read
    assert parse_replaces(str(read)) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";to-tag=a;from-tag=b",
        "a;to-tag=b",
        "a;to-tag=;from-tag=b",
        f"{WRITTEN};to-tag=c",
        "a\r\nX: 1;to-tag=a;from-tag=b",
        "a;to-tag=a\x00;from-tag=b",
        "a;to-tag=a;from-tag=b\nc",
        "a\ufffd;to-tag=a;from-tag=b",
        "a b;to-tag=a;from-tag=b",
    ],
)
def test_what_is_no_replaces_is_refused(text: str) -> None:
    with pytest.raises(PeerError) as refused:
        parse_replaces(text)
    assert refused.value.status == 400


def test_refer_to_holds_an_address_and_perhaps_a_dialog() -> None:
    to = refer_to(
        refer(Refer_To='"Bob" <sip:bob:secret@h:5070;method=INVITE;x-a=1?Replaces=abc%40host%3Bto-tag%3Db'
              "%3Bfrom-tag%3Da&Require=replaces>")
    )  # fmt: skip
    assert str(to.uri) == "sip:bob@h:5070;x-a=1"
    assert to.replaces == parse_replaces(WRITTEN)
    assert refer_to(refer(Refer_To="tel:+12125550100")).replaces is None


def test_a_dialog_that_a_refer_is_about_is_named_from_the_other_end() -> None:
    found = target_dialog(refer(Target_Dialog="abc;local-tag=theirs;remote-tag=ours"))
    assert found == ("abc", "ours", "theirs")
    assert target_dialog(refer()) is None


@given(st.text(max_size=80))
def test_only_a_peers_fault_comes_of_what_a_peer_writes(text: str) -> None:
    for read in (
        lambda: parse_replaces(text),
        lambda: refer_to(refer(Refer_To=text)),
        lambda: refer_to(refer(Refer_To=f"<sip:a@b?Replaces={text}>")),
        lambda: target_dialog(refer(Target_Dialog=text)),
        lambda: event_across((("a", 1, 2),), "b", refer(Event=text)),
        lambda: fragment(text.encode("utf-8", "surrogateescape")),
    ):
        try:
            read()
        except PeerError as refused:
            assert refused.status in (400, 416, 501)


def test_of_many_refers_the_last_ones_are_known() -> None:
    known: Refers = ()
    for number in range(MOST_REFERS + 3):
        known = refer_crossed(known, "a", number, 100 + number)
    assert len(known) == MOST_REFERS
    assert event_across(known, "b", refer(Event="refer;id=110")) == "refer;id=10"
    assert event_across(known, "b", refer(Event="refer;id=100")) is None
    assert event_across(known, "a", refer(Event="refer;id=110")) is None, (
        "it was the other side that referred"
    )
    again = refer_crossed(known, "a", 10, 111)
    assert len(again) == MOST_REFERS
    assert event_across(again, "b", refer(Event="REFER ; ID=111")) == "refer;id=10"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"SIP/2.0 180 Ringing\r\nContact: <sip:x@10.1.1.1>\r\n", b"SIP/2.0 180 Ringing\r\n"),
        (b"SIP/2.0 200 OK", b"SIP/2.0 200 OK\r\n"),
        (b"INVITE sip:a@b SIP/2.0\r\n", b""),
        (b"SIP/2.0 999 No\r\n", b""),
        (b"SIP/2.0 200", b"SIP/2.0 200\r\n"),
        (b"SIP/2.0 486\r\n", b"SIP/2.0 486\r\n"),
        (b"SIP/2.0 2000", b""),
        (b"", b""),
    ],
)
def test_of_a_fragment_the_status_line_is_kept(body: bytes, kept: bytes) -> None:
    assert fragment(body) == kept
