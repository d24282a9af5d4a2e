"""``sbc report``: each call is counted once, on the day of its INVITE, by what protected both of its legs."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.base import Address, LocalError
from sbc.commands.report import counted
from sbc.commands.report_text import as_csv, render
from sbc.flow import Flow, PeerIdentity, TlsFacts
from sbc.media.stats import LegStats, MediaStats, StreamStats
from sbc.observe.cdr import call_record
from sbc.observe.encryption import MOST, Encryption

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
DAY = date(2026, 5, 1)
HERE, THERE = Address("203.0.113.9", 5061), Address("192.0.2.1", 40000)


def over(version: str, revocation: str = "good", verified: bool = True) -> Flow:
    """A path by TLS."""
    peer = PeerIdentity("CN=peer", "CN=CA", (), "", "", 0.0, 1.0, verified)
    return Flow(1, "tls", HERE, THERE, tls=TlsFacts(version, "", "", "", "", peer, revocation=revocation))


def media(a: str, b: str) -> MediaStats:
    """The media of an answered call, by the suites of both legs; "" for plain RTP."""
    legs = (LegStats(packets_in=9, suite=a, codec="PCMA"), LegStats(packets_in=9, suite=b, codec="PCMA"))
    return MediaStats((StreamStats("audio", *legs),))


def record(stats: MediaStats | None = None, at: float = NOON, **changes: Any) -> str:
    fields = {
        "from": "office", "to": "carrier", "a": over("TLSv1.3"), "b": over("TLSv1.2"), "status": 200,
        "by": "caller", "created": at, "answered": at + 2, "ended": at + 60,
    }  # fmt: skip
    return call_record("c", fields | changes, stats or media("AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"))


def refused(status: int, by: str, **changes: Any) -> str:
    return record(MediaStats(), status=status, by=by, answered=0.0, **changes)


@pytest.fixture
def counts(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def count(*records: str, first: date = DAY, last: date = DAY, zone: str = "UTC") -> dict[str, Any]:
        path = tmp_path / "calls.jsonl"
        path.write_text("".join(f"{each}\n" for each in records))
        return counted(path, first, last, zone)

    return count


def trunk(report: dict[str, Any], name: str, leg: str) -> dict[str, Any]:
    (found,) = [each for each in report["trunks"] if (each["trunk"], each["leg"]) == (name, leg)]
    return dict(found)


def test_how_both_legs_were_encrypted(counts: Callable[..., dict[str, Any]]) -> None:
    plain = Flow(2, "udp", HERE, THERE)
    report = counts(record(), record(), record(media("AEAD_AES_128_GCM", ""), b=plain, to="legacy"))
    assert [(each["from"], each["to"], each["calls"]) for each in report["encryption"]] == [
        ({"signalling": "TLSv1.3", "media": "AEAD_AES_128_GCM"},
         {"signalling": "TLSv1.2", "media": "AES_CM_128_HMAC_SHA1_80"}, 2),
        ({"signalling": "TLSv1.3", "media": "AEAD_AES_128_GCM"},
         {"signalling": "plain udp", "media": "plain RTP"}, 1),
    ]  # fmt: skip
    assert (report["calls"], report["answered"], report["protected"]) == (3, 3, 2)
    assert trunk(report, "office", "from")["signalling"] == {"TLSv1.3": 3}
    assert trunk(report, "legacy", "to")["media"] == {"plain RTP": 1}


def test_tls_with_plain_rtp_is_not_protected_nor_is_srtp_without_tls(
    counts: Callable[..., dict[str, Any]],
) -> None:
    suite = "AEAD_AES_128_GCM"
    report = counts(record(media("", "")), record(media(suite, suite), b=Flow(2, "tcp", HERE, THERE)))
    assert report["protected"] == 0


def test_downgrades_of_signalling_and_of_media(counts: Callable[..., dict[str, Any]]) -> None:
    plain = Flow(2, "udp", HERE, THERE)
    report = counts(
        record(downgraded=True, b=plain), record(media("AEAD_AES_128_GCM", "")), record(media("", "")),
        refused(480, "callee", downgraded=True, b=plain),
    )  # fmt: skip
    for name, leg in (("office", "from"), ("carrier", "to")):
        found = trunk(report, name, leg)
        assert (found["downgrades_sips"], found["downgrades_srtp"]) == (2, 1)


def test_a_call_whose_callee_sends_nothing_is_no_downgrade_of_its_media(
    counts: Callable[..., dict[str, Any]],
) -> None:
    report = counts(record(MediaStats()))
    assert trunk(report, "office", "from")["downgrades_srtp"] == 0
    assert trunk(report, "office", "from")["media"] == {"no media": 1}


def test_revocation_that_was_let_pass(counts: Callable[..., dict[str, Any]]) -> None:
    report = counts(
        record(a=over("TLSv1.3", "unanswered")), record(a=over("TLSv1.3", "stale")), record(),
        record(a=over("TLSv1.3", "unanswered")), record(a=over("TLSv1.3", "")),
    )  # fmt: skip
    assert trunk(report, "office", "from")["soft_passes"] == {"unanswered": 2, "stale": 1}
    assert trunk(report, "carrier", "to")["soft_passes"] == {}


def test_who_was_not_verified(counts: Callable[..., dict[str, Any]]) -> None:
    nobody = Flow(1, "tls", HERE, THERE, tls=TlsFacts("TLSv1.3", "", "", "", "", None))
    report = counts(record(a=nobody), record(a=over("TLSv1.3", verified=False)), record())
    assert trunk(report, "office", "from")["unverified"] == 2


def test_what_became_of_calls_that_nobody_answered(counts: Callable[..., dict[str, Any]]) -> None:
    report = counts(
        refused(403, "us", to="", b=None), refused(486, "callee"), refused(487, "caller"),
        refused(407, "us", to="", b=None), refused(503, "us", b=None),
    )  # fmt: skip
    office, carrier = trunk(report, "office", "from"), trunk(report, "carrier", "to")
    assert [office[each] for each in ("calls", "refused", "given_up", "challenged")] == [5, 2, 1, 1]
    assert [carrier[each] for each in ("calls", "refused", "given_up")] == [2, 1, 1]
    assert report["not_answered"] == {
        "403 by us": 1, "486 by callee": 1, "487 by caller": 1, "407 by us": 1, "503 by us": 1,
    }  # fmt: skip


def test_a_trunk_that_was_never_reached_has_no_encryption_to_tell_of(
    counts: Callable[..., dict[str, Any]],
) -> None:
    report = counts(refused(503, "us", b=None))
    assert [(each["trunk"], each["leg"]) for each in report["trunks"]] == [("office", "from")]


def test_what_was_turned_away_before_any_rule_is_no_call(counts: Callable[..., dict[str, Any]]) -> None:
    """One record may stand for many of them."""
    alone = json.loads(refused(403, "us", to="", b=None)) | {"refused": 1}
    many = alone | {"refused": 250}
    report = counts(json.dumps(alone), json.dumps(many), record())
    assert (report["calls"], report["turned_away"]) == (1, 251)
    assert trunk(report, "office", "from")["turned_away"] == 251


@pytest.mark.parametrize("leg", ["a", "b"])
def test_a_record_without_the_newer_keys_counts_as_before(
    counts: Callable[..., dict[str, Any]], leg: str
) -> None:
    older = json.loads(record())
    del older[leg]["tls"]["revocation"]
    report = counts(json.dumps(older))
    assert (report["calls"], report["protected"], report["unread"]) == (1, 1, 0)


# The days


@pytest.mark.parametrize(("zone", "info"), [("UTC", UTC), ("Europe/Berlin", BERLIN)])
def test_a_day_is_from_midnight_to_midnight_of_the_zone(
    counts: Callable[..., dict[str, Any]], zone: str, info: Any
) -> None:
    begins = datetime(2026, 5, 1, tzinfo=info).timestamp()
    moments = [begins - 0.001, begins, begins + 86399.999, begins + 86400]
    assert counts(*(record(at=each) for each in moments), zone=zone)["calls"] == 2


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_the_two_days_on_which_the_clock_is_set(
    counts: Callable[..., dict[str, Any]], day: date, hours: int
) -> None:
    begins = datetime(day.year, day.month, day.day, tzinfo=BERLIN).timestamp()
    hourly = [record(at=begins + 3600 * each + 1) for each in range(-2, 28)]
    assert counts(*hourly, first=day, last=day, zone="Europe/Berlin")["calls"] == hours


def test_a_call_that_goes_on_over_midnight_belongs_to_the_day_on_which_it_began(
    counts: Callable[..., dict[str, Any]],
) -> None:
    late = NOON + 11 * 3600
    over_midnight = record(at=late, ended=late + 7200)
    assert counts(over_midnight)["calls"] == 1
    tomorrow = DAY + timedelta(days=1)
    assert counts(over_midnight, first=tomorrow, last=tomorrow)["calls"] == 0


def test_rotated_files_are_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_text(record() + "\n")
    (tmp_path / "calls.jsonl.2.gz").write_bytes(gzip.compress(f"{record()}\n{record()}\n".encode()))
    report = counted(tmp_path / "calls.jsonl", DAY, DAY, "UTC")
    assert (report["calls"], report["files"]) == (3, ["calls.jsonl", "calls.jsonl.2.gz"])


def test_no_records_are_not_a_report_of_no_calls(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="there are no call records"):
        counted(tmp_path / "calls.jsonl", DAY, DAY, None)


# What is no record


def _without(name: str) -> str:
    return json.dumps({key: value for key, value in json.loads(record()).items() if key != name})


@pytest.mark.parametrize(
    "line", ["nonsense", "{}", "[]", json.dumps({"started": "2026-05-01T12:00:00Z", "a": 7, "b": []}),
             *map(_without, ("a", "b", "status", "ended_by", "answered", "downgraded"))],
)  # fmt: skip
def test_what_is_no_record_is_said_and_counts_nowhere(
    counts: Callable[..., dict[str, Any]], line: str
) -> None:
    whole, broken = counts(record()), counts(line, record())
    assert broken["unread"] == 1 and "could not be read" in render(broken)
    kept = ("calls", "answered", "encryption", "trunks", "not_answered")
    assert {name: broken[name] for name in kept} == {name: whole[name] for name in kept}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["a", "b", "status", "ended_by", "answered", "refused", "downgraded"]), JSON)
def test_a_record_counts_as_a_whole_or_not_at_all(name: str, value: object) -> None:
    encryption = Encryption()
    try:
        encryption.add(json.loads(record()) | {name: value})
    except (KeyError, TypeError, ValueError, AttributeError):
        assert (encryption.calls, encryption.trunks, encryption.turned_away) == (0, {}, 0)
    else:
        assert encryption.calls == 1 or encryption.turned_away


def test_what_is_counted_is_bounded() -> None:
    encryption, made = Encryption(), json.loads(record())
    for number in range(3 * MOST):
        made["a"]["trunk"] = f"trunk{number}"
        made["a"]["media"]["srtp"] = made["a"]["tls"]["version"] = f"v{number}"
        encryption.add(made)
    assert len(encryption.trunks) <= MOST + 2 and len(encryption.ways) <= MOST + 1
    assert len(encryption.trunks["carrier", "to"].media) == 1
    assert encryption.calls == sum(encryption.ways.values()) == 3 * MOST


# What is printed


def test_csv_has_every_count_in_a_row_of_its_own(counts: Callable[..., dict[str, Any]]) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(counts(record(), refused(486, "callee"))))))
    found = {(row["of"], row["leg"], row["what"], row["value"]): row["calls"] for row in rows}
    assert found["all", "", "calls", ""] == "2"
    assert found["all", "", "not_answered", "486 by callee"] == "1"
    assert found["office", "from", "signalling", "TLSv1.3"] == "2"
    assert found["carrier", "to", "media", "AES_CM_128_HMAC_SHA1_80"] == "1"
    assert {(row["from"], row["to"], row["zone"]) for row in rows} == {("2026-05-01", "2026-05-01", "UTC")}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a", '=cmd|"/c calc"!A0'])
def test_nothing_in_the_csv_is_a_formula(counts: Callable[..., dict[str, Any]], name: str) -> None:
    named: dict[str, Any] = {"from": name}
    rows = list(csv.reader(io.StringIO(as_csv(counts(record(**named))))))
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))] == []
    assert any(name in cell for row in rows for cell in row)


def test_the_text_moves_no_cursor_whatever_a_record_says(counts: Callable[..., dict[str, Any]]) -> None:
    odd = json.loads(record())
    odd["a"]["trunk"] = "a\x1b[2J\n\u2028b"
    odd["a"]["tls"]["version"] = "\x1b[31m"
    for text in (render(counts(json.dumps(odd))), as_csv(counts(json.dumps(odd)))):
        assert all(line.isprintable() for line in text.replace("\r\n", "\n").split("\n"))


def test_a_day_that_no_calendar_has_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="9999-12-31 is beyond the calendar"):
        counted(tmp_path / "calls.jsonl", DAY, date.max, "UTC")


def test_a_number_without_end_is_no_call_record(counts: Callable[..., dict[str, Any]]) -> None:
    endless = record().replace('"refused":0', '"refused":1e999')
    assert endless != record()
    answer = counts(endless, record())
    assert (answer["calls"], answer["unread"]) == (1, 1)
