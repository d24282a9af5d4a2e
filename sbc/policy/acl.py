"""The access list: one ordered list of rules for every transport, of which the first that matches decides.

A rule allows or denies an address (by itself, by its network, by a pattern), or a request (by the user that
it asks for, by who it says calls, by the called number). An address is judged before anything is made for it,
so a rule for an address bars it whatever rule for requests stands above; a request that begins something is
judged by the whole list. Who is allowed is not admitted thereby: the trunk's sources and certificate have
their say as ever. Where no rule matches nothing is barred.

Rules of a tenant, and of some listeners only, stand in the same order and are passed over for all others. Of
a connection that several tenants may mean an address is judged for each: it is barred where it is barred for
all, and judged again when it is known whose it is.

Rules are looked up by what they compare, and not tried one after the other: by the length of a network's
prefix, by a text, by the beginning or end of a pattern. What an address matched is kept for the last few
thousand addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from dsl.addresses import Party, is_number
from dsl.breath import breathe
from sbc.policy.exempt import exempt
from sbc.tls.sources import SourceIndex

ADDRESS, CIDR, GLOB = "address", "cidr", "glob"
SIP_USER, SIP_FROM, SIP_DID = "sip-user", "sip-from", "sip-did"
#: What a rule compares with the address, and what with the request.
OF_ADDRESS: Final = (ADDRESS, CIDR, GLOB)
OF_REQUEST: Final = (SIP_USER, SIP_FROM, SIP_DID)
#: In the place of an address: all that are not exempt.
PUBLIC: Final = "public"
_WILD: Final = re.compile(r"[*?]")
_RECENT: Final = 4096
# Digits with a # or * among them, which a gateway may take for the end of the number (RFC 3966 3, 5.1.4).
_is_dialled: Final = re.compile(r"[0-9][0-9*#\-.()]*+\Z").match
_NO_SEPARATORS: Final = {ord(each): None for each in "-.()"}

#: What is compared of a text at most: nobody has such a name, and comparing must not become work.
LONGEST: Final = 1024

#: A rule, and what its pattern has between its stars.
Pattern = tuple["Rule", tuple[str, ...]]


class Count:
    """How often a rule has decided, and when last (POSIX seconds; 0.0 for never)."""

    __slots__ = ("hits", "last")

    def __init__(self) -> None:
        self.hits = 0
        self.last = 0.0

    def hit(self, now: float) -> None:
        """It has decided once more."""
        self.hits += 1
        self.last = now


class Scope(NamedTuple):
    """Whom rules are for: a tenant ("" for all of them), and listeners (() for every one)."""

    tenant: str = ""
    listeners: tuple[str, ...] = ()


class Rule:
    """One rule; ``until`` is when it is over (POSIX seconds), ``place`` its file and line.

    ``silent``: a request that it denies gets no answer.
    """

    __slots__ = ("allow", "count", "kind", "note", "order", "place", "scope", "silent", "until", "values")

    def __init__(
        self, allow: bool, kind: str, values: tuple[str, ...], scope: Scope = Scope(), place: str = "",
        note: str = "", until: float = float("inf"), silent: bool = False,
    ) -> None:  # fmt: skip
        self.allow = allow
        self.kind = kind
        self.values = values
        self.scope = scope
        self.place = place
        self.note = note
        self.until = until
        self.silent = silent
        self.order = 0
        self.count = Count()

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same rule after a reload, wherever it stands then."""
        return self.allow, self.kind, self.values, self.scope, self.silent

    @property
    def is_of_address(self) -> bool:
        """Whether it can be judged before anything has been sent."""
        return self.kind in OF_ADDRESS

    def applies(self, listener: str, tenant: str, now: float) -> bool:
        """Whether it is for ``tenant`` at ``listener``, and not over."""
        scope = self.scope
        return (
            now < self.until
            and (not scope.tenant or scope.tenant == tenant)
            and (not scope.listeners or listener in scope.listeners)
        )

    def __str__(self) -> str:
        act, what = "allow" if self.allow else "deny", ", ".join(self.values[:3])
        more = f" and {len(self.values) - 3} more" if len(self.values) > 3 else ""
        return f"{act} {self.kind} {what}{more}"


def why(rule: Rule) -> str:
    """Why somebody is barred, in the words of the journal."""
    return f"{rule.place} denies it: {rule}" + (f" ({rule.note})" if rule.note else "")


