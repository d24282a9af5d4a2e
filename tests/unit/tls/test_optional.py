"""Counts of a trunk in mode optional: when would `required` refuse nobody."""

from __future__ import annotations

import json

import pytest

from sbc.tls.optional import SETTLED, SOURCES_KEPT, OptionalPeers, Showed, Summary

NOW = 1_800_000_000.0
A, B = "192.0.2.1", "192.0.2.2"


def after(*seen: tuple[float, str, Showed], now: float = NOW) -> Summary:
    counts = OptionalPeers()
    counts.follow(["carrier"], NOW - 30 * 86400)
    for at, source, showed in seen:
        counts.note("carrier", source, showed, at)
    summary = counts.summary("carrier", now)
    assert summary is not None
    return summary


OLD, LATER, LATEST = NOW - SETTLED - 3, NOW - SETTLED - 2, NOW - 1


@pytest.mark.parametrize(
    ("seen", "safe"),
    [
        ((), False),
        (((LATEST, A, "presented"),), True),
        (((LATEST, A, "absent"),), False),
        (((OLD, A, "absent"),), False),
        (((OLD, A, "absent"), (LATER, A, "presented")), True),
        (((LATEST - 2, A, "absent"), (LATEST, A, "presented")), False),
        (((OLD, A, "bad"), (LATER, A, "presented")), True),
        (((OLD, A, "presented"), (LATER, A, "bad")), False),
        (((LATEST, A, "presented"), (LATEST, B, "absent")), False),
        (((LATEST, A, "presented"), (LATEST, B, "presented")), True),
    ],
)
def test_it_is_safe_when_everybody_has_shown_a_certificate_for_a_week(
    seen: tuple[tuple[float, str, Showed], ...], safe: bool
) -> None:
    assert after(*seen).safe is safe


def test_it_counts_and_names_who_would_be_refused_latest_first() -> None:
    summary = after(
        (LATER, A, "absent"), (LATEST, B, "bad"), (LATEST, "192.0.2.3", "presented"), (LATER, A, "absent")
    )
    assert (summary.sources, summary.presented, summary.absent, summary.bad) == (3, 1, 2, 1)
    assert [(name, each.absent, each.bad) for name, each in summary.refused] == [(B, 0, 1), (A, 2, 0)]


def test_only_trunks_in_mode_optional_are_counted() -> None:
    counts = OptionalPeers()
    counts.follow(["carrier"], NOW)
    assert counts.changes()
    counts.note("office", A, "absent", NOW)
    assert counts.summary("office", NOW) is None and counts.changes() == {}
    counts.note("carrier", A, "absent", NOW)
    counts.follow(["carrier", "office"], NOW + 9)
    kept = counts.summary("carrier", NOW + 9)
    assert kept is not None and (kept.since, kept.absent) == (NOW, 1)
    counts.follow(["office"], NOW + 10)
    assert counts.summary("carrier", NOW + 10) is None
    counts.follow(["carrier"], NOW + 11)
    anew = counts.summary("carrier", NOW + 11)
    assert anew is not None and (anew.since, anew.sources) == (NOW + 11, 0), "counted anew"


def test_the_address_not_seen_longest_goes_first() -> None:
    counts = OptionalPeers()
    counts.follow(["carrier"], NOW)
    for number in range(SOURCES_KEPT + 1):
        counts.note("carrier", A, "presented", NOW + number)
        counts.note("carrier", f"2001:db8::{number:x}", "absent", NOW + number)
    summary = counts.summary("carrier", NOW + SOURCES_KEPT)
    assert summary is not None and summary.sources == SOURCES_KEPT
    assert summary.presented == SOURCES_KEPT + 1 and summary.absent == SOURCES_KEPT - 1


def test_it_survives_as_json() -> None:
    counts = OptionalPeers()
    counts.follow(["carrier", "gone"], NOW)
    counts.note("carrier", A, "bad", NOW + 1)
    counts.note("carrier", B, "presented", NOW + 2)
    again = OptionalPeers()
    for key, saved in json.loads(json.dumps(counts.whole())).items():
        again.restore(key, saved)
    assert again.summary("carrier", NOW + 3) == counts.summary("carrier", NOW + 3)
    assert again.whole() == counts.whole()


def test_only_what_has_changed_is_written_anew() -> None:
    counts = OptionalPeers()
    counts.follow(["carrier", "gone"], NOW)
    counts.note("carrier", A, "bad", NOW + 1)
    counts.note("gone", A, "bad", NOW + 1)
    assert len(counts.changes()) == 4 and counts.changes() == {}
    counts.note("carrier", A, "bad", NOW + 2)
    counts.follow(["carrier"], NOW)
    assert next(iter(counts.changes().values()))["bad"] == 2
    assert counts.whole().keys() == {"since carrier", f"source {A} carrier"}


def test_what_is_followed_no_more_is_to_be_forgotten() -> None:
    counts = OptionalPeers()
    counts.follow(["gone"], NOW)
    counts.note("gone", A, "bad", NOW + 1)
    kept = counts.changes()
    counts.follow([], NOW)
    assert counts.changes() == dict.fromkeys(kept)


@pytest.mark.parametrize(
    ("key", "saved"),
    [
        ("since a", None), ("since a", []), ("since a", {"trunk": "a"}),
        ("since a", {"trunk": 1, "since": 1}),
        ("since a", {"trunk": "a", "since": "x"}), ("source x a", {"trunk": "a", "source": "x"}),
        ("source x a", {"trunk": "a", "source": 1, "presented": 1, "absent": 0, "bad": 0, "first": 1,
                        "last": 1, "last_without": 1}),
    ],
)  # fmt: skip
def test_what_is_no_count_of_ours_changes_nothing(key: str, saved: object) -> None:
    counts = OptionalPeers()
    counts.follow(["carrier"], NOW)
    with pytest.raises(ValueError, match="no counts of ours"):
        counts.restore(key, saved)
    assert counts.summary("carrier", NOW) is not None
