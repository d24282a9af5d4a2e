"""Who is registered, on disk: all that was confirmed is there again, whatever state the file is in."""

from __future__ import annotations

import sqlite3
import stat
import time
from pathlib import Path

import gevent
import pytest

from sbc.base import Address
from sbc.flow import Transport
from sbc.net.system.bindings import BindingStore
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

    def __init__(self, directory: Path) -> None:
        self.said: list[str] = []
        self.told: list[str] = []
        self.store = BindingStore(directory / "registrations.db", self.said.append)

    def keep(self, user: str, *bindings: Binding) -> None:
        self.store.keep(user, bindings, lambda: self.told.append(user))

    def hears(self, *users: str) -> None:
        until(lambda: sorted(self.told) == sorted(users), f"{users} written")


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.store.load(NOW) == []
    kept.keep("alice", binding("alice"), binding("alice", "2001:db8::7", "tls"))
    kept.keep("bob", binding("bob"))
    kept.hears("alice", "bob")
    kept.keep("bob")
    kept.keep("late", binding("late", until=5))
    kept.hears("alice", "bob", "bob", "late")
    again = Kept(tmp_path)
    found = again.store.load(NOW + 10)
    wanted = [binding("alice"), binding("alice", "2001:db8::7", "tls")]
    assert [plain(each) for each in found] == [plain(each) for each in wanted]
    assert stat.S_IMODE((tmp_path / "registrations.db").stat().st_mode) == 0o600
    assert kept.said == again.said == []
    kept.store.close()
    again.store.close()


def test_what_is_no_text_of_a_phone_stops_nobody(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.store.load(NOW)
    odd = binding("alice")
    odd.user_agent, odd.path = "Desk \udcff\udc00\x00", ("<sip:p;lr>;x=\udcff",)
    kept.keep("alice", odd)
    kept.keep("bob", binding("bob"))
    kept.hears("alice", "bob")
    kept.store.close()
    found = Kept(tmp_path).store.load(NOW)
    assert [each.user for each in found] == ["alice", "bob"] and found[0].path == odd.path
    assert kept.said == []


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.store.load(NOW)
    for number in range(100):
        kept.keep(f"user{number}", binding(f"user{number}"))
    kept.store.close()
    assert len(Kept(tmp_path).store.load(NOW)) == 100


def test_many_changes_are_one_commit(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.store.load(NOW)
    db = sqlite3.connect(tmp_path / "registrations.db")
    before = db.execute("pragma data_version").fetchone()
    order: list[str] = []
    kept.store.keep("first", (binding("first"),), lambda: order.append("first"))
    until(lambda: order, "the first is written")
    for number in range(50):
        kept.keep(f"user{number}", binding(f"user{number}"))
    kept.hears(*[f"user{number}" for number in range(50)])
    assert db.execute("pragma data_version").fetchone() != before
    assert db.execute("select count(*) from bindings").fetchone() == (51,)
    kept.store.close()


@pytest.mark.parametrize("damage", ["no database", "torn", "of another kind"])
def test_a_damaged_file_is_put_aside_with_a_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "registrations.db"
    if damage == "no database":
        path.write_bytes(b"this is no database" * 1000)
    elif damage == "torn":
        kept = Kept(tmp_path)
        kept.store.load(NOW)
        for number in range(200):
            kept.keep(f"user{number}", binding(f"user{number}"))
        kept.store.close()
        path.write_bytes(path.read_bytes()[:12288] + b"\xff" * 9000)
    else:
        db = sqlite3.connect(path)
        db.execute("create table bindings (user text)")
        db.execute("insert into bindings values ('alice')")
        db.commit()
        db.close()
    kept = Kept(tmp_path)
    assert kept.store.load(NOW) == []
    (line,) = kept.said
    assert "registrations.unreadable" in line and (tmp_path / "registrations.unreadable").exists()
    kept.keep("alice", binding("alice"))
    kept.hears("alice")
    kept.store.close()
    assert [each.user for each in Kept(tmp_path).store.load(NOW)] == ["alice"]


def test_rows_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.store.load(NOW)
    kept.keep("alice", binding("alice"))
    kept.keep("bob", binding("bob"))
    kept.hears("alice", "bob")
    kept.store.close()
    db = sqlite3.connect(tmp_path / "registrations.db")
    db.execute("update bindings set contact = 'nonsense' where user = 'bob'")
    db.commit()
    db.close()
    assert [each.user for each in Kept(tmp_path).store.load(NOW)] == ["alice"]


@pytest.mark.slow
def test_a_file_that_cannot_be_written_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Another process holds it: phones go on, a line says so, and it is written as soon as it can be."""
    kept = Kept(tmp_path)
    kept.store.load(NOW)
    path = tmp_path / "registrations.db"
    aside = tmp_path / "elsewhere"
    kept.store.close()
    path.rename(aside)
    path.mkdir()
    kept.keep("alice", binding("alice"))
    kept.hears("alice")
    until(lambda: any("cannot be written" in each for each in kept.said), "a line about it")
    path.rmdir()
    aside.rename(path)
    until(lambda: any("written again" in each for each in kept.said), "that it is written again")
    kept.store.close()
    assert [each.user for each in Kept(tmp_path).store.load(NOW)] == ["alice"]


@pytest.mark.slow
def test_ten_thousand_are_there_at_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.store.load(NOW)
    for number in range(10_000):
        kept.keep(f"user{number}", binding(f"user{number}"))
    kept.store.close()
    began = time.process_time()
    with gevent.Timeout(60):
        assert len(Kept(tmp_path).store.load(NOW)) == 10_000
    print(f"restored in {time.process_time() - began:.2f} s of CPU")
