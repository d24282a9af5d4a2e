"""``sbc calls history``: which calls there were, from their records."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sbc.base import LocalError
from sbc.commands.parser import GOOD, PARTLY, configured, json_option

if TYPE_CHECKING:
    from sbc.commands.record_files import RecordFiles
    from sbc.observe.search import Wanted

SHOWN: Final = 50
MOST: Final = 100_000


def add_history(calls: Any) -> None:
    """Add it to the commands of ``sbc calls``."""
    text = "search the records of calls that are over, those in rotated and compressed files too"
    history = json_option(configured(calls.add_parser("history", help=text, description=text), _history))
    text = "those that began then or later: 2026-11-01, 2026-11-01T09:30, or 2h for two hours ago"
    history.add_argument("--from", dest="first", metavar="TIME", help=text)
    history.add_argument("--to", dest="last", metavar="TIME", help="those that began earlier, or on that day")
    history.add_argument("--trunk", default="", metavar="NAME", help="from or to this trunk")
    text = "of anybody in the call, or its end: 123456 finds +4930123456; another user as a whole"
    history.add_argument("--number", default="", metavar="NUMBER", help=text)
    text = "the Call-ID of either leg, or ours of the call"
    history.add_argument("--call-id", default="", metavar="ID", help=text)
    text = "a status (486, 5xx), who ended it (caller, callee, us), or a part of the reason"
    history.add_argument("--cause", default="", metavar="CAUSE", help=text)
    text = f"at most so many, the last ones; {SHOWN}"
    history.add_argument("-n", dest="most", type=int, default=SHOWN, metavar="N", help=text)
    text = "another file of records, with what a rotation made of it; calls.jsonl of the state directory"
    history.add_argument("--records", type=Path, metavar="FILE", help=text)


def _history(options: argparse.Namespace) -> int:
    from sbc.commands.record_files import RecordFiles, records_path
    from sbc.observe.search import Wanted

    if not 1 <= options.most <= MOST:
        raise LocalError(f"-n {options.most} is out of range: from 1 to {MOST}")
    first, last = _moment("--from", options.first), _moment("--to", options.last, whole_day=True)
    wanted = Wanted(options.trunk, options.number, options.call_id, options.cause)
    path = records_path(options.config, options.records)
    found: deque[Mapping[str, Any]] = deque(maxlen=options.most)
    search = Search(wanted, first, last)
    with RecordFiles(path, first or 0.0) as files:
        if not files.found:
            raise LocalError(f"there are no call records: {path}")
        found.extend(search.of(files))
    if options.json:
        for record in found:
            print(json.dumps(record, separators=(",", ":")))
    else:
        print(_table(found) if found else "no calls")
    return _told(search, files, len(found))


class Search:
    """The records that fit, counted; ``malformed`` are lines of JSON that are none."""

    def __init__(self, wanted: Wanted, first: float | None, last: float | None) -> None:
        self.count = 0
        self.malformed = 0
        self._wanted = wanted
        self._first = first
        self._last = last

    def of(self, files: RecordFiles) -> Iterator[Mapping[str, Any]]:
        """Those of ``files``, one at a time."""
        from sbc.commands.record_files import moment

        for record in files:
            started = moment(record.get("started"))
            if started is None:
                self.malformed += 1
                continue
            if (self._first is not None and started < self._first) or (
                self._last is not None and started >= self._last
            ):
                continue
            try:
                fits = self._wanted.fits(record)
                if fits:
                    _row(record)  # what is shown is whole
            except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
                self.malformed += 1
                continue
            if fits:
                self.count += 1
                yield record


def _told(search: Search, files: RecordFiles, shown: int) -> int:
    if search.count > shown:
        print(f"sbc: the last {shown} of {search.count}; -n shows more", file=sys.stderr)
    problems = list(files.problems)
    if search.malformed:
        problems.append(f"{search.malformed} lines are JSON and no call records")
    if problems:
        print(f"sbc: the records are not all there: {problems[0]}", file=sys.stderr)
        return PARTLY
    return GOOD


_HEADS: Final = (
    "STARTED",
    "FROM",
    "TO",
    "TRUNKS",
    "SECONDS",
    "STATUS",
    "BY",
    "TLS",
    "SRTP",
    "CALL",
    "REASON",
)


def _table(found: deque[Mapping[str, Any]]) -> str:
    from sbc.commands.status_text import table

    return table(_HEADS, map(_row, found))


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    from sbc.observe.text import printable

    a, b = record["a"], record["b"] or {}
    many = int(record.get("refused", 0))
    legs = a, b
    cells = (
        str(record["started"])[:19].replace("T", " "), str(record["caller"]) or "-",
        str(record["called"]) or "-", f"{a['trunk'] or '-'} > {b.get('trunk') or '-'}",
        f"{float(record['seconds']):.0f}", f"{record['status']}" + (f" x {many}" if many > 1 else ""),
        str(record["ended_by"]) or "-",
        " | ".join([str((leg.get("tls") or {}).get("version") or "-") for leg in legs]),
        " | ".join([str((leg.get("media") or {}).get("srtp") or "-") for leg in legs]),
        str(record["call"]) or "-", str(record["reason"]) or "-",
    )  # fmt: skip
    return tuple([printable(each) for each in cells])


def _moment(option: str, text: str | None, whole_day: bool = False) -> float | None:
    """POSIX seconds of a time as people write it, in the server's zone; of a date its end, if so wanted."""
    from sbc.config.values import parse_duration

    if text is None:
        return None
    day = _is_day(text)
    if not day:
        try:
            return time.time() - parse_duration(text)
        except ValueError:
            pass
    try:
        found = datetime.fromisoformat(text)
        if whole_day and day:
            found += timedelta(days=1)
        return found.timestamp()
    except (ValueError, OverflowError, OSError):
        hint = "such as 2026-11-01, 2026-11-01T09:30, or 2h for two hours ago"
        raise LocalError(f"{option} {text!r} is not a time; {hint}") from None


def _is_day(text: str) -> bool:
    """Whether a time is a date alone, in whichever spelling of ISO 8601; 20261101 is no number of seconds."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
