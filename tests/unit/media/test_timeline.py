"""Where sound belongs: timestamps rule within what the arrival of their packets allows."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.media.timeline import EARLIEST, NOWHERE, Timeline

PIECE = 160


def rtp(sequence: int, timestamp: int, ssrc: int = 7, marker: bool = False) -> bytes:
    head = 0x80, 0x80 if marker else 0, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
    return struct.pack("!BBHII", *head) + bytes(PIECE)


def places(*heard: tuple[bytes, int]) -> list[int]:
    line = Timeline()
    return [line.place(data, PIECE, arrival) for data, arrival in heard]


def test_who_starts_late_begins_where_he_starts_and_jitter_leaves_no_gaps() -> None:
    late = 8000
    heard = [(rtp(each, 500 + each * PIECE), late + each * PIECE + each % 3 * 90) for each in range(6)]
    assert places(*heard) == [late + each * PIECE for each in range(6)]


def test_what_is_lost_or_not_said_leaves_its_gap() -> None:
    assert places((rtp(1, 0), 0), (rtp(3, 320), 330), (rtp(4, 4000), 4010)) == [0, 320, 4000]


def test_what_is_overtaken_is_put_right_and_a_copy_stands_once() -> None:
    assert places((rtp(1, 0), 0), (rtp(3, 320), 320), (rtp(2, 160), 330), (rtp(2, 160), 340)) == [
        0, 320, 160, 160
    ]  # fmt: skip


def test_sequence_and_timestamp_go_round() -> None:
    assert places((rtp(65535, 2**32 - 160), 0), (rtp(0, 0), 160), (rtp(1, 160), 320)) == [0, 160, 320]


def test_another_ssrc_begins_anew_behind_what_there_is() -> None:
    assert places((rtp(1, 0), 0), (rtp(9, 77, ssrc=8), 100), (rtp(10, 237, ssrc=8), 320)) == [0, 160, 320]


def test_after_a_hold_in_which_its_time_stood_still_it_begins_anew() -> None:
    assert places((rtp(1, 0), 0), (rtp(2, 160), 80000), (rtp(3, 320), 80160)) == [0, 80000, 80160]


def test_a_burst_after_a_stall_loses_nothing_and_is_in_step_again_at_the_next_talkspurt() -> None:
    stalled = [(rtp(each, each * PIECE), 8000) for each in range(1, 50)]
    found = places((rtp(0, 0), 0), *stalled, (rtp(50, 40000, marker=True), 40000))
    assert found == [0, *(8000 + each * PIECE for each in range(49)), 40000]


def test_a_sender_who_sets_every_marker_is_not_torn_apart_by_jitter() -> None:
    heard = [(rtp(each, each * PIECE, marker=True), each * PIECE + each % 2 * 300) for each in range(6)]
    assert places(*heard) == [each * PIECE for each in range(6)]


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2), st.booleans(),
            st.integers(0, 4000),
        ),
        max_size=60,
    )
)  # fmt: skip
def test_whatever_is_sent_it_is_never_of_a_time_to_come(
    sent: list[tuple[int, int, int, bool, int]],
) -> None:
    line, now = Timeline(), 0
    for sequence, timestamp, ssrc, marker, later in sent:
        now += later
        place = line.place(rtp(sequence, timestamp, ssrc, marker), PIECE, now)
        assert place == NOWHERE or 0 <= place <= now + EARLIEST


@pytest.mark.parametrize("forged", [0x7FFFFFFF, 0x80000000, 16001])
def test_a_flood_is_not_longer_than_the_time_that_it_takes(forged: int) -> None:
    line = Timeline()
    for sequence in range(2000):
        line.place(rtp(sequence, sequence * forged), PIECE, 0)
    assert line.end <= EARLIEST + PIECE
