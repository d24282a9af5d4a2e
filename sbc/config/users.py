"""The users file: who may call after a challenge, each line as ``htdigest`` writes it.

``name:realm:HASH`` holds H(name:realm:password): MD5 in 32 hexadecimal digits, SHA-256 in 64. A hash is as
good as the password within its realm, so the file is read like a key: nothing of it is ever shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dsl.breath import breathe
from dsl.errors import Diagnostic

_HASH = re.compile(r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{64})")
_ALGORITHM = {32: "MD5", 64: "SHA-256"}
_USAGE = "`sbc user alice@example.net` prints one"


@dataclass(frozen=True, slots=True)
class Users:
    """Hashes by realm, name and algorithm."""

    _hashes: Mapping[tuple[str, str, str], str] = field(default_factory=dict, repr=False)
    _algorithms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len({(realm, name) for realm, name, _ in self._hashes})

    @property
    def realms(self) -> frozenset[str]:
        """The realms that have a user."""
        return frozenset(self._algorithms)

    def hash_of(self, realm: str, name: str, algorithm: str) -> str | None:
        """H(name:realm:password); None for nobody, or where the file has it by another algorithm only."""
        return self._hashes.get((realm, name, algorithm.removesuffix("-sess")))

    def algorithms(self, realm: str) -> tuple[str, ...]:
        """What can be asked of the users of ``realm``, the strongest first (RFC 8760 2.3)."""
        return self._algorithms.get(realm, ("SHA-256", "MD5"))


NOBODY_KNOWN = Users()


def read_users(path: str, text: str) -> tuple[Users, list[Diagnostic]]:
    """Read a users file, shown to the operator as ``path``; mistakes name lines, never what they hold."""
    hashes: dict[tuple[str, str, str], str] = {}
    found: list[Diagnostic] = []
    for number, line in enumerate(text.splitlines(), 1):
        breathe()
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        realm, _, digest = rest.rpartition(":")
        if not (name and realm and _HASH.fullmatch(digest)):
            found.append(Diagnostic(path, number, 1, "this line is not name:realm:HASH", _USAGE))
            continue
        key = (realm, name, _ALGORITHM[len(digest)])
        if key in hashes:
            found.append(
                Diagnostic(path, number, 1, f"this user is there already, by {key[2]}", "keep one line")
            )
        hashes[key] = digest.lower()
    algorithms: dict[str, tuple[str, ...]] = {}
    for realm in {realm for realm, _, _ in hashes}:
        there = {algorithm for each, _, algorithm in hashes if each == realm}
        algorithms[realm] = tuple(each for each in ("SHA-256", "MD5") if each in there)
    return Users(hashes, algorithms), found
