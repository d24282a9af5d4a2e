"""Who is blocked, when, and for how long: the defaults on a given clock."""

from __future__ import annotations

import json
import tracemalloc
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.policy import blocks, suspicion
from sbc.policy.blocklist import Blocklist, Spared
from sbc.policy.blocks import Block
from sbc.policy.suspicion import Kind, Suspicions, Terms

DEFAULTS = Terms(15, 300.0, 3600.0)
SCANNER, PHONE = "198.51.100.66", "203.0.113.80"
TODAY = 1_795_000_000.0


def nobody(source: str) -> str:
    return ""


def blocklist(terms: Terms | None = DEFAULTS, **named: str) -> Blocklist:
    return Blocklist(terms, lambda source: named.get(source, ""))


def fails(
    made: Blocklist, times: int, at: float = 0.0, host: str = SCANNER, kind: Kind = "handshake"
) -> Block | None:
    """So many pieces of evidence in the same moment; the block that came of the last."""
    found = None
    for _ in range(times):
        found = made.note(host, kind, at)
    assert not isinstance(found, Spared)
    return found


def test_the_fifteenth_failure_blocks_nobody_and_the_sixteenth_does() -> None:
    made = blocklist()
    assert fails(made, 15) is None and not made.blocks.refuses(SCANNER, 0.0)
    block = fails(made, 1, 12.0)
    assert block is not None and block.why == "16 failed TLS handshakes within 12 s"
    assert made.blocks.refuses(SCANNER, 12.0) and not made.blocks.refuses("198.51.100.67", 12.0)


def test_an_hour_later_it_may_come_back() -> None:
    made = blocklist()
    fails(made, 16)
    assert made.blocks.refuses(SCANNER, 3599.9) and not made.blocks.refuses(SCANNER, 3600.0)
    assert made.blocks.ended(3599.9) == []
    (over,) = made.blocks.ended(3600.0)
    assert over.source == SCANNER and over.refused == 1 and len(made.blocks) == 0
    assert fails(made, 15, 3600.0) is None, "what was is forgotten"
    assert fails(made, 1, 3600.0) is not None
    assert made.blocks.lifetime == 2


def test_the_window_slides() -> None:
    made = blocklist()
    for number in range(200):  # fifteen in any five minutes, without an end
        assert made.note(SCANNER, "handshake", number * 20.0) is None
    # One more within them, and it is one too many.
    assert made.note(SCANNER, "handshake", 199 * 20.0 + 1) is not None


@given(st.lists(st.integers(0, 200), min_size=1, max_size=120), st.integers(1, 20))
def test_the_window_is_exact(gaps: list[int], failures: int) -> None:
    """Against the rule in its plainest form."""
    terms, at, kept = Terms(failures, 300.0, 3600.0), 0.0, deque[float]()
    seen = Suspicions()
    for gap in gaps:
        at += gap
        kept.append(at)
        while kept[0] <= at - 300.0:
            kept.popleft()
        assert bool(seen.note(SCANNER, "handshake", "", terms, at)) is (len(kept) > failures)
        if len(kept) > failures:
            kept.clear()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.7.7",
        "169.254.1.1", "fe80::1", "fd00::7", "fc00::7", "::ffff:10.1.2.3", "::ffff:127.0.0.1",
        "::ffff:192.168.7.7", "::ffff:a01:203",
    ],
)  # fmt: skip
def test_an_exempt_address_is_never_blocked_and_nothing_is_kept_of_it(host: str) -> None:
    made = blocklist()
    assert (
        fails(made, 1000, host=host) is None
        and made.note(host, "scanner", 0.0, why="friendly-scanner") is None
    )
    assert not made.blocks.refuses(host, 0.0) and len(made.suspicions) == 0


def test_this_machine_is_not_blocked_for_another_of_its_64() -> None:
    made = blocklist()
    fails(made, 1000, host="::2")
    assert not made.blocks.refuses("::1", 0.0)


