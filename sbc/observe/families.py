"""Families of samples as Prometheus reads them, in its text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

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
    """A family of histograms, which have labels: the values up to each bound, their sum, their number."""
    yield from _head(name, "histogram", text)
    for labels, found in samples:
        inner, total = _inner(labels), 0
        # A trunk has some hundred of these lines, so what they share is written once.
        for bound, count in zip(_bounds(found.bounds), found.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{inner},le="{bound}"}} {total}'
        yield f"{name}_sum{{{inner}}} {number(found.sum)}"
        yield f"{name}_count{{{inner}}} {total}"


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


@lru_cache(64)
def _bounds(bounds: tuple[float, ...]) -> list[str]:
    return [*map(number, bounds), "+Inf"]


def _inner(labels: Labels) -> str:
    return ",".join([f'{label}="{_escape(each)}"' for label, each in labels.items()])


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = _inner(labels)
    return f"{name}{{{inner}}} {number(value)}" if inner else f"{name} {number(value)}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
