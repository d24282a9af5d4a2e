"""What a server costs, read from /proc: CPU time and memory of a process and all of its session."""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

SERVER_CORE = 0
LOAD_CORE = min(1, (os.cpu_count() or 1) - 1)

_TICK = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this thread on one core for the while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def sessions(leaders: Sequence[int]) -> Iterator[tuple[int, list[str]]]:
    """Each process of the sessions that ``leaders`` lead, with the fields of its stat after the name."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) in leaders:
                yield int(entry.name), fields


def cpu_seconds(*leaders: int) -> float:
    """User and system CPU seconds of the leaders' sessions, ended children included."""
    ticks = 0
    for pid, fields in sessions(leaders):
        ticks += int(fields[11]) + int(fields[12])
        if pid in leaders:
            ticks += int(fields[13]) + int(fields[14])
    return ticks / _TICK


def resident_bytes(*leaders: int) -> int:
    """Resident memory of the leaders' sessions, in bytes; a page that processes share counts once (Pss)."""
    total = 0
    for pid, _ in sessions(leaders):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def median(values: Sequence[float]) -> float:
    """The median; NaN of nothing."""
    return statistics.median(values) if values else float("nan")
