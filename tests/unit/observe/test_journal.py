"""The journal: one event, one line; no peer can forge a line or a field, no secret gets in."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.b2bua.commands import Note
from sbc.observe.journal import Journal
from sbc.observe.text import MOST_SHOWN, redact
from sbc.observe.views import StatusView
from tests.unit.observe.pictures import NOW, picture


def lines_of(*notes: Note, level: Any = "INF") -> list[str]:
    lines: list[str] = []
    journal = Journal(lines.append, level)
    for note in notes:
        journal.note(note, NOW + 0.25)
    return lines


def line_of(fields: dict[str, Any], event: str = "call-up") -> str:
    [line] = lines_of(Note(event, "c1", fields))
    return line


def test_arrival_is_one_greppable_line() -> None:
    fields = {
        "method": "INVITE",
        "from": "sips:a@x",
        "to": "sips:b@y",
        "remote": "192.0.2.1:49152",
        "local": "203.0.113.9:5061",
    }
    [line] = lines_of(Note("sips-arrival", "abc@host", fields))
    assert line == (
        "2026-05-01T10:06:40.250Z INF [sips-arrival] CallID=abc@host method=INVITE from=sips:a@x"
        " to=sips:b@y remote=192.0.2.1:49152 local=203.0.113.9:5061"
    )


def test_a_registration_is_two_greppable_lines() -> None:
    sent = {"trunk": "carrier", "transport": "TLS", "scheme": "sips", "user": "4930123", "expires": 3600}
    done = {"trunk": "carrier", "user": "4930123", "expires": 1800, "numbers": None}
    lines = lines_of(Note("register", "", sent), Note("registered", "", done))
    assert [line.partition(" ")[2] for line in lines] == [
        "INF REGISTER carrier TLS (sips:) user=4930123 expires=3600",
        "INF REGISTER OK trunk=carrier user=4930123 expires=1800",
    ]


def test_downgrade_warns_once_a_call_and_again_for_the_next() -> None:
    downgrade = Note("sips-downgrade", "c1", {"trunk": "legacy", "policy": "warn"})
    other = Note("sips-downgrade", "c2", {"trunk": "legacy", "policy": "warn"})
    lines = lines_of(downgrade, downgrade, other)
    assert [line.split(" ", 1)[1] for line in lines] == [
        "WRN [sips-downgrade] call=c1 trunk=legacy policy=warn",
        "WRN [sips-downgrade] call=c2 trunk=legacy policy=warn",
    ]


def test_an_ended_call_is_forgotten() -> None:
    downgrade = Note("sips-downgrade", "c1", {})
    lines = lines_of(downgrade, Note("call-ended", "c1", {}), downgrade)
    assert sum("[sips-downgrade]" in line for line in lines) == 2


def test_unknown_events_are_logged_under_their_call_or_their_name() -> None:
    assert line_of({"status": 200}, "call-up").endswith("INF call call=c1 event=call-up status=200")
    [line] = lines_of(Note("store-opened", "", {"path": "run/state"}))
    assert line.endswith("INF [store-opened] path=run/state")


def test_every_line_of_a_call_carries_its_id() -> None:
    for event in ("media-refused", "hook-failed", "hook-slow", "call-up", "sips-downgrade"):
        assert " call=c1" in line_of({"reason": "x"}, event)


def test_level_keeps_out_what_is_below_it() -> None:
    notes = Note("call-up", "c1", {}), Note("hook-slow", "c1", {}), Note("internal-error", "c1", {})
    assert len(lines_of(*notes, level="WRN")) == 2
    assert len(lines_of(*notes, level="ERR")) == 1


def test_none_is_left_out_and_empty_is_shown() -> None:
    assert line_of({"a": None, "b": "", "c": 0}).endswith(' b="" c=0')


def test_no_peer_ends_the_line_or_forges_a_field() -> None:
    line = line_of({"from": "x\r\n2026 ERR forged\x1b[31m\u2028 to=y", "to": 'a"b\\c'})
    assert "\n" not in line and "\r" not in line and "\x1b" not in line and "\u2028" not in line
    assert r'from="x\x0d\x0a2026 ERR forged\x1b[31m\u2028 to=y"' in line
    assert line.endswith(r' to="a\"b\\c"')


def test_bytes_that_are_not_utf8_can_be_written() -> None:
    line = line_of({"from": b"caf\xe9".decode("utf-8", "surrogateescape")})
    assert line.encode() and r"caf\xe9" in line


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwg|2^31|1:1", "WVNfX19zZW1jdGwg"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 INLINE:WVNfX19zZW1jdGwg", "WVNfX19zZW1jdGwg"),
        ('Digest username="a", response="6629fae49393a053"', "6629fae49393a053"),
        ('cnonce="0a4f113b"', "0a4f113b"),
        ("sip:alice:sesame@atlanta.example", "sesame"),
        ("password=sesame", "sesame"),
        ("ConnectionError: https://bob:sesame@crm.example:8443/route", "sesame"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:\tWVNfX19zZW1jdGwg|2^31|1:1", "WVNfX19zZW1jdGwg"),
        # RFC 3261 19.1.1: what a URI holds of a header field, or of a body, is escaped.
        ("sip:b@h?Authorization=Digest%20response%3D%226629fae49393a053%22", "6629fae49393a053"),
        ("sip:b@h?Subject=x&proxy-authorization=Basic%20c2VzYW1l", "c2VzYW1l"),
        ("sip:b@h?body=a%3Dcrypto%3A1%20AEAD_AES_256_GCM%20inline%3AWVNfX19zZW1jdGwg", "WVNfX19zZW1jdGwg"),
    ],
)
def test_secrets_are_blotted_out(text: str, secret: str) -> None:
    for line in (line_of({"reason": text}), line_of({"reason": text.replace(" ", "_")})):
        assert secret not in line and "[redacted]" in line


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("sip:a:" * 2000 + "sesame@atlanta.example", "sesame"),
        ("sip:bob" + "x" * 3000 + ":sesame@atlanta.example", "sesame"),
        ("<sip:a> " * 500 + "sip:alice:sesame@atlanta.example", "sesame"),
        ("sip:alice:b<sip:alice:sesame@atlanta.example", "sesame"),
        ("sip:alice;password=x;y=sip:alice:sesame@atlanta.example", "sesame"),
        ("response=sip:alice:sesame@atlanta.example", "sesame"),
        ("sip:alice:x;response=y@atlanta.example,sip:alice:sesame@atlanta.example", "sesame"),
        ("SIPS:alice:SESAME@atlanta.example", "SESAME"),
        ("gossip:alice:sesame@atlanta.example", "sesame"),
        ('password="open sesame"', "sesame"),
        ('password="open \\"sesame\\""', "sesame"),
        ('response = "6629fae49393a053"', "6629fae49393a053"),
        ("cnonce\t=\t0a4f113b", "0a4f113b"),
        ("inline:\udcff\udcfeWVNfX19zZW1jdGwg", "WVNfX19zZW1jdGwg"),
        ("sip:\udcff:\udcffsesame@h", "sesame"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline: WVNfX19zZW1jdGwg", "WVNfX19zZW1jdGwg"),
    ],
)
def test_secrets_are_blotted_out_of_long_and_odd_texts(text: str, secret: str) -> None:
    assert secret not in line_of({"reason": text}) and secret not in redact(text)
    assert len(redact(text)) < 2200


@given(st.integers(1500, 2200), st.sampled_from(["sip:alice:", "inline:", "password=", 'response="', "ha1="]))
def test_where_a_long_text_is_cut_no_part_of_a_secret_shows(before: int, name: str) -> None:
    end = '"' if '"' in name else "@h" if "sip" in name else " "
    shown = redact("x" * before + " " + name + "\u20ac" * 900 + end + "z" * 300)
    assert "\u20ac" not in shown and shown.endswith("...") and len(shown) < 2200


def test_a_text_of_the_longest_size_is_shown_whole() -> None:
    text = "sip:" + "x" * (MOST_SHOWN - 4)
    assert redact(text) == text and redact(text + "y") == text + "..."


def test_fields_named_for_secrets_are_never_shown() -> None:
    assert line_of({"password": "sesame", "key": b"sesame"}).endswith("password=[redacted] key=[redacted]")


def test_ordinary_uris_stay_whole() -> None:
    uri = "sip:alice@192.0.2.1:5061;transport=tls"
    assert line_of({"to": uri}).endswith(f" to={uri}")


@given(st.dictionaries(st.sampled_from(["from", "to", "reason"]), st.text(), min_size=1))
def test_any_text_is_one_line_of_the_same_fields(fields: dict[str, str]) -> None:
    line = line_of(fields)
    body = line.partition("event=call-up")[2]
    found = re.findall(r' (\w+)=(?:"(?:[^"\\]|\\.)*"|[^\s"]+)', body)
    assert line.isprintable() and found == list(fields)


def objects_of(*notes: Note) -> list[dict[str, Any]]:
    lines: list[str] = []
    journal = Journal(lines.append)
    journal.form = "json"
    for note in notes:
        journal.note(note, NOW + 0.25)
    assert all(line.isascii() and line.isprintable() for line in lines)
    return [json.loads(line) for line in lines]


def test_as_json_a_line_is_an_object_with_the_same_names() -> None:
    [line] = objects_of(
        Note("sips-arrival", "abc@host", {"method": "INVITE", "from": "sips:a@x", "local": None})
    )
    assert line == {
        "time": "2026-05-01T10:06:40.250Z",
        "level": "INF",
        "tag": "[sips-arrival]",
        "CallID": "abc@host",
        "method": "INVITE",
        "from": "sips:a@x",
    }
    [ended] = objects_of(Note("call-ended", "c1", {"status": 200, "duration": 1.5, "downgraded": False}))
    assert (ended["status"], ended["duration"], ended["downgraded"]) == (200, 1.5, False)


def test_as_json_nobody_forges_a_name_and_no_secret_is_shown() -> None:
    odd = 'x", "level": "ERR\r\n' + b"caf\xe9".decode("utf-8", "surrogateescape")
    fields = {"from": odd, "to": "sip:alice:sesame@atlanta.example", "password": "sesame", "time": "x"}
    [line] = objects_of(Note("call-up", "c1", fields))
    assert line["level"] == "INF" and line["time"].startswith("2026-")
    assert line["from"] == odd[:-1] + "\\xe9"
    assert "sesame" not in str(line) and line["password"] == "[redacted]"


@given(st.dictionaries(st.sampled_from(["from", "to", "level"]), st.text() | st.floats() | st.none()))
def test_as_json_any_field_is_read_back(fields: dict[str, Any]) -> None:
    [line] = objects_of(Note("call-up", "c1", fields))
    told = {name for name, value in fields.items() if value is not None}
    assert set(line) == {"time", "level", "tag", "call", "event"} | told and line["level"] == "INF"


def test_stats_every_thirty_seconds() -> None:
    lines: list[str] = []
    asked: list[StatusView] = []

    def status() -> StatusView:
        asked.append(picture())
        return asked[-1]

    journal = Journal(lines.append)
    for second in range(61):
        journal.stats(status, NOW + second, second)
    assert len(lines) == len(asked) == 3
    assert lines[0].split(" ", 1)[1] == (
        "INF [SIPS-stats] handshakes=17 failures=5 in_flight=3 open=4 arrivals=9 downgrades=1 calls=1"
        " blocklist=2"
    )
    assert lines[1].startswith("2026-05-01T10:07:10")