class Acl:
    """All rules, in their order; what ``former`` has counted of the same ones is counted on.

    ``denied`` is how often somebody was barred, by the kind of the rule, since the start.
    """

    def __init__(self, rules: Sequence[Rule] = (), former: Acl | None = None) -> None:
        self.rules = tuple(rules)
        self.denied: dict[str, int] = (
            former.denied if former is not None else dict.fromkeys(OF_ADDRESS + OF_REQUEST, 0)
        )
        known = {rule.key: rule.count for rule in former.rules} if former is not None else {}
        for order, rule in enumerate(self.rules):
            breathe()
            rule.order = order
            rule.count = known.get(rule.key, rule.count)
        by_kind: dict[str, list[Rule]] = {each: [] for each in OF_ADDRESS + OF_REQUEST}
        for rule in self.rules:
            by_kind[rule.kind].append(rule)
        self._public = [rule for rule in by_kind[ADDRESS] if PUBLIC in rule.values]
        networks = [
            (value, str(rule.order))
            for rule in by_kind[ADDRESS] + by_kind[CIDR]
            for value in rule.values
            if value != PUBLIC
        ]
        self._networks = SourceIndex(networks)
        self._globs = Patterns([(value, rule) for rule in by_kind[GLOB] for value in rule.values])
        self._users, self._froms = Users(by_kind[SIP_USER]), Users(by_kind[SIP_FROM])
        self._dids = Users(by_kind[SIP_DID])
        self._recent: dict[str, list[Rule]] = {}
        #: Whether some request would get no answer; whether some rules are for one tenant alone.
        self.silent = any([rule.silent for rule in self.rules])
        self.tenants = any([rule.scope.tenant for rule in self.rules])

    def at_door(self, listener: str, host: str, tenants: Sequence[str], now: float) -> Rule | None:
        """The rule by which ``host`` is not let in at ``listener``; None where it is. It is counted.

        ``tenants`` are those that it may mean, "" for what is no tenant's; ``now`` is in POSIX seconds.
        """
        rules = self._of_host(host)
        if not rules:
            return None
        found = [_first(rules, listener, tenant, now) for tenant in (tenants or ("",))]
        decided = found[0]
        if len(found) > 1 and any([each is not decided for each in found]):
            if not all([each is not None and not each.allow for each in found]):
                return None
        if decided is None:
            return None
        self._count(decided, now)
        return None if decided.allow else decided

    def of_address(self, listener: str, host: str, tenant: str, now: float) -> Rule | None:
        """The rule that decides on an address; None where none does. Nothing is counted."""
        return _first(self._of_host(host), listener, tenant, now)

    def bars(self, listener: str, host: str, tenant: str, now: float) -> bool:
        """Whether an address would not be let in now; nothing is counted."""
        found = self.of_address(listener, host, tenant, now)
        return found is not None and not found.allow

    def judge(
        self, listener: str, host: str, tenant: str, called: Party, caller: Party, now: float
    ) -> Rule | None:
        """The rule that decides on a request that begins something; None for none. Nothing is counted."""
        rules = self.matching(host, called, caller)
        return _first(rules, listener, tenant, now) if rules else None

    def decided(self, rule: Rule, now: float) -> None:
        """Count the rule that decided on a request; one that allows its address was counted at the door."""
        if not (rule.allow and rule.is_of_address):
            self._count(rule, now)

    def matching(self, host: str, called: Party, caller: Party) -> list[Rule]:
        """Every rule that an address, and a request from it, matches, in order, whomever it is for."""
        known = self._of_host(host)
        found = self._users.find(called) + self._froms.find(caller)
        if is_number(called.user):
            found += self._dids.find(called)
        elif _is_dialled(dialled := called.user.partition(";")[0]):
            found += self._dids.find(called._replace(user=dialled.translate(_NO_SEPARATORS)))
        return sorted(known + found, key=_order) if found else known

    def _count(self, rule: Rule, now: float) -> None:
        rule.count.hit(now)
        if not rule.allow:
            self.denied[rule.kind] += 1

    def _of_host(self, host: str) -> list[Rule]:
        known = self._recent.get(host)
        if known is None:
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            known = self._recent[host] = self._search(host)
        return known

    def _search(self, host: str) -> list[Rule]:
        found = [self.rules[int(each)] for each in self._networks.lookup(host)]
        found += self._globs.find(host)
        if self._public and not exempt(host):
            found += self._public
        return sorted(found, key=_order)


