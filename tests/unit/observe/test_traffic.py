"""How many connections are gone, of what is counted of each listener both ways."""

from __future__ import annotations

import pytest

from sbc.observe.traffic import Tally

pytestmark = pytest.mark.pure


def test_who_is_gone_has_come_and_is_there_no_more() -> None:
    tally = Tally()
    inbound, outbound = tally.of("tls", "inbound"), tally.of("tls", "outbound")
    assert tally.gone() == 0
    inbound.accepted, inbound.refused, inbound.in_flight, inbound.open = 10, 2, 3, 1  # four have ended
    inbound.failures, inbound.handshakes = 3, 2
    assert tally.gone() == 4
    outbound.handshakes, outbound.failures, outbound.open = 5, 2, 1  # two never came up, four were closed
    assert tally.gone() == 10


def test_of_many_that_come_and_stay_nobody_is_gone() -> None:
    tally = Tally()
    for way in ("inbound", "outbound"):
        stats = tally.of("tls", way)
        stats.handshakes = stats.open = 1000
        if way == "inbound":
            stats.accepted = 1000
    assert tally.gone() == 0
