"""The journal as RFC 5424 has it, read by a reader that is written from the RFC's grammar."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sbc.observe.syslog import ELEMENT, OF_DATAGRAMS, OF_STREAMS, Syslog, counted

NOW = 1777630000.25

# RFC 5424 section 6: the header, one element of structured data or "-", and the message.
_NAME = rb"[!#-<>-\\^-~]{1,32}"
_PARAM = rb" (" + _NAME + rb')="((?:[^"\\\]]|\\["\\\]])*)"'
_WHOLE = re.compile(
    rb"<(\d{1,3})>1 (\S+) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
    rb"(-|\[(" + _NAME + rb")((?:" + _PARAM + rb")*)\])(?: (.*))?", re.DOTALL,
)  # fmt: skip


class Heard(NamedTuple):
    """One message as a collector has it."""

    priority: int
    time: str
    host: str
    kind: str
    element: str
    values: list[tuple[str, str]]
    text: str


def read(message: bytes) -> Heard:
    found = _WHOLE.fullmatch(message)
    assert found is not None, message
    values = [
        (name.decode(), re.sub(rb'\\(["\\\]])', rb"\1", value).decode())
        for name, value in re.findall(_PARAM, found[9] or b"")
    ]
    element = (found[8] or b"").decode()
    return Heard(
        int(found[1]),
        found[2].decode(),
        found[3].decode(),
        found[6].decode(),
        element,
        values,
        found[12].decode(),
    )


def syslog(most: int = OF_STREAMS) -> Syslog:
    return Syslog(16, "sbc-1", 4711, most)


def test_a_line_of_the_journal() -> None:
    heard = read(syslog().message("WRN", "[sips-downgrade]", {"call": "9f3a", "from": "alice"}, NOW))
    assert heard.priority == 16 * 8 + 4 and heard.host == "sbc-1" and heard.kind == "sips-downgrade"
    assert datetime.fromisoformat(heard.time).timestamp() == NOW
    assert (heard.element, heard.values) == (ELEMENT, [("call", "9f3a"), ("from", "alice")])
    assert heard.text == "[sips-downgrade] call=9f3a from=alice"


def test_levels_are_severities() -> None:
    said = [read(syslog().message(level, "call", {}, NOW)).priority % 8 for level in ("ERR", "WRN", "INF")]
    assert said == [3, 4, 6]


def test_without_fields_there_is_no_structured_data() -> None:
    assert b" stop - [stop]" in syslog().message("INF", "[stop]", {}, NOW)


def test_a_tag_of_several_words_has_one_word_for_its_kind() -> None:
    assert read(syslog().message("INF", "REGISTER carrier TLS (sips:)", {}, NOW)).kind == "REGISTER"


def test_secrets_are_in_neither_part() -> None:
    fields = {"reason": "inline:AAAABBBB", "password": "sesame", "uri": "sip:a:hush@b"}
    message = syslog().message("INF", "call", fields, NOW)
    assert not any(secret in message for secret in (b"AAAABBBB", b"sesame", b"hush"))


def test_a_peer_forges_neither_an_element_nor_a_value_nor_a_message() -> None:
    evil = (
        'x"] [sbc@32473 call="forged"] <13>1 - - - - - -\n<13>1 2026-01-01T00:00:00Z h a - - - forged\0\u2028'
    )
    message = syslog().message("INF", "[malformed]", {"agent": evil, "call": "c1"}, NOW)
    heard = read(message)
    assert [name for name, _ in heard.values] == ["agent", "call"] and heard.values[1] == ("call", "c1")
    assert b"\n" not in message and b"\0" not in message


@given(
    st.dictionaries(st.text(max_size=40), st.one_of(st.text(), st.integers(), st.none()), max_size=12),
    st.text(max_size=60), st.sampled_from((OF_DATAGRAMS, OF_STREAMS)),
)  # fmt: skip
def test_whatever_the_fields_hold_it_is_one_message_of_bounded_length(
    fields: dict[str, object], tag: str, most: int
) -> None:
    message = syslog(most).message("INF", tag, fields, NOW)
    assert len(message) <= most
    heard = read(message)
    assert len(heard.values) <= len(fields) and not set(message) & set(range(32))
    message.decode("utf-8")


def test_what_is_too_long_for_a_datagram_loses_its_last_fields() -> None:
    fields = {"call": "c1", "agent": "a" * 2000, "to": "bob"}
    heard = read(syslog(OF_DATAGRAMS).message("INF", "call", fields, NOW))
    assert heard.values == [("call", "c1"), ("to", "bob")]
    assert dict(read(syslog().message("INF", "call", fields, NOW)).values)["agent"] == "a" * 2000


def test_in_a_stream_its_length_comes_first() -> None:
    assert counted("ä".encode()) == b"2 \xc3\xa4"
