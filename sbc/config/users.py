"""The users file: who may call after a challenge, each line as ``htdigest`` writes it.

``name:realm:HASH`` holds H(name:realm:password): MD5 in 32 hexadecimal digits, SHA-256 in 64. A hash is as
good as the password within its realm, so the file is read like a key: nothing of it is ever shown.

Behind it may stand what holds of the user's phones, apart by blanks: ``contacts=N`` is how many it has at
once, ``tls_only`` that it comes by TLS or not at all, ``certificate=NAME`` that it shows one with this name.
One line of a user is enough for that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from dsl.addresses import user_named
from dsl.breath import breathe
from dsl.errors import Diagnostic

_LINE = re.compile(r"([^:]+):(.+?):([0-9a-fA-F]{64}|[0-9a-fA-F]{32})((?:[ \t]+[^ \t]+)*)").fullmatch
_ALGORITHM = {32: "MD5", 64: "SHA-256"}
_USAGE = "`sbc user alice@example.net` prints one"
_FIELDS = "write contacts=N, tls_only or certificate=NAME behind the hash, apart by blanks"
_MOST_CONTACTS = 100


Choices = tuple[tuple[float, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class UserTerms:
    """What holds of one user's phones; ``contacts`` is None, ``certificate`` empty where nothing is said."""

    contacts: int | None = None
    tls_only: bool = False
    certificate: str = ""


NO_TERMS = UserTerms()


@dataclass(frozen=True, slots=True)
class Users:
    """Hashes by realm, name and algorithm, and the terms of those who have some."""

    _hashes: Mapping[tuple[str, str, str], str] = field(default_factory=dict, repr=False)
    _algorithms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _terms: Mapping[tuple[str, str], UserTerms] = field(default_factory=dict)
    _canonical: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _choices: Mapping[str, Choices] = field(default_factory=dict)

    def __len__(self) -> int:
        return len({(realm, name) for realm, name, _ in self._hashes})

    @property
    def realms(self) -> frozenset[str]:
        """The realms that have a user."""
        return frozenset(self._algorithms)

    def hash_of(self, realm: str, name: str, algorithm: str) -> str | None:
        """H(name:realm:password); None for nobody, or where the file has it by another algorithm only."""
        return self._hashes.get((realm, name, algorithm.removesuffix("-sess")))

    def name_of(self, realm: str, user: str) -> str | None:
        """The name in the file of ``user`` as rules see it; None for nobody."""
        return self._canonical.get((realm, user))

    def terms(self, realm: str, name: str) -> UserTerms:
        """What holds of the phones of ``name``."""
        return self._terms.get((realm, name), NO_TERMS)

    def names(self, realm: str) -> list[str]:
        """Everybody of ``realm``."""
        return sorted({name for each, name, _ in self._hashes if each == realm})

    def secrets(self, realm: str, name: str) -> dict[str, str]:
        """The hashes of ``name`` by algorithm: as good as its password."""
        found = {each: self._hashes.get((realm, name, each)) for each in ("SHA-256", "MD5")}
        return {algorithm: digest for algorithm, digest in found.items() if digest is not None}

    def choices(self, realm: str) -> Choices:
        """The sets of algorithms that users of ``realm`` have their hashes by, and how many have each.

        That is said as the share of all users who have one of the sets before it: 0 for the first.
        """
        return self._choices.get(realm, ())

    def algorithms(self, realm: str) -> tuple[str, ...]:
        """What can be asked of the users of ``realm``, the strongest first (RFC 8760 2.3)."""
        return self._algorithms.get(realm, ("SHA-256", "MD5"))


NOBODY_KNOWN = Users()


def read_users(path: str, text: str) -> tuple[Users, list[Diagnostic]]:
    """Read a users file, shown to the operator as ``path``; mistakes name lines, never what they hold."""
    hashes: dict[tuple[str, str, str], str] = {}
    terms: dict[tuple[str, str], UserTerms] = {}
    canonical: dict[tuple[str, str], str] = {}
    found: list[Diagnostic] = []
    for number, line in enumerate(text.splitlines(), 1):
        breathe()
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE(line.strip())
        if match is None:
            found.append(Diagnostic(path, number, 1, "this line is not name:realm:HASH", _USAGE))
            continue
        name, realm, digest, rest = match.groups()
        key = (realm, name, _ALGORITHM[len(digest)])
        if key in hashes:
            found.append(
                Diagnostic(path, number, 1, f"this user is there already, by {key[2]}", "keep one line")
            )
        hashes[key] = digest.lower()
        if canonical.setdefault((realm, user_named(name)), name) != name:
            message = "this name and another one are the same user, differently spelled"
            found.append(Diagnostic(path, number, 1, message, "give one of them another name"))
        for problem, hint in _read_terms(rest.split(), (realm, name), terms):
            found.append(Diagnostic(path, number, 1, problem, hint))
    algorithms: dict[str, tuple[str, ...]] = {}
    choices: dict[str, Choices] = {}
    by_user: dict[tuple[str, str], set[str]] = {}
    for realm, name, algorithm in hashes:
        by_user.setdefault((realm, name), set()).add(algorithm)
    for realm in {realm for realm, _ in by_user}:
        sets = Counter([_in_order(each) for (of, _), each in by_user.items() if of == realm])
        choices[realm] = _shares(sets)
        algorithms[realm] = _in_order({each for some in sets for each in some})
    return Users(hashes, algorithms, terms, canonical, choices), found


def _shares(sets: Counter[tuple[str, ...]]) -> Choices:
    before, found = 0, list[tuple[float, tuple[str, ...]]]()
    for some, count in sorted(sets.items()):
        found.append((before / sets.total(), some))
        before += count
    return tuple(found)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_CONTACTS


def _in_order(algorithms: set[str]) -> tuple[str, ...]:
    return tuple(each for each in ("SHA-256", "MD5") if each in algorithms)


def _read_terms(
    words: list[str], user: tuple[str, str], terms: dict[tuple[str, str], UserTerms]
) -> Iterator[tuple[str, str]]:
    """Add what ``words`` say of ``user``; what is wrong with them, and a hint."""
    known = terms.get(user, NO_TERMS)
    for word in words:
        key, _, value = word.partition("=")
        if word == "tls_only":
            known = replace(known, tls_only=True)
        elif key == "contacts" and _is_count(value):
            if known.contacts not in (None, int(value)):
                yield "another line says another number of contacts of this user", "keep one of them"
            known = replace(known, contacts=int(value))
        elif key == "contacts":
            yield "contacts= wants a number", f"write contacts=5, from 1 to {_MOST_CONTACTS}"
        elif key == "certificate" and value:
            if known.certificate not in ("", value):
                yield "another line says another certificate of this user", "keep one of them"
            known = replace(known, certificate=value)
        else:
            yield "behind the hash stands what is no field", _FIELDS
    if words:
        terms[user] = known
