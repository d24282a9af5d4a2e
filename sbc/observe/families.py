"""Families of samples as Prometheus reads them, in its text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from sbc.observe.views import HistogramView

Labels = dict[str, str]
Sample = tuple[Labels, float]


def one(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    """A family of one sample without labels."""
    return family(name, kind, text, [({}, float(value))])


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    """What it is, its type, and its samples."""
    yield from _head(name, kind, text)
    for labels, value in samples:
        yield _sample(name, labels, value)


def histogram(name: str, text: str, samples: Iterable[tuple[Labels, HistogramView]]) -> Iterator[str]:
    """A family of histograms: how many values are at most each bound, their sum, and how many there are."""
    yield from _head(name, "histogram", text)
    for labels, found in samples:
        bounds = [*map(number, found.bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(found.counts), strict=True):
            yield _sample(f"{name}_bucket", {**labels, "le": bound}, float(count))
        yield _sample(f"{name}_sum", labels, found.sum)
        yield _sample(f"{name}_count", labels, float(sum(found.counts)))


def summary(name: str, text: str, samples: Iterable[tuple[Labels, float, int]]) -> Iterator[str]:
    """A family of sums, and of how many values each is of."""
    yield from _head(name, "summary", text)
    for labels, total, count in samples:
        yield _sample(f"{name}_sum", labels, total)
        yield _sample(f"{name}_count", labels, float(count))


def number(value: float) -> str:
    """A value, or the bound of a bucket."""
    return str(int(value)) if value == int(value) else repr(value)


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = ",".join([f'{label}="{_escape(each)}"' for label, each in labels.items()])
    return f"{name}{{{inner}}} {number(value)}" if inner else f"{name} {number(value)}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