@pytest.mark.parametrize("host", ["198.51.100.1", "100.64.0.1", "172.32.0.1", "2001:db8::1", "8.8.8.8"])
def test_others_are(host: str) -> None:
    made = blocklist()
    assert fails(made, 16, host=host) is not None and made.blocks.refuses(host, 0.0)


def test_of_ipv6_a_64_is_one_address() -> None:
    made = blocklist()
    for number in range(15):
        assert made.note(f"2001:db8:1:2::{number:x}", "handshake", 0.0) is None
    block = made.note("2001:db8:1:2:ffff::1", "handshake", 0.0)
    assert isinstance(block, Block) and block.source == "2001:db8:1:2::/64"
    assert made.blocks.refuses("2001:db8:1:2:3:4:5:6", 1.0)
    assert not made.blocks.refuses("2001:db8:1:3::1", 1.0)


def test_a_host_that_a_trunk_names_is_told_of_and_not_blocked() -> None:
    made = Blocklist(DEFAULTS, lambda source: "carrier" if source == SCANNER else "")
    told = [made.note(SCANNER, "handshake", 0.0) for _ in range(100)]
    (spared,) = [each for each in told if each is not None]
    assert spared == Spared(SCANNER, "carrier", "16 failed TLS handshakes within 1 s")
    assert not made.blocks.refuses(SCANNER, 1.0)
    assert [made.note(SCANNER, "handshake", 3599.0) for _ in range(100)] == [None] * 100, "once an hour"
    assert any(made.note(SCANNER, "handshake", 3601.0) for _ in range(16))
    assert isinstance(made.note(PHONE, "scanner", 0.0, why="sipvicious"), Block), "others are"


def test_whom_a_reload_names_comes_back_at_once() -> None:
    named: dict[str, str] = {}
    made = Blocklist(DEFAULTS, lambda source: named.get(source, ""))
    fails(made, 16)
    fails(made, 16, host=PHONE)
    named[SCANNER] = "carrier"
    assert [each.source for each in made.apply(DEFAULTS, 5.0)] == [SCANNER]
    assert not made.blocks.refuses(SCANNER, 5.0) and made.blocks.refuses(PHONE, 5.0)


def test_a_scanner_is_blocked_after_one_message() -> None:
    made = blocklist()
    block = made.note(SCANNER, "scanner", 0.0, why="it calls itself friendly-scanner")
    assert isinstance(block, Block) and block.why == "it calls itself friendly-scanner"


def test_somebody_who_mistypes_a_password_is_not() -> None:
    """A phone with a wrong password, that tries every half a minute for a day."""
    made = blocklist()
    assert not any(made.note(PHONE, "password", number * 30.0, "alice") for number in range(2880))


def test_who_goes_through_users_is_blocked_sooner_than_who_goes_through_passwords() -> None:
    made = blocklist()
    one = [made.note(SCANNER, "password", 0.0, "100") is not None for _ in range(16)]
    many = [made.note(PHONE, "password", 0.0, str(number)) is not None for number in range(9)]
    assert one.index(True) == 15 and many.index(True) == 8


def test_evidence_of_all_kinds_counts_together() -> None:
    made = blocklist()
    fails(made, 10)
    fails(made, 5, kind="malformed")
    block = made.note(SCANNER, "domain", 0.0)
    assert isinstance(block, Block)
    assert block.why == (
        "10 failed TLS handshakes, 5 malformed messages, 1 registrations at a domain that is none of ours"
        " within 1 s"
    )


def test_off_is_off() -> None:
    made = blocklist()
    fails(made, 16)
    fails(made, 15, host=PHONE)
    assert [each.source for each in made.apply(None, 1.0)] == [SCANNER]
    assert not made.blocks.refuses(SCANNER, 1.0) and fails(made, 1000, 1.0) is None
    made.apply(DEFAULTS, 2.0)
    assert fails(made, 15, 2.0, PHONE) is None, "it begins anew"


