"""An upgrade loses nothing: what releases until November 2026 had in files of their own is taken over."""

from __future__ import annotations

import json
import os
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from dsl.decision import Limit, Window
from sbc.demo.pki import LabAuthority
from sbc.net.acme.state import Account, AcmeState
from sbc.net.system.bindings import BindingStore
from sbc.net.system.store import Store
from sbc.policy.allowances import Allowances
from sbc.policy.blocks import Blocks
from sbc.policy.memory import Memory
from sbc.tls.ledger import Ledger
from sbc.tls.lifetime.expiry import Calendar
from sbc.tls.lifetime.rotation import Rotation
from sbc.tls.optional import OptionalPeers
from tests.peers.kept import kept
from tests.unit.tls.revoking import certificate_of

NOW, DAY = 1_795_000_000.0, 86_400.0
GOOD = {
    "at": NOW, "remote": "192.0.2.7:4000", "version": "TLSv1.3", "cipher": "c", "group": "g", "anchor": "ca",
    "thumbprint": "aa",
}  # fmt: skip
SIDE = {"good": GOOD, "bad": None, "goods": 3, "bads": 0, "asked": None, "asked_at": 0.0}
BLOCK = {
    "address": "203.0.113.7", "kind": "handshake", "why": "16 failed", "since": NOW - 60, "until": NOW + 3000,
    "lasts": 3600.0, "by": "", "note": "", "refused": 4,
}  # fmt: skip
ROTATION = {
    "material": ["n1"],
    "staged": NOW,
    "until": NOW + DAY,
    "bound": {"a": NOW},
    "seen": {},
    "refused": {},
}
SPENT = ["guard #0", 5, "calls", "day", False, NOW - DAY, NOW + DAY, 5.0, [True, True]]
FILES: dict[str, Any] = {
    "acme": {
        "accounts": {"ca": {"key_pem": "PEM", "url": "u"}},
        "failed": {"own": {"count": 3, "again": NOW, "wanted": "w"}},
        "unbound": {"own": "ff"},
    },
    "blocklist": {"counts": {"handshake": 9}, "refused": 11, "blocked": [BLOCK]},
    "disabled-trunks": {"carrier": "by anna"},
    "expiry": {"ours sbc aa": "warning"},
    "limits": {"guard #0 alice": SPENT},
    "optional": {"a": {"since": NOW, "sources": {"192.0.2.7": {
        "presented": 2, "absent": 1, "bad": 0, "first": NOW, "last": NOW, "last_without": NOW,
    }}}},
    "remembered": {"alice DE": NOW + DAY},
    "rotation": {"entries": [["identities", "sbc", ROTATION]], "retired": [["trust", "ca", ROTATION]]},
}  # fmt: skip
BINDINGS = """
create table bindings (
  user text not null, contact text not null, remote text not null, port integer not null,
  transport text not null, trunk text not null, expires_at real not null, registered_at real not null,
  call_id text not null, cseq integer not null, path text not null, q real not null,
  instance text not null, reg_id integer not null, user_agent text not null
)
"""


class Known:
    """Everybody who keeps something, in a process that begins."""

    def __init__(self, directory: Path) -> None:
        self.said: list[str] = []
        self.store = Store(directory, self.said.append)
        self.allowances, self.memory, self.blocks = Allowances(), Memory(), Blocks()
        self.ledger, self.optional = Ledger(), OptionalPeers()
        self.calendar, self.rotation, self.off = Calendar(), Rotation(), dict[str, Any]()
        shelf = self.store.shelf
        shelf("limits", lambda key, row: self.allowances.restore(key, row, 0.0, NOW), self.allowances.whole)
        shelf("remembered", lambda key, until: self.memory.restore(key, until, NOW), self.memory.whole)
        shelf(
            "blocklist", lambda key, row: self.blocks.restore(key, row, 3600.0, NOW, 0.0),
            lambda: self.blocks.whole(NOW, 0.0),
        )  # fmt: skip
        shelf("ledger", self.ledger.restore, self.ledger.whole)
        shelf("optional", self.optional.restore, self.optional.whole)
        shelf("expiry", self.calendar.restore, self.calendar.whole)
        shelf("rotation", self.rotation.restore_entry, self.rotation.to_json)
        shelf("disabled-trunks", self.off.__setitem__, lambda: self.off)
        self.acme = AcmeState(self.store)
        self.bindings = BindingStore(self.store, NOW, list)

    def everything(self) -> None:
        """All of it is there."""
        limit = Limit("guard #0 alice", 5, window=Window("calls", "day", None, False))
        assert not self.allowances.take(limit, 0.0, NOW), "all five are spent"
        assert self.memory.knows("alice DE", NOW)
        assert self.blocks.refuses("203.0.113.7", 10.0) and not self.blocks.refuses("203.0.113.7", 3001.0)
        assert self.blocks.counts == {"handshake": 9} and self.blocks.refused == 12
        assert self.ledger.side("a", "inbound").goods == 3
        (shown,) = self.ledger.shown("a")
        assert shown.host == "192.0.2.7" and shown.accepted
        summary = self.optional.summary("a", NOW)
        assert summary is not None and (summary.presented, summary.absent) == (2, 1)
        assert self.calendar.whole() == {"ours sbc aa": "warning"}
        assert self.rotation.bindings() == {"sbc": frozenset({"a"})}
        assert self.rotation.retired["trust", "ca"].material == ("n1",)
        assert self.off == {"carrier": "by anna"}
        assert self.acme.accounts == {"ca": Account("PEM", "u")} and self.acme.unbound == {"own": "ff"}
        assert self.acme.failed["own"].count == 3
        (phone,) = self.bindings.found
        assert (phone.user, phone.cseq, phone.path) == ("bob", 7, ("<sip:p;lr>",))


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The state directory of a release before."""
    for name, saved in FILES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(saved))
    issued = certificate_of(LabAuthority("Lab CA").issue(dns=("peer.example",)))
    shown = {
        "direction": "inbound", "chain": [b64encode(issued.public_bytes(Encoding.DER)).decode()],
        "subject": "CN=peer", "issuer": "CN=ca", "not_before": NOW, "not_after": NOW + DAY,
        "host": "192.0.2.7", "listener": "tls", "sni": "", "first": NOW, "last": NOW, "anchor": "ca",
    }  # fmt: skip
    ledger = {"a": {"sides": {"inbound": SIDE}, "shown": [shown]}}
    (tmp_path / "ledger.json").write_text(json.dumps(ledger))
    row = (
        "bob", "sip:bob@phone.invalid", "192.0.2.7", 5062, "udp", "phones", NOW + 60, NOW, "one", 7,
        '["<sip:p;lr>"]', 0.5, "", 0, "Desk",
    )  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "registrations.db")) as db:
        db.execute("pragma journal_mode = wal")
        db.execute(BINDINGS)
        db.execute(f"insert into bindings values ({', '.join('?' * len(row))})", row)
        db.commit()
    return tmp_path


def names(directory: Path) -> set[str]:
    """The files, but for those that go with the database: SQLite's journals, and what is ahead of it."""
    beside = ("state.db-", "state.ahead-")
    return {each.name for each in directory.iterdir() if not each.name.startswith(beside)}