def _order(rule: Rule) -> int:
    return rule.order


def _first(rules: Sequence[Rule], listener: str, tenant: str, now: float) -> Rule | None:
    for rule in rules:
        if rule.applies(listener, tenant, now):
            return rule
    return None


class Patterns:
    """Rules by the texts that they match: ``*`` stands for any characters, ``?`` for one."""

    def __init__(self, entries: Iterable[tuple[str, Rule]]) -> None:
        self.empty = True
        self._exact: dict[str, list[Rule]] = {}
        self._beginnings: dict[int, dict[str, list[Pattern]]] = {}
        self._ends: dict[int, dict[str, list[Pattern]]] = {}
        self._others: list[Pattern] = []
        for pattern, rule in entries:
            breathe()
            self._add(pattern, rule)

    def _add(self, pattern: str, rule: Rule) -> None:
        self.empty = False
        wild = _WILD.search(pattern)
        if wild is None:
            self._exact.setdefault(pattern, []).append(rule)
            return
        beginning, end = pattern[: wild.start()], end_of(pattern)
        if beginning:
            filed = self._beginnings.setdefault(len(beginning), {}).setdefault(beginning, [])
        elif end:
            filed = self._ends.setdefault(len(end), {}).setdefault(end, [])
        else:
            filed = self._others
        filed.append((rule, tuple(pattern.split("*"))))

    def find(self, text: str) -> list[Rule]:
        """The rules that match, in no order."""
        if self.empty:
            return []
        text = text[:LONGEST]
        found, candidates = list(self._exact.get(text, ())), list(self._others)
        for length, beginnings in self._beginnings.items():
            candidates += beginnings.get(text[:length], ())
        for length, ends in self._ends.items():
            candidates += ends.get(text[-length:], ())
        found += [rule for rule, parts in candidates if _matches(parts, text)]
        return found


def _matches(parts: tuple[str, ...], text: str) -> bool:
    """Whether ``parts``, a pattern's between its stars, are in a text one after the other."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return len(text) == len(first) and _fits(first, text, 0)
    at, end = len(first), len(text) - len(last)
    if at > end or not _fits(first, text, 0) or not _fits(last, text, end):
        return False
    for part in parts[1:-1]:
        # The first place will do: what is left for those behind it is never more elsewhere.
        while not _fits(part, text, at):
            at += 1
            if at + len(part) > end:
                return False
        at += len(part)
        if at > end:
            return False
    return True


def _fits(part: str, text: str, at: int) -> bool:
    if "?" not in part:
        return text.startswith(part, at)
    return at + len(part) <= len(text) and all(
        [char == "?" or text[at + index] == char for index, char in enumerate(part)]
    )


class Users:
    """Rules by users; a pattern with an ``@`` is for a user and its host, any other for the user alone."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        entries = [(value, rule) for rule in rules for value in rule.values]
        self._alone = Patterns([each for each in entries if "@" not in each[0]])
        self._with_host = Patterns([each for each in entries if "@" in each[0]])

    def find(self, party: Party) -> list[Rule]:
        """The rules that match, in no order."""
        found = self._alone.find(party.user)
        if not self._with_host.empty:
            found += self._with_host.find(f"{party.user}@{party.host}")
        return found


def has_no_end(pattern: str) -> bool:
    """Whether a pattern says of a text neither how it begins nor how it ends: such are tried one by one."""
    return _WILD.match(pattern) is not None and not end_of(pattern)


def end_of(pattern: str) -> str:
    """What stands behind the last ``*`` or ``?`` of a pattern."""
    return pattern[max(pattern.rfind("*"), pattern.rfind("?")) + 1 :]


def meets(one: str, other: str) -> bool:
    """Whether some text matches both of two patterns."""
    # Whether what is left of each from a place on can still be the same text, from the ends back.
    width = len(other) + 1
    below = [False] * width
    for i in range(len(one), -1, -1):
        row = [False] * width
        for j in range(width - 1, -1, -1):
            if i == len(one) and j == width - 1:
                row[j] = True
            elif i < len(one) and one[i] == "*":
                row[j] = below[j] or (j < width - 1 and row[j + 1])
            elif j < width - 1 and other[j] == "*":
                row[j] = row[j + 1] or (i < len(one) and below[j])
            elif i < len(one) and j < width - 1 and (one[i] == "?" or other[j] in ("?", one[i])):
                row[j] = below[j + 1]
        below = row
    return below[0]
