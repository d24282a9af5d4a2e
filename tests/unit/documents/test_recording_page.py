"""docs/recording.md: its examples load, and its tables say what the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dsl.load import load
from dsl.names import Known
from sbc.config.recordings import Recordings
from sbc.media.kept import Kept, KeptFile
from sbc.media.stats import MediaStats
from sbc.observe.cdr import call_record

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "recording.md").read_text("utf-8")


def test_the_rules_load_and_their_tests_pass_where_there_is_a_place_for_recordings() -> None:
    pages = re.findall(r"^```yaml\n# routes.d/.*?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    trunks = frozenset(("pbx", "carrier"))
    for each in pages:
        found, diagnostics = load({"example.yaml": each}, Known(trunks=trunks, recordings=True))
        assert found is not None and diagnostics == [] and found.tests and found.run_tests() == []
    refused, mistakes = load({"example.yaml": pages[0]}, Known(trunks=trunks, recordings=False))
    assert refused is None
    assert [(each.line, each.message, each.hint) for each in mistakes] == [
        (5, "sbc.yaml does not say where recordings are kept",
         "write recordings: {directory: recordings} in sbc.yaml")
    ]  # fmt: skip


def test_the_settings_are_those_that_there_are() -> None:
    written = re.search(r"^recordings: \{(.*)\}$", PAGE, re.MULTILINE)
    assert written is not None
    given = dict(each.split(": ") for each in written[1].split(", "))
    made = Recordings.model_validate(given)
    assert (made.max_size, made.keep) == (50 << 30, 90 * 86400.0)
    keys = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`|required|for ever) \|", PAGE, re.MULTILINE)
    assert [key for key, _ in keys] == list(Recordings.model_fields)
    assert Recordings.model_validate({"directory": "x", "max_size": dict(keys)["max_size"]}) == Recordings(
        directory="x"
    )


def test_the_record_is_as_it_is_shown() -> None:
    (shown,) = re.findall(r"^```json\n\"recording\": (.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    kept = Kept()
    (file,) = json.loads(shown)["files"]
    kept.files = (KeptFile(file["path"], file["sha256"], file["bytes"]),)
    kept.seconds, kept.tones = 60.0, {"a": 4, "b": 4}
    assert json.loads(call_record("6f1d", {}, MediaStats(recording=kept)))["recording"] == json.loads(shown)
    assert json.loads(call_record("6f1d", {}))["recording"] is None


def test_every_event_that_is_said_is_explained() -> None:
    source = (ROOT / "sbc/net/media/recordings.py").read_text("utf-8")
    said = set(re.findall(r'"(record(?:ed|ing-\w+|ings-\w+))"', source))
    assert said == set(re.findall(r"^\| `(record[\w-]+)` \|", PAGE, re.MULTILINE))
    metrics = (ROOT / "sbc/observe/metrics.py").read_text("utf-8")
    assert set(re.findall(r'"(sbc_recording\w+)"', metrics)) == set(re.findall(r"`(sbc_recording\w+)`", PAGE))
