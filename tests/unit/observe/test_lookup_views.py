"""A service that rules ask is told of in `sbc status`, metrics and page; its failures in few lines."""

from __future__ import annotations

from sbc.admin.status import to_json
from sbc.b2bua.commands import Note
from sbc.commands.status_text import render
from sbc.observe.journal import Journal
from sbc.observe.metrics import exposition
from sbc.observe.recorder import Recorder
from sbc.observe.views import LookupView
from tests.unit.observe.pictures import picture
from tests.unit.webui.test_pages import page, text_of

WELL = LookupView(
    "crm", "crm.example", "closed", 2, 40, (("answered", 7), ("timeout", 1)), 0.5, "", 0.0, 7, 1
)
ILL = LookupView("fraud", "fraud.example", "open", 0, 0, (), 0.0, "connection <refused>\x1b", 3.0, 0, 9)
STATUS = picture(lookups=(WELL, ILL))


def test_the_metrics_count_by_service_and_ending() -> None:
    lines = exposition(STATUS).splitlines()
    for line in (
        'sbc_lookup_up{lookup="crm"} 1', 'sbc_lookup_up{lookup="fraud"} 0',
        'sbc_lookup_questions_total{lookup="crm",ending="timeout"} 1',
        'sbc_lookup_seconds_total{lookup="crm"} 0.5', 'sbc_lookup_under_way{lookup="crm"} 2',
    ):  # fmt: skip
        assert line in lines


def test_the_status_has_a_row_and_says_what_is_not_well() -> None:
    lines = render("status", to_json(STATUS)).splitlines()
    assert ["crm", "crm.example", "closed", "7", "1", "40", "2"] in [line.split() for line in lines]
    (ill,) = [line for line in lines if line.startswith("lookup: ")]
    assert ill == "lookup: fraud: connection <refused>\\x1b; each `else` counts at once"
    assert "LOOKUP" not in render("status", to_json(picture()))


def test_the_page_has_them() -> None:
    html = page(STATUS)
    text = text_of(html)
    for phrase in ("Lookups", "crm.example", "asked", "left alone", "connection &lt;refused&gt;"):
        assert phrase in text, phrase
    assert "Lookups" not in page(picture())


def test_a_service_that_is_down_fills_no_journal() -> None:
    lines: list[str] = []
    recorder = Recorder(Journal(lines.append), lambda record: None)
    for at in range(1000):
        for kind in ("timeout", "open"):
            fields = {"lookup": "crm", "kind": kind, "reason": "why"}
            recorder.note(Note("lookup-failed", f"c{at}", fields), None, 1000.0 + at / 100)
    assert len(lines) == 10 and lines[0].endswith(
        "WRN [lookup] call=c0 event=lookup-failed lookup=crm kind=timeout reason=why"
    )
    late = {"lookup": "crm", "kind": "open", "reason": "why"}
    recorder.note(Note("lookup-failed", "late", late), None, 2000.0)
    assert lines[-1].endswith('reason="why (995 more since the last line)"')
    assert recorder.counters.events["lookup-failed"] == 2001
