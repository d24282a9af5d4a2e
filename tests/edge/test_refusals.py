"""What is said of those who are refused: of each address, and of strangers only so much."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sbc.base import Address
from sbc.config.model import Trunk
from sbc.net.transport.refusals import Refusals
from sbc.tls.sources import SourceIndex
from tests.edge.tls_lab import Recorder

SOURCES = SourceIndex([("198.51.100.0/24", "carrier"), ("2001:db8:1::/48", "six")])
TRUNKS = {"pbx": Trunk(trunk="pbx", listener="tls", peers=(Address("192.0.2.40", 5061),))}
SNAPSHOT: Any = SimpleNamespace(sources={"tls": SOURCES}, trunks=TRUNKS)


class Fixed:
    """A clock that stands where the test wants."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def clock() -> Fixed:
    return Fixed()


@pytest.fixture
def refusals(recorder: Recorder, clock: Fixed) -> Refusals:
    return Refusals("tls", recorder, clock)  # type: ignore[arg-type]


def test_any_number_of_strangers_silences_nobody_who_resembles_a_trunk(
    refusals: Refusals, recorder: Recorder
) -> None:
    for _ in range(5000):
        refusals.stranger(Address("203.0.113.1", 4000), SNAPSHOT)
    for number in range(900):
        refusals.stranger(Address(f"203.0.{number >> 8}.{number & 255}", 4000), SNAPSHOT)
    refusals.stranger(Address("198.51.101.7", 4000), SNAPSHOT)
    assert len(recorder.refused) == 21
    assert "near 198.51.100.0/24, which trunk carrier admits" in recorder.refused[-1][2]


def test_an_address_is_told_again_after_a_minute_with_what_was_left_out(
    refusals: Refusals, recorder: Recorder, clock: Fixed
) -> None:
    for _ in range(50):
        refusals.note(Address("198.51.100.7", 4000), "the address is blocked")
    clock.at += 61
    refusals.note(Address("198.51.100.7", 4001), "the address is blocked")
    assert [reason for _, _, reason in recorder.refused] == [
        "the address is blocked", "the address is blocked (49 more since the last line)",
    ]  # fmt: skip


def test_an_address_that_is_refused_for_another_reason_is_told_of_that_too(
    refusals: Refusals, recorder: Recorder
) -> None:
    for reason in ("one", "two", "one", "two"):
        refusals.note(Address("198.51.100.7", 4000), reason)
    assert [reason for _, _, reason in recorder.refused] == ["one", "two"]


def test_forged_addresses_are_not_looked_at_without_end(refusals: Refusals, recorder: Recorder) -> None:
    looked: list[str] = []
    index = SimpleNamespace(nearest=looked.append)
    snapshot: Any = SimpleNamespace(sources={"tls": index}, trunks={})
    for number in range(5000):
        refusals.stranger(Address(f"10.0.{number >> 8}.{number & 255}", 4000), snapshot)
    assert len(looked) == 1000 and len(recorder.refused) == 20


def test_hosts_of_one_ipv6_network_are_one_stranger_and_the_address_is_what_is_to_be_added(
    refusals: Refusals, recorder: Recorder
) -> None:
    for host in ("2001:db8:2::1", "2001:db8:2::2"):
        refusals.stranger(Address(host, 4000), SNAPSHOT)
    assert len(recorder.refused) == 1
    assert "near 2001:db8:1::/48, which trunk six admits" in recorder.refused[0][2]
    assert "add 2001:db8:2::1 to the trunk's `sources`" in recorder.refused[0][2]


def test_a_peer_that_is_dialled_and_may_not_call_is_known_by_its_address(
    refusals: Refusals, recorder: Recorder
) -> None:
    refusals.stranger(Address("192.0.2.40", 4000), SNAPSHOT)
    assert "it is a peer of trunk pbx: if it may call, add 192.0.2.40 to the" in recorder.refused[0][2]
