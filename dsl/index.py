"""Which rules are worth asking: those of other trunks and numbers are passed over, not tried one by one.

Most rules ask first which trunk a call came from, so there is one list of rules for each trunk that any
rule names. Within a list, a long run of rules that each demand certain values or beginnings of one and the
same text (a fact, a header, a parameter of the URI) is filed by them. Rules that ``continue`` stand outside
of such runs: what they set may change what a run asks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from dsl import syntax
from dsl.atoms import Atom, key
from dsl.breath import breathe
from dsl.compile import ASKED, Test, asked, fact, fact_type
from dsl.draft import Draft
from dsl.facts import FACTS
from dsl.outcome import Outcome
from dsl.patterns import literal_start
from dsl.scope import NOTHING_NAMED

Entry = tuple[Test, Outcome]
Demands = dict[Hashable, Atom]
_WORTH_FILING = 8


class Filed:
    """A run of rules, by the values or beginnings of one text that each of them demands."""

    __slots__ = ("_exact", "_lengths", "_read", "_starts")

    def __init__(self, read: Callable[[Draft], str]) -> None:
        self._read = read
        self._exact: dict[str, list[tuple[int, Entry]]] = {}
        self._starts: dict[str, list[tuple[int, Entry]]] = {}
        self._lengths: tuple[int, ...] = ()

    def add(self, at: int, entry: Entry, atom: Atom) -> None:
        """File one rule under each of its options."""
        place = self._exact if atom.kind == "is" else self._starts
        for option in dict.fromkeys(str(each) for each in atom.options):
            place.setdefault(option, []).append((at, entry))
        self._lengths = tuple(sorted({len(each) for each in self._starts}))

    def candidates(self, draft: Draft) -> list[tuple[int, Entry]]:
        """The rules that can hold for this call, in their order."""
        text = self._read(draft)
        found = self._exact.get(text, [])
        size = len(text)
        for length in self._lengths:
            if length > size:
                break
            more = self._starts.get(text[:length])
            if more is not None:
                found = found + more
        return sorted(found, key=_place) if len(found) > 1 else found


def _place(each: tuple[int, Entry]) -> int:
    return each[0]


Item = tuple[Test | None, Outcome | None, Filed | None]
"""A rule to try, or a run of rules to look up."""


def demands_of(node: syntax.Node, atoms: tuple[Atom, ...]) -> Demands:
    """What a condition demands of texts, by their subjects: what it can be filed by."""
    demands: Demands = {}
    for atom in (*atoms, *_beginnings(node)):
        if atom.kind not in ("is", "starts") or not _is_text(atom.subject):
            continue
        if all(isinstance(each, str) for each in atom.options):
            if atom.subject not in demands or demands[atom.subject].kind == "starts":
                demands[atom.subject] = atom
    return demands


def _is_text(subject: Hashable) -> bool:
    if not isinstance(subject, tuple):
        return False
    kind, name = subject[0], subject[1]
    return FACTS[name].type == "text" if kind == "fact" else kind == "Call" and name in ASKED


def _reader(subject: Hashable) -> Callable[[Draft], str]:
    """How the text is read that ``_is_text`` found to be one."""
    assert isinstance(subject, tuple)
    if subject[0] == "fact":
        return fact(subject[1], NOTHING_NAMED)
    ((_, text),) = subject[2]
    return asked(subject[1], text)


def _beginnings(node: syntax.Node) -> list[Atom]:
    """What anchored patterns of a condition begin with, as far as that is plain text."""
    parts = node.parts if isinstance(node, syntax.AllOf) else (node,)
    found: list[Atom] = []
    for part in parts:
        if isinstance(part, syntax.Matches):
            start = literal_start(part.regex.source)
            if fact_type(part.left) == "host":
                start = start.lower()
            if start:
                found.append(Atom(key(part.left, NOTHING_NAMED), "starts", (start,), frozenset()))
    return found


def arrange(rules: Sequence[tuple[Entry, Demands]]) -> tuple[Item, ...]:
    """Rules in their order, long runs that demand something of one text as one ``Filed``."""
    items: list[Item] = []
    at = 0
    while at < len(rules):
        breathe()
        subject, length = _longest_run(rules, at)
        if length < _WORTH_FILING:
            test, outcome = rules[at][0]
            items.append((test, outcome, None))
            at += 1
            continue
        filed = Filed(_reader(subject))
        for index in range(at, at + length):
            breathe()
            entry, demands = rules[index]
            filed.add(index, entry, demands[subject])
        items.append((None, None, filed))
        at += length
    return tuple(items)


def _ends(outcome: Outcome) -> bool:
    """Whether nothing is asked after it, and it waits for nobody."""
    return outcome.ending is not None and not outcome.asks


def _longest_run(rules: Sequence[tuple[Entry, Demands]], at: int) -> tuple[Hashable, int]:
    """The text that tells most rules from ``at`` on apart, and how many rules can be filed by it."""
    best: Hashable = None
    most, length = 1, 0
    for subject in rules[at][1]:
        end = at
        while end < len(rules) and subject in rules[end][1] and _ends(rules[end][0][1]):
            end += 1
        apart = len({option for _, demands in rules[at:end] for option in demands[subject].options})
        if apart > most:
            best, most, length = subject, apart, end - at
    return best, length
