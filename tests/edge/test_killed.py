"""Killed at any moment under load: what a peer, an operator or a record was told of is there again."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import gevent
import pytest

from sbc.base import Address, LocalError
from sbc.demo.lab import HOST
from sbc.demo.process import whole_lines
from sbc.sip.digest import user_hash
from sbc.sip.message import Message, Response
from tests.edge.callee import SDP, Callee
from tests.edge.own_files import OwnFiles
from tests.edge.raw_sip import Datagrams
from tests.edge.test_phones import REALM, Caller
from tests.peers.asking import ask
from tests.peers.canaries import PASSWORD
from tests.peers.kept import kept
from tests.peers.ports import free_port, free_ports
from tests.peers.product import command
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow

USERS, CALLERS, PORTS = 12, 6, 100
SETTINGS = """\
listeners:
  soft: {{bind: 127.0.0.1:{soft}, transport: udp}}
  office: {{bind: 127.0.0.1:{office}, transport: udp}}
media: {{address: 127.0.0.1, ports: {media}-{last}}}
registrar: {{realm: phones.example, users: phones}}
caps: {{challenges_per_source: 10000/s}}
"""
TRUNKS = {
    "trunks.d/soft.yaml": "trunk: soft\nphones: true\nsources: [127.0.0.0/8]\nlistener: soft\n",
    "trunks.d/office.yaml": (
        "trunk: office\nsources: [127.0.0.1]\npeers: [127.0.0.1:{peer}]\nlistener: office\n"
    ),
    "routes.d/10.yaml": (
        "zone: UTC\nrules:\n"
        "  - {name: guard, when: true, then: 'limit 100000 calls a day per from.user route \"office\"'}\n"
    ),
}


class Known:
    """What was confirmed of each thing, and what it may be as well: the change that nobody has confirmed."""

    def __init__(self) -> None:
        self._may_be: dict[str, list[Any]] = {}

    def change(self, name: str, value: Any, ask: Callable[[], object]) -> None:
        """Ask for a change that is confirmed when ``ask`` returns; ``value`` is None for what goes."""
        former = self._may_be.get(name, [None])
        self._may_be[name] = [*former, value]
        ask()
        self._may_be[name] = [value]

    def wrong(self, found: dict[str, Any]) -> dict[str, Any]:
        """What is not as it was confirmed."""
        return {
            name: (found.get(name), values)
            for name, values in self._may_be.items()
            if found.get(name) not in values
        }

    def goes_on(self, found: dict[str, Any]) -> int:
        """After a crash: what is found is what there is; how many are."""
        self._may_be = {name: [found.get(name)] for name in self._may_be}
        return sum(values != [None] for values in self._may_be.values())


def _until_killed(does: Callable[..., None], *about: Any) -> None:
    """Do it; whoever asks a process that is no longer there fails."""
    with suppress(OSError, LocalError):
        does(*about)


class Load(OwnFiles):
    """An SBC under load: phones that come and go, calls that count, operators who block."""

    def __init__(self, directory: Path) -> None:
        self.soft, self.office = free_ports(2)
        media = (free_port(PORTS + 1) + 1) & ~1
        self.callee, self.caller = Callee(), Datagrams(Address(HOST, self.office))
        secrets = [f"u{n}:{REALM}:{user_hash('SHA-256', f'u{n}', REALM, PASSWORD)}\n" for n in range(USERS)]
        settings = SETTINGS.format(soft=self.soft, office=self.office, media=media, last=media + PORTS - 1)
        rest = {name: text.replace("{peer}", str(self.callee.port)) for name, text in TRUNKS.items()}
        super().__init__(
            directory,
            {"sbc.yaml": settings, "phones": "".join(secrets), **rest},
            udp=[self.soft, self.office],
            sbc=command(),
        )
        self.state = directory / "run"
        self.bindings, self.blocks = Known(), Known()
        self.sent: Counter[str] = Counter()
        self.up: Counter[str] = Counter()
        self.over: set[str] = set()
        self.done = 0
        self.wires += [self.callee, self.caller]
        self._heard: dict[str, list[Message]] = {}
        self._taken = 0

    def begins(self, random: Random) -> list[gevent.Greenlet]:
        """Everybody is at it."""
        phones = [(self._phone, f"u{number}") for number in range(USERS)]
        callers = [(self._calls, f"c{number}") for number in range(CALLERS)]
        return [
            *[
                gevent.spawn(_until_killed, each, name, Random(random.random()))
                for each, name in (*phones, *callers)
            ],
            gevent.spawn(_until_killed, self._blocks, Random(random.random())),
        ]

    # Phones

    def _phone(self, user: str, random: Random) -> None:
        wire = Datagrams(Address(HOST, self.soft))
        caller = Caller(user, wire, "UDP", os.urandom(8).hex())
        try:
            while True:
                gevent.sleep(random.uniform(0.0, 0.1))
                self._register(caller, gone=random.random() < 0.2)
        finally:
            wire.close()

    def _register(self, caller: Caller, gone: bool) -> None:
        """One REGISTER; a binding is known by its Call-ID and CSeq, two later with the challenge."""

        def asks() -> None:
            answer = caller.registers(f"Expires: {0 if gone else 600}")
            assert answer.status == 200, answer.status

        value = None if gone else [caller._call_id, caller.cseq + 2]
        self.bindings.change(caller.user, value, asks)

    # Calls

    def _calls(self, user: str, random: Random) -> None:
        while True:
            gevent.sleep(random.uniform(0.0, 0.05))
            self._call(user, os.urandom(8).hex())

    def _call(self, user: str, call_id: str) -> None:
        self.sent[user] += 1
        self._say("INVITE", user, call_id, 1)
        answer = self._final(call_id, "INVITE")
        self._say("ACK", user, call_id, 1, answer)
        if answer.status == 200:
            self.up[user] += 1
            self._say("BYE", user, call_id, 2, answer)
            self._final(call_id, "BYE")
            self.over.add(call_id)
            self.done += 1
        self._heard.pop(call_id, None)

    def _final(self, call_id: str, method: str) -> Response:
        def final() -> Response | None:
            for each in self.caller.heard[self._taken :]:
                self._heard.setdefault(each.call_id, []).append(each)
            self._taken = len(self.caller.heard)
            for each in self._heard.get(call_id, ()):
                if isinstance(each, Response) and each.cseq.method == method and each.status >= 200:
                    return each
            return None

        found = until(final, f"an answer to {method}")
        assert found is not None
        return found

    def _say(self, method: str, user: str, call_id: str, cseq: int, answered: Response | None = None) -> None:
        to = answered.headers.get("To") if answered is not None else f"<sip:123@{REALM}>"
        contact = answered.contact if answered is not None and answered.status < 300 else None
        uri = str(contact.uri) if contact is not None else f"sip:123@{REALM}"
        branch = f"{call_id}{cseq}" + (method if contact is not None else "")
        here, body = f"127.0.0.1:{self.caller.port}", SDP if method == "INVITE" else b""
        text = (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bK{branch}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}@{REALM}>;tag={call_id}\r\nTo: {to}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{user}@{here}>\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.caller.send(text.encode() + body)

    # Operators

    def _blocks(self, random: Random) -> None:
        while True:
            gevent.sleep(random.uniform(0.0, 0.05))
            address = f"203.0.113.{random.randrange(1, 250)}"
            goes = random.random() < 0.3 and address in self.blocked()
            verb: dict[str, Any] = {"verb": "blocklist-remove"}
            if not goes:
                verb = {"verb": "blocklist-add", "seconds": 7200.0}
            self.blocks.change(address, None if goes else True, partial(self.ask, address=address, **verb))

    def blocked(self) -> dict[str, Any]:
        """Who is."""
        return {each["address"]: True for each in self.ask("blocklist")["blocked"]}

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Ask the running SBC."""
        found: dict[str, Any] = ask(self.state / "sbc.sock", verb, **arguments)
        return found

    def answers(self) -> bool:
        """Whether it does: it answers when every port is bound."""
        try:
            return bool(self.ask("status"))
        except LocalError:
            return False

    # What there is

    def registered(self) -> dict[str, Any]:
        """By user the Call-ID and CSeq of what is on the disk."""
        return {user: rows[0][8:10] for user, rows in kept(self.state, "bindings").items()}

    def recorded(self) -> str:
        """The records, of which the last may be torn while nobody has looked after it."""
        path = self.state / "calls.jsonl"
        return whole_lines(path) if path.exists() else ""

    def counted(self) -> dict[str, int]:
        """By caller how many calls count."""
        limits = self.ask("limits")["limits"]
        return {each["key"].rpartition(" ")[2]: round(each["used"]) for each in limits}


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    with Load(tmp_path) as made:
        yield made