def test_a_shorter_time_holds_for_those_that_are_blocked() -> None:
    made = blocklist()
    fails(made, 16)
    made.add(PHONE, 7200.0, 0.0, "root", "")
    made.apply(Terms(15, 300.0, 60.0), 10.0)
    assert not made.blocks.refuses(SCANNER, 70.0)
    assert made.blocks.refuses(PHONE, 7199.0), "not for an operator's"
    made.apply(DEFAULTS, 11.0)
    assert not made.blocks.refuses(SCANNER, 70.0)


def test_what_a_blocked_address_still_brings_makes_it_no_longer() -> None:
    made = blocklist()
    fails(made, 16)
    fails(made, 500, 3599.0)
    assert not made.blocks.refuses(SCANNER, 3600.0) and made.blocks.lifetime == 1


# A restart, and clocks


def restarted(
    made: Blocklist, now: float, at: float, later: float, then: float, lasts: float = 3600.0
) -> Blocklist:
    """What comes of it written at ``now`` and read at ``later`` (dates), with the moments of two boots."""
    fresh = blocklist()
    for source, saved in json.loads(json.dumps(made.blocks.whole(now, at))).items():
        if saved is not None:
            fresh.blocks.restore(source, saved, lasts, later, then)
    return fresh


def test_a_restart_keeps_the_entries_and_their_ends() -> None:
    made = blocklist()
    fails(made, 16, 5000.0)
    made.blocks.refuses(SCANNER, 5001.0)
    made.add("2001:db8:1:2::/64", 7200.0, 5000.0, "root", "rude")
    fresh = restarted(made, TODAY, 5060.0, TODAY + 600, 9.0)
    # Of the hour 60 s were over when it was written, and 600 s passed until it was read.
    assert fresh.blocks.refuses(SCANNER, 9.0 + 2939.9) and not fresh.blocks.refuses(SCANNER, 9.0 + 2940.0)
    assert fresh.blocks.refuses("2001:db8:1:2::9", 9.0 + 6539.9) and not fresh.blocks.refuses(
        "2001:db8:1:2::9", 9.0 + 6540.0
    )
    added, found = fresh.blocks.rows(TODAY + 600, 9.0)
    assert found["why"] == "16 failed TLS handshakes within 1 s" and found["refused"] == 2
    assert (added["by"], added["note"], added["kind"]) == ("root", "rude", "operator")
    assert found["since"] == pytest.approx(TODAY - 60) and found["until"] == pytest.approx(TODAY + 3540)
    assert fresh.blocks.lifetime == 2 and fresh.blocks.counts == {"handshake": 1, "operator": 1}


def test_what_ended_meanwhile_is_gone_and_counted_all_the_same() -> None:
    made = blocklist()
    fails(made, 16)
    fresh = restarted(made, TODAY, 0.0, TODAY + 3600, 0.0)
    assert len(fresh.blocks) == 0 and fresh.blocks.lifetime == 1


@pytest.mark.parametrize("jump", [-86400.0 * 365, -3600.0])
def test_a_clock_that_was_set_back_meanwhile_lengthens_nothing(jump: float) -> None:
    made = blocklist()
    fails(made, 16)
    made.add(PHONE, 7200.0, 0.0, "root", "")
    fresh = restarted(made, TODAY, 0.0, TODAY + jump, 0.0)
    assert not fresh.blocks.refuses(SCANNER, 3600.0) and not fresh.blocks.refuses(PHONE, 7200.0)
    assert fresh.blocks.refuses(SCANNER, 3599.0) and fresh.blocks.refuses(PHONE, 7199.0)


def test_a_shorter_time_that_was_configured_meanwhile_holds() -> None:
    made = blocklist()
    fails(made, 16)
    assert not restarted(made, TODAY, 0.0, TODAY, 0.0, 60.0).blocks.refuses(SCANNER, 60.0)