def test_everything_is_taken_over_once_and_the_files_go(former: Path) -> None:
    begun = Known(former)
    begun.everything()
    begun.store.close()
    assert begun.said == [] and names(former) == {"state.db"}
    again = Known(former)
    again.everything()
    again.store.close()
    assert again.said == []


def test_a_process_that_is_killed_meanwhile_does_it_again(former: Path) -> None:
    """Written, but the files not removed yet: what they say is what was written."""
    files = {path: path.read_bytes() for path in former.iterdir()}
    Known(former).store.close()
    for path, data in files.items():
        path.write_bytes(data)
    again = Known(former)
    again.everything()
    again.store.close()
    assert names(former) == {"state.db"}


def test_what_cannot_be_written_yet_stays_where_it_is(former: Path) -> None:
    (former / "state.db").mkdir()
    begun = Known(former)
    begun.everything()
    begun.store.close()
    assert {f"{name}.json" for name in FILES} <= names(former) and "registrations.db" in names(former)
    assert any("cannot be written" in each for each in begun.said)
    (former / "state.db").rmdir()
    again = Known(former)
    again.everything()
    again.store.close()
    assert names(former) == {"state.db"}


@pytest.mark.parametrize("spoilt", ["{", "[]", "7", '{"counts": 1}', "[" * 100_000])
def test_a_file_that_is_no_good_is_put_aside_and_the_others_are_taken_over(former: Path, spoilt: str) -> None:
    (former / "blocklist.json").write_text(spoilt)
    begun = Known(former)
    assert len(begun.blocks) == 0 and begun.off == {"carrier": "by anna"}
    begun.store.close()
    (line,) = begun.said
    assert "blocklist.json cannot be read" in line and "blocklist.unreadable" in line
    assert names(former) == {"state.db", "blocklist.unreadable"}


def test_one_bad_entry_in_it_costs_no_other(former: Path) -> None:
    (former / "limits.json").write_text(json.dumps({"bad": 7, "guard #0 alice": SPENT}))
    begun = Known(former)
    begun.everything()
    begun.store.close()
    assert any("limits.json: 1 of its entries cannot be read" in each for each in begun.said)
    assert kept(former, "limits").keys() == {"guard #0 alice"}


def test_damaged_bindings_are_put_aside(former: Path) -> None:
    (former / "registrations.db").write_bytes(b"no database" * 1000)
    begun = Known(former)
    assert begun.bindings.found == []
    begun.store.close()
    assert any("registrations.unreadable" in each for each in begun.said)


@pytest.mark.parametrize("name", ["state.db", "state.ahead-0", "limits.json"])
def test_a_pipe_in_the_place_of_a_file_of_any_release_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """Nothing that lies in the directory stops the SBC."""
    os.mkfifo(tmp_path / name)
    said: list[str] = []
    for expected in ({}, {"alice": 1}):
        store, found = Store(tmp_path, said.append), dict[str, Any]()
        shelf = store.shelf(
            "limits", found.__setitem__, lambda: {"alice": 1}, lambda: {"alice": 1}, ahead=True
        )
        assert found == expected
        assert store.at_once() == (name != "state.ahead-0")
        shelf.wait()
        store.close()
    assert any("it is no file" in each for each in said) == (name == "state.db")
