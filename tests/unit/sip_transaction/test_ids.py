"""Ids: their form, their worker, and that they differ."""

from __future__ import annotations

import os

import pytest

from sbc.ids import Blocks, Ids, counter_bytes


@pytest.mark.parametrize("worker", [0, 1, 255])
def test_branch_and_tag_name_their_worker(worker: int) -> None:
    ids = Ids(os.urandom, worker)
    assert ids.branch().startswith(f"z9hG4bK{worker:02x}")
    assert ids.tag().startswith(f"{worker:02x}")


@pytest.mark.parametrize("worker", [-1, 256])
def test_a_worker_beyond_a_byte_is_refused(worker: int) -> None:
    with pytest.raises(ValueError, match="worker"):
        Ids(os.urandom, worker)


def test_ids_differ() -> None:
    ids = Ids(os.urandom)
    made = [each for _ in range(100) for each in (ids.branch(), ids.tag(), ids.call_id())]
    assert len(set(made)) == len(made)


def test_a_counting_source_repeats_itself() -> None:
    first, second = Ids(counter_bytes()), Ids(counter_bytes())
    assert [first.branch(), first.tag(), first.call_id()] == [second.branch(), second.tag(), second.call_id()]


def test_a_key_has_its_length_and_an_ssrc_is_never_zero() -> None:
    assert len(Ids(os.urandom).key(30)) == 30
    assert Ids(lambda length: bytes(length)).ssrc() == 1
    assert Ids(lambda length: b"\xff" * length).ssrc() == 2**32 - 1


def test_blocks_give_every_byte_once_and_whole_lengths() -> None:
    asked: list[bytes] = []

    def source(length: int) -> bytes:
        asked.append(os.urandom(length))
        return asked[-1]

    blocks = Blocks(source)
    drawn = [blocks(10) for _ in range(1000)]
    assert {len(each) for each in drawn} == {10}
    assert len(asked) == 3
    assert b"".join(drawn[:409]) == asked[0][:4090], "what is left of a block is too short and is not used"
    assert b"".join(drawn[409:818]) == asked[1][:4090]
    assert len(blocks(10_000)) == 10_000