@pytest.mark.parametrize(
    ("source", "saved"),
    [
        ("", []), ("", {}), ("", "x"), ("", 1), ("", {"counts": {}}), ("", {"counts": [], "refused": 0}),
        ("", {"counts": {"handshake": "1"}, "refused": 0}), ("", {"counts": {}, "refused": None}),
        ("", {"counts": {}, "refused": 0, "more": 1}),
        (SCANNER, []), (SCANNER, 7), (SCANNER, None), (SCANNER, {"address": SCANNER}),
    ],
)  # fmt: skip
def test_what_is_no_entry_is_refused(source: str, saved: object) -> None:
    made = blocklist()
    with pytest.raises(ValueError):
        made.blocks.restore(source, saved, 3600.0, TODAY, 0.0)
    assert len(made.blocks) == made.blocks.lifetime == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("address", PHONE),
        ("until", "tomorrow"),
        ("until", float("inf")),
        ("until", 1e300),
        ("since", None),
        ("lasts", []),
        ("refused", 1.5),
    ],
)
def test_one_wrong_value_is_enough(key: str, value: object) -> None:
    made = blocklist()
    fails(made, 16)
    saved = made.blocks.whole(TODAY, 0.0)[SCANNER]
    saved[key] = value
    with pytest.raises(ValueError, match="no entry of a blocklist"):
        blocklist().blocks.restore(SCANNER, saved, 3600.0, TODAY, 0.0)


def test_only_what_has_changed_is_written_anew() -> None:
    made = blocklist()
    fails(made, 16)
    made.add(PHONE, 7200.0, 0.0, "root", "")
    assert made.blocks.changes(TODAY, 0.0).keys() == {SCANNER, PHONE, ""}
    assert made.blocks.changes(TODAY, 0.0) == {}
    made.blocks.lift(PHONE)
    assert made.blocks.changes(TODAY, 0.0) == {PHONE: None}
    made.apply(None, 1.0)
    assert made.blocks.changes(TODAY, 0.0) == {SCANNER: None}


# What there is of it


@pytest.mark.slow
def test_a_million_addresses_leave_a_bounded_table_and_push_out_nobody_of_whom_more_is_known() -> None:
    seen, known = Suspicions(), "192.0.2.200"
    for _ in range(14):
        assert not seen.note(known, "handshake", "", DEFAULTS, 0.0)
    for number in range(1_000_000):
        seen.note(f"{number >> 16 | 1}.{number >> 8 & 255}.{number & 255}.9", "handshake", "", DEFAULTS, 1.0)
    assert len(seen) <= 2 * suspicion.MOST
    assert not seen.note(known, "handshake", "", DEFAULTS, 2.0)
    assert seen.note(known, "handshake", "", DEFAULTS, 2.0)


def test_a_user_s_name_is_not_kept_however_long_it_is() -> None:
    """Nobody has proved anything yet, and names of a whole message each are a quarter of a gigabyte."""
    known, terms = Suspicions(), Terms(15, 300.0, 3600.0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(200):
        known.note(f"2001:db8:0:{number:x}::/64", "password", f"{number}" + "x" * 15_000, terms, 1.0)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(known) == 200 and kept < 200 * 2000


@pytest.mark.slow
def test_forty_thousand_64s_that_are_blocked_leave_a_bounded_list_and_the_operators() -> None:
    made = blocklist()
    made.add(PHONE, 7200.0, 0.0, "root", "")
    for number in range(40_000):
        made.note(
            f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1", "scanner", number / 1000, why="it says so"
        )
    assert len(made.blocks) == blocks.MOST + 1 and made.blocks.lifetime == 40_001
    assert made.blocks.refuses(PHONE, 200.0)
    assert made.blocks.refuses("2001:db8:0:9c3f::1", 200.0), "the newest"


def test_operators_add_so_many_and_no_more() -> None:
    made = blocklist()
    for number in range(blocks.MOST_ADDED):
        assert made.add(f"8.8.{number >> 8}.{number & 255}", 60.0, 0.0, "root", "")
    assert made.add("192.0.2.3", 60.0, 0.0, "root", "") is None
    assert made.add("8.8.0.7", 90.0, 0.0, "root", "") is not None, "one that is there may be changed"
    assert len(made.blocks) == blocks.MOST_ADDED
