"""What becomes of a handshake on a wire that is not faithful, and of its dates at other times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import pytest
from cryptography import x509

from sbc.demo.pki import Issued, LabAuthority
from tests.edge.tls_lab import Lab, client_context, server_context
from tests.edge.tls_pair import Door, Pair, Way

DAY = 86400.0
CHANGE_CIPHER_SPEC = 0x14
both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])
both_ways = pytest.mark.parametrize("direction", ["inbound", "outbound"])


@pytest.fixture
def door(lab: Lab) -> Door:
    lab.trunk("a", {}, peers=("localhost:5061",))
    return Door(lab)


def beginning(door: Door, lab: Lab, direction: str, version: str) -> Callable[[], Pair]:
    """What makes pairs with a good peer, before the first octet has moved."""
    good = lab.ca.issue(dns=["localhost"])
    if direction == "inbound":
        client = client_context(lab, good, version)
        return lambda: door.meet(client)
    server = server_context(lab, good, version, demand=lab.ca)
    return lambda: door.dial("a", server, says=b"")


def watch(way: Way, change: Callable[[int, bytes], Sequence[bytes]]) -> None:
    """Let ``change`` have each record of a way, with its number."""
    numbers = count()
    way.between = lambda record: change(next(numbers), record)


def flip(record: bytes) -> Sequence[bytes]:
    return (record[:-1] + bytes((record[-1] ^ 1,)),)


def drop(record: bytes) -> Sequence[bytes]:
    return ()


def that_count(door: Door, pair: Pair, version: str) -> tuple[list[int], list[int]]:
    """The records of a good handshake to us and to the peer, by number, without which it is not good.

    A ChangeCipherSpec of TLS 1.3 says nothing (RFC 8446 D.4), a session ticket comes afterwards.
    """
    to_ours: list[int] = []
    to_theirs: list[int] = []

    def counting(numbers: list[int]) -> Callable[[int, bytes], Sequence[bytes]]:
        def note(number: int, record: bytes) -> Sequence[bytes]:
            late = numbers is to_theirs and door.theirs.done
            if not late and not (version == "1.3" and record[0] == CHANGE_CIPHER_SPEC):
                numbers.append(number)
            return (record,)

        return note

    watch(pair.to_ours, counting(to_ours))
    watch(pair.to_theirs, counting(to_theirs))
    pair.drive()
    assert door.ours.trunk == "a" and door.ours.heard
    return to_ours, to_theirs


@both_ways
@both_versions
@pytest.mark.parametrize("change", [flip, drop])
def test_no_record_can_be_changed_or_lost_unnoticed(
    door: Door, lab: Lab, direction: str, version: str, change: Callable[[bytes], Sequence[bytes]]
) -> None:
    """(RFC 8446 E.1.) What the peer says last is heard as it was said, or not at all."""
    begin = beginning(door, lab, direction, version)
    to_ours, to_theirs = that_count(door, begin(), version)
    assert len(to_ours) > 2 and to_theirs
    for toward, numbers in (("us", to_ours), ("the peer", to_theirs)):
        for bad in numbers:
            pair = begin()

            def spoil(number: int, record: bytes, bad: int = bad) -> Sequence[bytes]:
                return change(record) if number == bad else (record,)

            watch(pair.to_ours if toward == "us" else pair.to_theirs, spoil)
            pair.drive()
            assert door.ours.heard == b"", f"record {bad} to {toward}"


@both_ways
@both_versions
def test_records_may_be_split_anywhere(door: Door, lab: Lab, direction: str, version: str) -> None:
    pair = beginning(door, lab, direction, version)()
    for way in (pair.to_ours, pair.to_theirs):
        way.between = lambda record: [record[at : at + 1] for at in range(len(record))]
    pair.drive()
    assert door.ours.trunk == "a" and door.ours.heard and door.theirs.done


def test_a_dialled_peer_that_still_holds_its_answer_back_is_not_confirmed(door: Door, lab: Lab) -> None:
    """(RFC 8446 4.4.4.) Our handshake is over when its Finished is there; its refusal may still come."""
    pair = door.dial("a", server_context(lab, lab.ca.issue(dns=["localhost"]), "1.3", demand=lab.other_ca))

    def hold_all_but_the_hello(number: int, record: bytes) -> Sequence[bytes]:
        pair.to_theirs.held = number > 0
        return (record,)

    watch(pair.to_theirs, hold_all_but_the_hello)
    pair.drive()
    ours = door.ours
    assert ours.trunk == "a" and ours.error is None and ours.end is not None and not ours.end.confirmed
    watch(pair.to_theirs, lambda _number, record: (record,))
    pair.to_theirs.held = False
    pair.drive()
    event = ours.failure()
    assert (event.failure.kind, event.alert_received) == ("rejected-by-peer", 48)
    assert not ours.heard and not door.theirs.heard


@both_ways
def test_the_dates_of_a_chain_are_judged_at_the_moment_of_the_handshake(
    door: Door, lab: Lab, direction: str
) -> None:
    """(RFC 5280 6.1.3 a 2.) Those of the leaf, and those of who issued it."""
    now = door.clock.at
    leaf = lab.ca.issue(dns=["localhost"], not_before=now - 2 * DAY, not_after=now + 2 * DAY)
    middle = LabAuthority("middle", issuer=lab.ca, now=now)
    ends = x509.load_pem_x509_certificate(middle.cert_pem).not_valid_after_utc.timestamp()
    old = middle.issue(dns=["localhost"], not_before=now, not_after=ends + 9 * DAY)

    def outcome(peer: Issued, at: float) -> str | None:
        door.clock.at = at
        let_in = door.enters(peer) if direction == "inbound" else door.reaches("a", peer)
        return let_in or door.reason

    assert outcome(leaf, now - 3 * DAY) == "not-yet-valid"
    assert outcome(leaf, now + 1.9 * DAY) == "a"
    assert outcome(leaf, now + 2.1 * DAY) == "expired"
    assert outcome(old, now + DAY) == "a"
    assert outcome(old, ends + DAY) == "expired"


@both_versions
def test_who_goes_away_in_the_handshake_is_told_so(door: Door, lab: Lab, version: str) -> None:
    pair = beginning(door, lab, "inbound", version)()
    pair.to_theirs.held = True
    pair.drive()
    door.ours.cut("timeout")
    assert door.reason == "timeout"
    pair.to_theirs.held = False
    pair.drive()
    assert door.ours.trunk is None and door.ours.heard == b""
