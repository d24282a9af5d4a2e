"""When a certificate is renewed, and how failures are spaced."""

from __future__ import annotations

from itertools import accumulate

from sbc.tls.lifetime.renewal import renew_at, retire_at, retry_after

DAY = 86400.0


def test_a_third_of_the_lifetime_is_left_and_a_little_more() -> None:
    for digest in ("00000000", "7fffffff", "ffffffff"):
        moment = renew_at(0.0, 90 * DAY, digest + "ab" * 28)
        assert 57 * DAY <= moment <= 60 * DAY
    assert renew_at(0.0, 90 * DAY, "0" * 64) == 60 * DAY
    assert renew_at(0.0, 90 * DAY, "f" * 64) == 57 * DAY


def test_a_short_lived_certificate_is_renewed_in_its_own_measure() -> None:
    assert 57 * 60 <= renew_at(0.0, 90 * 60, "80" * 32) <= 60 * 60


def test_failures_wait_longer_each_time_up_to_half_a_day() -> None:
    waits = [retry_after(count) for count in range(1, 40)]
    assert waits[:3] == [300.0, 600.0, 1200.0]
    assert waits == sorted(waits)
    assert waits[-1] == 43200.0
    assert sum(at <= 3600 for at in (0.0, *accumulate(waits))) < 5, "attempts within an hour"


def test_the_old_one_goes_between_its_renewal_and_its_end() -> None:
    assert renew_at(0.0, 90 * DAY, "0" * 64) < retire_at(0.0, 90 * DAY) == 75 * DAY