@pytest.mark.parametrize("moments", [5, pytest.param(50, marks=pytest.mark.long)])
def test_nothing_that_was_confirmed_is_lost(load: Load, moments: int) -> None:
    random, bound, blocked = Random(moments), 0, 0
    for moment in range(moments):
        crowd = load.begins(random)
        load.done = 0
        until_equal(lambda: load.done > 3, True, "calls come about")
        gevent.sleep(random.uniform(0.0, 1.0))
        seen = load.recorded()
        load.sbc.process.kill()
        load.sbc.process.wait()
        gevent.killall(crowd)
        for each in crowd:
            assert each.exception is None, each
        left = load.recorded()
        assert left.startswith(seen)
        began = time.monotonic()
        load.start()
        print(f"moment {moment}: back after {time.monotonic() - began:.2f} s")
        until(load.answers, "whoever asks is answered")
        until(load.recorded, "the records")
        assert load.recorded().startswith(left) and load.bindings.wrong(load.registered()) == {}
        assert load.blocks.wrong(load.blocked()) == {}
        phones = {each["user"] for each in load.ask("registrations")["phones"]}
        assert phones == set(load.registered())
        records = [json.loads(line) for line in left.splitlines()]
        answered = Counter([each["caller"] for each in records if each["status"] == 200])
        counted = load.counted()
        assert answered, records
        assert load.over <= {each["a"]["call_id"] for each in records}, "who hears of the end of a call"
        for user, sent in load.sent.items():
            known = max(answered[user], load.up[user])
            assert known <= counted.get(user, 0) <= sent, (user, answered, load.up, counted)
        status = load.ask("status")
        assert status["calls"] == [] and status["free_media_ports"] == PORTS // 2
        bound += load.bindings.goes_on(load.registered())
        blocked += load.blocks.goes_on(load.blocked())
    assert bound > moments and blocked > moments, "there was something to lose"
    until_equal(lambda: load.sbc.process.poll(), None)
