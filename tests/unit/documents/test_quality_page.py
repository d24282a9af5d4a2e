"""docs/quality.md: its metrics are exposed, and its table of codecs is that of the sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sbc.media.mos import mos, rating
from sbc.observe.metrics import exposition
from sbc.observe.qualities import SCORES
from tests.unit.observe.pictures import picture

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "quality.md").read_text("utf-8")
ROW = re.compile(r"^\| ([A-Z0-9, -]+) \| (\d+) \| ([\d.]+) \| ", re.MULTILINE)


def test_every_metric_in_its_examples_is_exposed() -> None:
    named = set(re.findall(r"\bsbc_\w+", PAGE))
    lines = exposition(picture()).splitlines()
    shown = {line.split()[2] if line[:1] == "#" else re.split(r"[{ ]", line)[0] for line in lines if line}
    assert named and named <= shown


def test_its_codecs_have_the_values_of_the_sources() -> None:
    rows = [
        (codec, int(ie), float(bpl)) for codecs, ie, bpl in ROW.findall(PAGE) for codec in codecs.split(", ")
    ]
    assert len(rows) > 10
    for codec, ie, bpl in rows:
        # With as much loss in per cent as Bpl, half of what is left up to 95 is taken away.
        assert rating(codec, 0.0, 0.0) == pytest.approx(93.2 - ie)
        assert rating(codec, bpl / 100, 0.0) == pytest.approx(93.2 - ie - (95 - ie) / 2)


def test_the_scores_in_its_examples_are_bounds_of_buckets() -> None:
    named = [float(each) for each in re.findall(r'sbc_call_mos_bucket\{[^}]*le="([\d.]+)"', PAGE)]
    assert named and set(named) <= set(SCORES)


def test_the_bounds_that_it_names() -> None:
    assert mos("PCMU", 0.0, 0.0) == pytest.approx(4.4, abs=0.05)
