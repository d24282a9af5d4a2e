"""``sbc report``: how the calls of a time were encrypted, from their records."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from sbc.base import LocalError
from sbc.commands.parser import GOOD, PARTLY, Commands, json_option


def add(commands: Commands) -> None:
    """Add this command."""
    text = "count calls by how both legs were encrypted, downgrades, refusals and revocation passed, by trunk"
    report = json_option(commands.add("report", _report, text))
    report.add_argument("--from", dest="first", metavar="DATE", required=True, help="such as 2026-11-01")
    report.add_argument("--to", dest="last", metavar="DATE", help="the last day, with it; today")
    text = "whose midnight it is, such as Europe/Berlin; the server's own"
    report.add_argument("--zone", metavar="ZONE", help=text)
    report.add_argument("--csv", action="store_true", help="as CSV, for a spreadsheet")
    text = "another file of records, with what a rotation made of it; calls.jsonl of the state directory"
    report.add_argument("--records", type=Path, metavar="FILE", help=text)


def _report(options: argparse.Namespace) -> int:
    from sbc.commands.record_files import records_path
    from sbc.commands.report_text import as_csv, render

    answer = counted(records_path(options.config, options.records), *_days(options), options.zone)
    if options.json:
        print(json.dumps(answer, indent=2))
    elif options.csv:
        print(as_csv(answer), end="")
    else:
        print(render(answer))
    if answer["unread"]:
        print(f"sbc: the records are not all there: {answer['problems'][0]}", file=sys.stderr)
        return PARTLY
    return GOOD


def counted(path: Path, first: date, last: date, zone: str | None) -> dict[str, Any]:
    """What the records of the days from ``first`` to ``last``, both with them, amount to, as JSON types.

    LocalError where there are no records, or the zone is none.
    """
    from sbc.commands.record_files import RecordFiles, moment
    from sbc.observe.encryption import Encryption

    info = _zone(zone)
    begins, ends = _midnight(first, info), _midnight(last, info, timedelta(days=1))
    encryption, malformed = Encryption(), 0
    with RecordFiles(path, begins) as files:
        if not files.found:
            raise LocalError(f"there are no call records: {path}")
        for record in files:
            started = moment(record.get("started"))
            if started is None:
                malformed += 1
            elif begins <= started < ends:
                try:
                    encryption.add(record)
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                    malformed += 1
        problems = list(files.problems)
    if malformed:
        problems.append(f"{malformed} lines are JSON and no call records")
    period = {"from": first.isoformat(), "to": last.isoformat(), "zone": zone or ""}
    unread = files.unread + malformed
    return {
        **period,
        "files": list(files.names),
        "unread": unread,
        "problems": problems,
        **_views(encryption),
    }


def _views(encryption: Any) -> dict[str, Any]:
    ways = [
        {
            "from": {"signalling": way[0], "media": way[1]}, "to": {"signalling": way[2], "media": way[3]},
            "calls": calls,
        }
        for way, calls in encryption.ways.most_common()
    ]  # fmt: skip
    trunks = [
        {
            "trunk": name, "leg": leg, "calls": each.calls, "answered": each.answered,
            "refused": each.refused, "given_up": each.given_up, "challenged": each.challenged,
            "turned_away": each.turned_away, "unverified": each.unverified,
            "downgrades_sips": each.downgrades_sips, "downgrades_srtp": each.downgrades_srtp,
            "soft_passes": dict(each.soft_passes.most_common()),
            "signalling": dict(each.signalling.most_common()), "media": dict(each.media.most_common()),
        }
        for (name, leg), each in sorted(encryption.trunks.items())
    ]  # fmt: skip
    return {
        "calls": encryption.calls, "answered": encryption.answered, "protected": encryption.protected,
        "turned_away": encryption.turned_away, "not_answered": dict(encryption.statuses.most_common()),
        "encryption": ways, "trunks": trunks,
    }  # fmt: skip


def _days(options: argparse.Namespace) -> tuple[date, date]:
    first = _day("--from", options.first)
    last = (
        _day("--to", options.last) if options.last is not None else datetime.now(_zone(options.zone)).date()
    )
    if last < first:
        raise LocalError(f"--to {last} is before --from {first}")
    return first, last


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise LocalError(f"{option} {text!r} is not a date; such as 2026-11-01") from None


def _zone(name: str | None) -> tzinfo | None:
    from zoneinfo import ZoneInfo, available_timezones

    from dsl.names import suggest

    if name is None:
        return None
    if name not in available_timezones():
        hint = suggest(name, available_timezones()) or "write such as Europe/Berlin"
        raise LocalError(f"--zone {name!r} is no time zone: {hint}")
    return ZoneInfo(name)


def _midnight(day: date, zone: tzinfo | None, later: timedelta = timedelta()) -> float:
    """The first moment of ``day``, or of that which is ``later``; LocalError for one that no calendar has."""
    try:
        day += later
        return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    except (ValueError, OverflowError, OSError):
        raise LocalError(f"{day} is beyond the calendar") from None
