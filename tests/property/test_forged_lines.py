"""No peer writes our journal, our records or our metrics: whatever it says is one value of one field.

Line ends of every kind, quotes, equals signs, backslashes, what moves a terminal's cursor and what is no
UTF-8 are put wherever a peer can put something; each line must still be one, with the fields as they were.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.b2bua.commands import Note
from sbc.demo.process import words
from sbc.observe.families import family
from sbc.observe.journal import EVENTS, Form, Journal
from sbc.observe.metrics import exposition
from sbc.observe.recorder import Recorder
from tests.property.attacker import Attacker
from tests.unit.observe.pictures import NOW, picture

ENDS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\x00")
FORGED = "2026-05-01T10:00:00.000Z ERR [start] event=forged trunk=forged"
# What ends a word or a line, is a word of its own, or moves the cursor of whoever reads.
SHARP = (
    *ENDS, *(f"{end}{FORGED}" for end in ENDS), " event=forged", '" event=forged x="', "=", '"', "\\", '\\"',
    "\x1b[2J", "\x1b]0;forged\x07", "\x9b2J", "\u202e", "\ufeff", "\udcff", "'",
    '{"event":"forged"}', "}", ",",
)  # fmt: skip
hostile = st.lists(st.sampled_from(SHARP) | st.text(max_size=6), max_size=5).map("".join)
COUNTED = picture().counters
FIELDS = ("from", "to", "reason", "remote", "call_id", "user_agent", "caller", "called", "peer", "detail")

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:INF|WRN|ERR) (?:\[[\w-]+\]|call|REGISTER(?: OK)?[^=\n]*?)"
    r'(?: [\w-]+=(?:"(?:[^"\\]|\\.)*"|[^\s"\\]+))*'
)
NAMES = re.compile(r' ([\w-]+)=(?:"(?:[^"\\]|\\.)*"|[^\s"\\]+)')
SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\[\\n"])*",?)*)\})? (\S+)')


def told(note: Note, form: Form) -> str:
    """The one line that a journal makes of ``note``."""
    lines: list[str] = []
    journal = Journal(lines.append)
    journal.form = form
    journal.note(note, NOW)
    (line,) = lines
    return line.removesuffix("\n")


def is_one_line(line: str) -> bool:
    return len(line.splitlines()) == 1 and line.isprintable()


@given(st.sampled_from(sorted(set(EVENTS) - {"register"})), st.dictionaries(st.sampled_from(FIELDS), hostile))
def test_every_event_is_one_line_with_its_own_fields(event: str, fields: dict[str, str]) -> None:
    line = told(Note(event, "", fields), "keyvalue")
    assert is_one_line(line) and LINE.fullmatch(line), line
    own = ["event"] if EVENTS[event][1] not in (f"[{event}]", "REGISTER OK", "[sips-arrival]") else []
    found = NAMES.findall(line)
    assert [each for each in found if each != "CallID"] == own + list(fields)
    assert set(words(line)) <= {"event", "CallID", *fields}


@given(st.dictionaries(st.sampled_from(FIELDS), hostile))
def test_as_json_it_is_one_line_with_the_same_values(fields: dict[str, str]) -> None:
    line = told(Note("call-up", "c1", fields), "json")
    assert is_one_line(line)
    pairs = json.loads(line, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names) and set(names) == {"time", "level", "tag", "call", "event", *fields}
    assert dict(pairs)["event"] == "call-up"


def samples(text: str) -> list[tuple[str, dict[str, str], str]]:
    """What a reader of Prometheus' text format makes of it; every line ends with LF alone."""
    found = []
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            whole = SAMPLE.fullmatch(line)
            assert whole, line
            pairs = re.findall(r'(\w+)="((?:[^"\\\n]|\\.)*)"', whole[2] or "")
            found.append((whole[1], {name: unescaped(value) for name, value in pairs}, whole[3]))
    return found


def unescaped(value: str) -> str:
    """The value of a label, as Prometheus reads it."""
    return re.sub(r"\\(.)", lambda at: "\n" if at[1] == "n" else at[1], value)


@given(hostile, hostile)
def test_a_label_is_read_back_as_it_was_and_is_no_sample_of_its_own(one: str, other: str) -> None:
    text = "\n".join(family("sbc_x", "gauge", "What it is.", [({"trunk": one, "of": other}, 1.0)]))
    assert samples(text) == [("sbc_x", {"trunk": one, "of": other}, "1")]


@settings(max_examples=20)
@given(hostile)
def test_what_is_counted_under_a_word_is_one_sample(word: str) -> None:
    counters = replace(COUNTED, events=(*COUNTED.events, (word, 3)))
    with_it, without = (samples(exposition(picture(counters=each))) for each in (counters, COUNTED))
    assert len(with_it) - len(without) in (0, 1)


class Forger(Attacker):
    """Puts what is sharp into each header that is told of, and into the octets of some."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, 0.1, soil=self.forge)
        # Control characters are refused as such: every other one has none, and comes further.
        self.words = [
            each for each in SHARP if seed % 2 or (min(each) >= " " and not "\x7f" <= min(each) < "\xa0")
        ]

    def sharp(self) -> str:
        return "".join(self.dice.choices(self.words, k=2)).replace("\r", "").replace("\n", "")

    def further(self, method: str, other: str) -> list[tuple[str, str]]:
        return [self.dice.choice((
            ("User-Agent", "SHARP"), ("Subject", "SHARP"), ("Reason", 'SIP;text="SHARP"'),
            ("P-Asserted-Identity", "<sip:SHARP@x>"), ("Diversion", "<sip:SHARP@x>"), ("X-Odd", "x"),
        ))]  # fmt: skip

    def forge(self, dice: Random, data: bytes) -> bytes:
        what = self.sharp().encode("utf-8", "surrogateescape")
        quoted = what.replace(b"\\", b"").replace(b'"', b"")
        for place, forged in dice.sample((
            (b"From: <", b'From: "%s" <' % quoted), (b"Call-ID: ", b"Call-ID: " + what),
            (b"alice", b"alice" + what), (b"SIP/2.0 4", b"SIP/2.0 4" + what),
            (b"tag=", b"tag=" + what), (b"To: <sip:", b"To: <sip:" + what),
        ), k=1):  # fmt: skip
            data = data.replace(place, forged)
        return data.replace(b"SHARP", what)


@pytest.mark.slow
def test_whatever_messages_say_journal_records_and_metrics_are_ours() -> None:
    lines: list[str] = []
    records: list[str] = []
    noted: list[Note] = []
    for seed in range(8):
        forger = Forger(seed)
        for _ in range(60):
            forger.step()
        noted += forger.stage.notes
    recorder = Recorder(Journal(lines.append), records.append)
    for moment, note in enumerate(noted):
        recorder.note(note, None, NOW + 60 * moment)
    assert len(lines) > 100 and records and any("\\" in line for line in lines)
    for line in lines:
        line = line.removesuffix("\n")
        assert is_one_line(line) and LINE.fullmatch(line), line
        assert "forged" not in (words(line).get("event"), words(line).get("trunk")), line
    for record in records:
        assert is_one_line(record)
        pairs: list[tuple[str, Any]] = json.loads(record, object_pairs_hook=list)
        assert len(dict(pairs)) == len(pairs)
