"""From a domain to its servers (RFC 3263 4): what is asked next, and what the answers come to.

The transport is the trunk's listener's. NAPTR says where the SRV records of that transport are, SRV which
hosts serve it in which order, and A and AAAA where these are; a domain without NAPTR has its SRV records at
their usual name, and one without SRV records is a host itself, on the usual port. Whoever searches asks all
that is ``wanted``, tells what was ``answered``, and goes on until there is an ``outcome``.

A domain's owner can write what it likes: so hosts, addresses, CNAMEs and questions are bounded, and a name
that serves as its own answer is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sbc.base import Address
from sbc.dns.message import MOST_ALIASES, TOO_MANY, Answer, Naptr, Question, Srv
from sbc.flow import Transport
from sbc.tls.names import is_ip

# By transport: how its SRV records are named, its service in NAPTR (RFC 3263 4.1), its usual port.
_SRV: Final = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}
_SERVICE: Final = {"udp": "sip+d2u", "tcp": "sip+d2t", "tls": "sips+d2t"}
PORT: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}

MOST_HOSTS: Final = 32
MOST_ADDRESSES: Final = 8  # of one host
MOST_WAYS: Final = 3  # NAPTR records that lead to SRV records
MOST_QUESTIONS: Final = 200
_PRIORITIES: Final = 1 << 16
# Where a part of what was asked could not be learned, all is asked for again after so many seconds.
AGAIN: Final = 15.0
_UNASKED: Final = Answer(failure="it was not asked")


class Target(NamedTuple):
    """One server that a name gave: ``host`` as the SRV record names it, at one of its addresses.

    ``priority`` and ``weight`` are those of RFC 2782; behind each better NAPTR record the priority is 65536
    more, for whom the domain names later is tried later (RFC 3403 4.1).
    """

    host: str
    address: Address
    priority: int
    weight: int


class Outcome(NamedTuple):
    """What a search came to: the servers, good for ``ttl`` seconds; none where the domain has none.

    ``failure`` is why nothing was learned, "" where it was; ``remarks`` are what its owner should look at.
    """

    targets: tuple[Target, ...] = ()
    ttl: float = 0.0
    failure: str = ""
    remarks: tuple[str, ...] = ()


class Search:
    """The search for the servers of one domain, for one transport."""

    __slots__ = (
        "_addresses",
        "_asked",
        "_chains",
        "_failed",
        "_later",
        "_name",
        "_pending",
        "_remarks",
        "_servers",
        "_transport",
        "_ttl",
        "_ways",
        "outcome",
        "wanted",
    )  # fmt: skip

    def __init__(self, name: str, transport: Transport) -> None:
        self._name = name.rstrip(".").lower()
        self._transport = transport
        self._ttl = float("inf")
        self._remarks: list[str] = []
        self._asked = 1
        self._ways: list[Naptr] | None = None
        self._later: dict[str, int] = {}  # how many ways are better than the one to these SRV records
        self._servers: list[Srv] | None = None
        self._addresses: dict[str, list[str]] = {}
        self._failed: dict[str, str] = {}
        # For a question that an alias led to: the one that it is asked for, and how many CNAMEs led there.
        self._chains: dict[Question, tuple[Question, int]] = {}
        self._pending: list[Question] = []
        self.outcome: Outcome | None = None
        self.wanted: tuple[Question, ...] = (Question(self._name, "NAPTR"),)

    def answered(self, answers: Mapping[Question, Answer]) -> None:
        """What came of each question that was ``wanted``: then others are, or there is an ``outcome``."""
        self._pending = []
        for question in self.wanted:
            answer = answers.get(question, _UNASKED)
            first, aliases = self._chains.get(question, (question, 0))
            if not answer.failure:
                self._ttl = min(self._ttl, answer.ttl)
            if answer.alias:
                self._lead_on(first, answer, aliases)
            else:
                self._take(first, answer)
        self.wanted = tuple(self._pending)
        if not self.wanted and self.outcome is None:
            self._next()

    def _lead_on(self, first: Question, answer: Answer, aliases: int) -> None:
        """Ask on behind a CNAME, as far as that is a way."""
        aliases += answer.aliases
        further = Question(answer.alias, first.kind)
        if aliases > MOST_ALIASES:
            self._take(first, Answer(failure=TOO_MANY))
        elif further == first or further in self._chains:
            self._take(first, Answer(failure=f"its CNAMEs lead in a circle, to {answer.alias}"))
        else:
            self._chains[further] = (first, aliases)
            self._ask(further)

    def _ask(self, question: Question) -> None:
        if self._asked >= MOST_QUESTIONS:
            self._take(self._chains.get(question, (question, 0))[0], _UNASKED)
            return
        self._asked += 1
        self._pending.append(question)

    def _take(self, question: Question, answer: Answer) -> None:
        if question.kind == "NAPTR":
            self._ways = self._usable_ways(answer)
        elif question.kind == "SRV":
            self._take_servers(question, answer)
        else:
            found = self._addresses.setdefault(question.name, [])
            listed = [each for each in answer.records if isinstance(each, str)]
            # In whatever order they come, these are the same each time: others would be other peers.
            found += listed if len(listed) <= MOST_ADDRESSES else sorted(listed)[:MOST_ADDRESSES]
            if answer.failure:
                self._failed[question.name] = answer.failure

    def _usable_ways(self, answer: Answer) -> list[Naptr]:
        """What leads to SRV records of our transport, the best first (RFC 3263 4.1).

        Who does not answer this at all has none: most domains have none, and not every server knows of it.
        """
        service = _SERVICE[self._transport]
        found = [
            each
            for each in answer.records
            if isinstance(each, Naptr) and each.flags == "s" and each.service == service
        ]
        return sorted(found)[:MOST_WAYS]

    def _take_servers(self, question: Question, answer: Answer) -> None:
        if answer.failure:
            self._failed[question.name] = answer.failure
            self._ttl = min(self._ttl, AGAIN)
        later = self._later.get(question.name, 0) * _PRIORITIES
        found = [each for each in answer.records if isinstance(each, Srv)]
        if later:
            found = [each._replace(priority=each.priority + later) for each in found]
        self._servers = (self._servers or []) + found

    # From one kind of record to the next

    def _next(self) -> None:
        if self._servers is None:
            usual = _SRV[self._transport] + self._name
            ways = self._ways or ()
            ranks = list(dict.fromkeys((way.order, way.preference) for way in ways))
            for way in ways:
                self._later.setdefault(way.replacement, ranks.index((way.order, way.preference)))
            for each in tuple(self._later) or (usual,):
                self._ask(Question(each, "SRV"))
        elif not self._addresses:
            self._ask_for_hosts(self._servers)
        else:
            self._conclude(self._servers)
        self.wanted = tuple(self._pending)

    def _ask_for_hosts(self, servers: list[Srv]) -> None:
        if not servers:
            if self._failed:
                self._fail()
                return
            servers.append(Srv(0, 0, PORT[self._transport], self._name))
        servers.sort(key=lambda each: (each.priority, -each.weight))
        if all(each.target in ("", ".") for each in servers):
            self._finish((), f"{self._name} says that it has no SIP over {self._transport.upper()} (SRV .)")
            return
        servers[:] = [each for each in servers if each.target not in ("", ".") and each.port]
        if len(servers) > MOST_HOSTS:
            servers.sort(key=lambda each: (each.priority, -each.weight, each.target, each.port))
            self._remarks.append(f"{len(servers)} SRV records: the first {MOST_HOSTS} are used")
            del servers[MOST_HOSTS:]
        for host in dict.fromkeys(each.target for each in servers):
            self._addresses[host] = []
            if is_ip(host):  # no name may look so (RFC 1123 2.1), yet it is written
                self._addresses[host].append(host)
                continue
            self._ask(Question(host, "AAAA"))
            self._ask(Question(host, "A"))
        if not self._pending:
            self._conclude(servers)

    def _conclude(self, servers: list[Srv]) -> None:
        targets: dict[Address, Target] = {}
        for each in servers:
            for host in dict.fromkeys(self._addresses.get(each.target, ())):
                address = Address(host, each.port)
                targets.setdefault(address, Target(each.target, address, each.priority, each.weight))
        for host in dict.fromkeys(each.target for each in servers):
            if not self._addresses.get(host):
                self._remarks.append(f"{host}: {self._failed.get(host) or 'it has no address'}")
            if host in self._failed:
                self._ttl = min(self._ttl, AGAIN)
        if not targets and self._failed:
            self._fail()
        else:
            self._finish(tuple(targets.values()), "" if targets else f"{self._name} has no address")

    def _fail(self) -> None:
        failures = [f"{name}: {why}" for name, why in self._failed.items()]
        self.outcome = Outcome(failure="; ".join(failures[:3]), remarks=tuple(self._remarks))

    def _finish(self, targets: tuple[Target, ...], remark: str) -> None:
        remarks = (*self._remarks, remark) if remark else tuple(self._remarks)
        self.outcome = Outcome(targets, self._ttl, "", remarks)
