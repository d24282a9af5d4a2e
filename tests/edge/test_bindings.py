"""Who is registered, on disk: all that was confirmed is there again."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import gevent
import pytest

from sbc.base import Address
from sbc.flow import Transport
from sbc.net.system.bindings import BindingStore
from sbc.net.system.store import Store
from sbc.registrar.binding import Binding
from sbc.sip.uri import parse_uri
from tests.peers.waiting import until
from tests.unit.registrar.plain import plain

NOW = 1_795_000_000.0


def binding(user: str, host: str = "192.0.2.7", transport: Transport = "udp", until: float = 60.0) -> Binding:
    return Binding(
        user, parse_uri(f"sip:{user}@phone.invalid;ob"), None, Address(host, 5062), transport, "phones",
        expires_at=NOW + until, registered_at=NOW, call_id="one", cseq=7, path=("<sip:p;lr>",), q=0.5,
        instance="<urn:uuid:1>", reg_id=2, user_agent="Desk",
    )  # fmt: skip


class Kept:
    """A store in ``directory``, what it said, and whom it has told that their change is written."""

    def __init__(self, directory: Path, now: float = NOW) -> None:
        self.said: list[str] = []
        self.told: list[str] = []
        self.store = Store(directory, self.said.append)
        self.bindings = BindingStore(self.store, now, list)

    @property
    def found(self) -> list[Binding]:
        """What there was."""
        return self.bindings.found

    def keep(self, user: str, *bindings: Binding) -> None:
        self.bindings.keep(user, bindings, lambda: self.told.append(user))

    def hears(self, *users: str) -> None:
        until(lambda: sorted(self.told) == sorted(users), f"{users} written")


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.found == []
    kept.keep("alice", binding("alice"), binding("alice", "2001:db8::7", "tls"))
    kept.keep("bob", binding("bob"))
    kept.hears("alice", "bob")
    kept.keep("bob")
    kept.keep("late", binding("late", until=5))
    kept.hears("alice", "bob", "bob", "late")
    kept.store.close()
    again = Kept(tmp_path, NOW + 10)
    wanted = [binding("alice"), binding("alice", "2001:db8::7", "tls")]
    assert [plain(each) for each in again.found] == [plain(each) for each in wanted]
    assert kept.said == again.said == []
    again.store.close()


@pytest.mark.parametrize("behind", [1.0, 3600.0, 56 * 365 * 86400.0])
def test_a_clock_that_begins_in_the_past_lengthens_nothing(tmp_path: Path, behind: float) -> None:
    """Until it is set: all dates move then, and what had 56 years left would have them for ever."""
    kept = Kept(tmp_path)
    kept.keep("alice", binding("alice"))
    kept.hears("alice")
    kept.store.close()
    again = Kept(tmp_path, NOW - behind)
    (found,) = again.found
    assert found.expires_at - (NOW - behind) <= 60
    again.store.close()


def test_what_a_phone_was_told_is_there_though_nobody_closed_the_file(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep("alice", binding("alice"))
    kept.hears("alice")
    assert [each.user for each in Kept(tmp_path).found] == ["alice"]
    kept.store.close()


def test_what_is_no_text_of_a_phone_stops_nobody(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    odd = binding("alice")
    odd.user_agent, odd.path = "Desk \udcff\udc00\x00", ("<sip:p;lr>;x=\udcff",)
    kept.keep("alice", odd)
    kept.keep("bob", binding("bob"))
    kept.hears("alice", "bob")
    kept.store.close()
    found = Kept(tmp_path).found
    assert [each.user for each in found] == ["alice", "bob"] and found[0].path == odd.path
    assert kept.said == []


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for number in range(100):
        kept.keep(f"user{number}", binding(f"user{number}"))
    kept.store.close()
    assert len(Kept(tmp_path).found) == 100


@pytest.mark.parametrize(
    "spoilt",
    [
        "replace(value, 'sip:bob@', 'nonsense ')",
        "replace(value, '\"udp\"', '\"pigeon\"')",
        "replace(value, '5062', '\"many\"')",
        'replace(value, \'"bob", "sip\', \'"alice", "sip\')',
        "'[[]]'",
        "'7'",
        "'{\"bob\": 1}'",
    ],
)
def test_an_entry_that_makes_no_sense_is_left_out(tmp_path: Path, spoilt: str) -> None:
    kept = Kept(tmp_path)
    kept.keep("alice", binding("alice"))
    kept.keep("bob", binding("bob"))
    kept.hears("alice", "bob")
    kept.store.close()
    db = sqlite3.connect(tmp_path / "state.db")
    before = db.execute("select value from entries where key = '\"bob\"'").fetchone()
    db.execute(f"update entries set value = {spoilt} where key = '\"bob\"'")
    assert db.execute("select value from entries where key = '\"bob\"'").fetchone() != before
    db.commit()
    db.close()
    again = Kept(tmp_path)
    assert [each.user for each in again.found] == ["alice"]
    assert len(again.said) == 1 and "bindings.unreadable" in again.said[0]
    again.store.close()


@pytest.mark.slow
def test_ten_thousand_are_there_at_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for number in range(10_000):
        kept.keep(f"user{number}", binding(f"user{number}"))
    kept.store.close()
    began = time.process_time()
    with gevent.Timeout(60):
        assert len(Kept(tmp_path).found) == 10_000
    print(f"restored in {time.process_time() - began:.2f} s of CPU")
