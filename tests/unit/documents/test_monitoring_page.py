"""docs/monitoring.md names every metric, every event of the journal and every field of the record."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.base import Address
from sbc.flow import Flow, PeerIdentity, TlsFacts
from sbc.media.quality import Quality
from sbc.media.stats import LegStats, MediaStats, StreamStats
from sbc.observe.cdr import call_record
from sbc.observe.journal import EVENTS
from sbc.observe.metrics import exposition
from tests.arch.sources import sources
from tests.unit.observe.pictures import picture

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
SECTIONS = dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])
HEARD = MediaStats((StreamStats("audio", LegStats(quality=Quality()), LegStats()),))
METRICS, JOURNAL, RECORD = SECTIONS["The metrics"], SECTIONS["The journal"], SECTIONS["The call record"]


def cells(section: str, column: int) -> set[str]:
    """What stands in backquotes in a column of a section's tables."""
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("|")]
    return {each for row in rows for each in re.findall(r"`([^`]+)`", row[column])}


def families() -> dict[str, set[str]]:
    """Every metric that is exposed, with its labels."""
    found: dict[str, set[str]] = {}
    for line in exposition(picture()).splitlines():
        if line.startswith("# TYPE "):
            found.setdefault(line.split()[2], set())
        elif line and not line.startswith("#"):
            name, _, rest = line.partition("{")
            name = name.split(" ")[0]
            if name not in found:
                name = re.sub(r"_(bucket|sum|count)$", "", name)
            found.setdefault(name, set()).update(set(re.findall(r'(\w+)="', rest)) - {"le"})
    return found


def test_every_metric_is_there_and_no_other() -> None:
    assert cells(METRICS, 0) == families().keys()


def test_every_metric_has_its_labels() -> None:
    rows = [line.split("|") for line in METRICS.splitlines() if line.startswith("| `")]
    said = {row[1].strip(" `"): set(re.findall(r"`(\w+)`", row[2])) for row in rows}
    shown = {name: labels for name, labels in families().items() if labels}
    assert {name: said[name] for name in shown} == shown


def literals() -> Iterator[tuple[str, str]]:
    """The events and the tags that the sources write, wherever they are."""
    for source in sources("sbc"):
        for node in source.nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Note":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield "event", str(first.value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"\[[A-Za-z]+(-[A-Za-z]+)*\]", node.value):
                    yield "tag", node.value


@pytest.mark.slow
def test_every_event_of_the_journal_is_there() -> None:
    found = set(literals())
    events = {value for kind, value in found if kind == "event"} | set(EVENTS)
    without_a_tag_of_their_own = {event for event in events if f"[{event}]" not in cells(JOURNAL, 0)}
    assert without_a_tag_of_their_own - cells(JOURNAL, 1) == set()
    tags = {value for kind, value in found if kind == "tag"} - {"[key]", "[redacted]"}
    assert tags - cells(JOURNAL, 0) == set()


def test_every_row_of_the_journal_is_written_somewhere() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / "sbc").rglob("*.py"))
    names = cells(JOURNAL, 0) - {"call"} | cells(JOURNAL, 1)
    assert [each for each in sorted(names) if f'"{each}"' not in text] == []


def test_every_field_of_the_record_is_there_and_no_other() -> None:
    peer = PeerIdentity("CN=a", "CN=b", ("dns:a",), "", "ab", 0.0, 1.0, True)
    flow = Flow(
        1, "tls", Address("127.0.0.1", 1), Address("127.0.0.1", 2), listener="tls", trunk="a",
        tls=TlsFacts("TLSv1.3", "c", "g", "", "sbc", peer, ""),
    )  # fmt: skip
    record = json.loads(call_record("c1", {"from": "a", "a": flow}, HEARD))
    leg = record["a"]
    tls, media = leg.pop("tls"), leg.pop("media")
    peers = {f"tls.{name}" for name in tls if name.startswith("peer_")}
    assert {
        name
        for name in tls
        if name not in peers and f"`{name}`" not in RECORD and f"tls.{name}" not in RECORD
    } == set()
    quality = media["quality"]
    sent = [f"sent.{name}" for name in quality.pop("sent")]
    fields = {*record, *leg, "tls", *peers, *(f"media.{name}" for name in media), *quality, *sent}
    assert cells(RECORD, 0) == fields
