"""Several customers behind one address: whose a call is where its connection alone does not say.

A carrier brings the calls of many customers from one address, often over one connection. Each customer is a
trunk, and what tells them apart stands in the request: the Contact that we registered for a trunk, or what
its `match` names. The most specific wins: the Contact; then the longest number, the called host, the caller's
host; then the trunk that asks for none of these. On a connection that we registered over, that is the trunk
that it was opened for.

A look-up costs some dictionary accesses, whatever the number of customers. Which trunks an address may speak
for at all is decided elsewhere, and passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from dsl.addresses import Party

_DIGITS: Final = "0123456789"


class Numbers(NamedTuple):
    """Numbers that begin with ``low``; with ``high`` those from ``low`` to ``high``, of their length."""

    low: str
    high: str = ""

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" if self.high else self.low


class Customer(NamedTuple):
    """What tells one trunk's calls: the user of the Contact it ``registers``, and what its `match` names.

    ``reached`` are the hosts of its peers.
    """

    trunk: str
    registers: bool = False
    contact: str = ""
    numbers: tuple[Numbers, ...] = ()
    to_hosts: tuple[str, ...] = ()
    from_hosts: tuple[str, ...] = ()
    reached: frozenset[str] = frozenset()

    @property
    def told(self) -> bool:
        """Whether its `match` asks for anything."""
        return bool(self.numbers or self.to_hosts or self.from_hosts)

    def says(self) -> str:
        """What tells its calls, in words for an operator."""
        said = [f"Contact {self.contact}"] if self.contact else []
        named = (("number", self.numbers), ("to.host", self.to_hosts), ("from.host", self.from_hosts))
        asked = [f"{key} {_some(values)}" for key, values in named if values]
        if asked:
            said.append(" and ".join(asked))
        return " or ".join(said) or ("its own connection" if self.registers else "whatever no other takes")


class Customers:
    """The trunks of one listener whose peers prove the same, by what tells their calls apart."""

    __slots__ = (
        "_block_lengths", "_blocks", "_callers", "_contacts", "_fellows", "_hosts", "_lengths", "_prefixes",
        "members",
    )  # fmt: skip

    def __init__(self, members: Iterable[Customer]) -> None:
        self.members = {each.trunk: each for each in members}
        self._contacts: dict[str, list[str]] = {}
        self._prefixes: dict[str, list[Customer]] = {}
        self._blocks: dict[tuple[int, str], list[Customer]] = {}
        self._hosts: dict[str, list[Customer]] = {}
        self._callers: dict[str, list[Customer]] = {}
        self._fellows: dict[frozenset[str], list[str]] = {}
        for each in self.members.values():
            self._file(each)
        self._lengths = sorted({len(prefix) for prefix in self._prefixes}, reverse=True)
        self._block_lengths = {length for length, _ in self._blocks}

    def _file(self, each: Customer) -> None:
        if each.contact:
            self._contacts.setdefault(each.contact, []).append(each.trunk)
        if each.reached:
            self._fellows.setdefault(each.reached, []).append(each.trunk)
        for numbers in each.numbers:
            if numbers.high:
                for prefix in covering(numbers.low, numbers.high):
                    self._blocks.setdefault((len(numbers.low), prefix), []).append(each)
            else:
                self._prefixes.setdefault(numbers.low, []).append(each)
        if each.numbers:
            return
        for host in each.to_hosts:
            self._hosts.setdefault(host, []).append(each)
        for host in each.from_hosts if not each.to_hosts else ():
            self._callers.setdefault(host, []).append(each)

    def fellows(self, trunk: str) -> list[str]:
        """The trunks with the same peers as ``trunk``, which is one of them; [] for one without peers."""
        return self._fellows.get(self.members[trunk].reached, [])

    def choose(
        self, called: Party, caller: str | None, own: str, among: tuple[str, ...], kept: bool
    ) -> str | None:
        """The trunk whose a call to ``called`` is, one of ``among``; None where it is nobody's.

        ``caller`` is the host of the caller, None for whichever would do; ``own`` is the trunk of the
        connection, and ``kept`` says that it was opened by us, for that trunk.
        """
        registered = [name for name in self._contacts.get(called.user, ()) if name in among]
        if len(registered) == 1:
            return registered[0]
        for candidates in self._ranked(called, caller):
            best: Customer | None = None
            for each in candidates:
                better = best is None or _hosts_named(each) > _hosts_named(best)
                if better and each.trunk in among and _fits(each, called.host, caller):
                    best = each
            if best is not None:
                return best.trunk
        return self._rest(own, among, kept)

    def _ranked(self, called: Party, caller: str | None) -> Iterator[list[Customer]]:
        """Whose `match` may fit, by how much of the number it says, the most first."""
        user = called.user
        length = len(user)
        whole: list[Customer] = []
        if length in self._block_lengths:
            for end in range(1, length + 1):
                whole += self._blocks.get((length, user[:end]), ())
        if whole:
            yield whole + self._prefixes.get(user, [])
        for each in self._lengths:
            if each <= length:
                found = self._prefixes.get(user[:each])
                if found is not None:
                    yield found
        if called.host in self._hosts:
            yield self._hosts[called.host]
        if caller is None:
            yield [each for some in self._callers.values() for each in some]
        elif caller in self._callers:
            yield self._callers[caller]

    def _rest(self, own: str, among: tuple[str, ...], kept: bool) -> str | None:
        """Whose a call is that no Contact and no `match` claims."""
        members = self.members
        mine = members[own]
        if not mine.told and (kept or not mine.registers):
            return own
        registered: str | None = None
        several = False
        for name in among:
            each = members.get(name)
            if each is None or each.told:
                continue
            if not each.registers:
                return name
            several = several or (registered is not None and registered != name)
            registered = name
        return None if several else registered


def _fits(each: Customer, called: str, caller: str | None) -> bool:
    if each.to_hosts and called not in each.to_hosts:
        return False
    return caller is None or not each.from_hosts or caller in each.from_hosts


def _hosts_named(each: Customer) -> int:
    return 2 * bool(each.to_hosts) + bool(each.from_hosts)


def covering(low: str, high: str) -> Iterator[str]:
    """The fewest beginnings that the numbers from ``low`` to ``high``, both included, and no others have.

    Both are of one length, and differ in digits alone.
    """
    same = 0
    while same < len(low) and low[same] == high[same]:
        same += 1
    begin, rest = low[:same], len(low) - same - 1
    if rest < 0 or (not low[same:].strip("0") and not high[same:].strip("9")):
        yield begin
        return
    yield from covering(low, begin + low[same] + "9" * rest)
    for digit in _DIGITS[int(low[same]) + 1 : int(high[same])]:
        yield begin + digit
    yield from covering(begin + high[same] + "0" * rest, high)


def _some(values: tuple[object, ...]) -> str:
    """The first three of ``values``, and how many more there are."""
    more = f" and {len(values) - 3} more" if len(values) > 3 else ""
    return ", ".join([str(each) for each in values[:3]]) + more
