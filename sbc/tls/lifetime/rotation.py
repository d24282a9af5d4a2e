"""The rotation of a certificate: which step an entry stands at, who is ready, what may be done next.

An entry is an identity of ours or a CA (or pinned leaf) of a peer's. Its steps:

    settled  --stage-->  staged  --bind, trunk by trunk-->  bound  --retire-->  settled
                           ^ unbind: one step back |              |
                           +-----------------------+    rollback: the old one comes back, all bound

A staged identity is shown to nobody until a trunk is bound to it, so each peer is a step of its own
and can be taken back by itself. A staged trust entry needs no binding: it is trusted beside the old
one at once, and the window in which both are lasts until it is retired. The window has an end (30 days,
or a third of the new one's life where that is shorter, unless said otherwise), after which it is called
overdue and never cut: cutting is what retiring is, and that an operator does.

Ready is what a handshake has shown, and nothing else. For an identity: the peer finished a handshake
in which it was shown the new one, so it accepts it. For a trust entry: what the peer presented
would be accepted without the old one. Every address that a trunk's peer came from since the
staging is held to that by its latest handshake, because a peer may be several machines, of which
one was forgotten. A peer that has not been seen at all is not ready, for nobody knows.

What is staged is known by its thumbprints. When other material is staged in its place, what was
observed of the former counts no more, but the bindings stay: they are the operator's word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from sbc.tls.failure import Direction
from sbc.tls.lifetime.expiry import days_left
from sbc.tls.marks import DAY
from sbc.typed import record

# Under which name the running SBC writes it all down.
STATE = "rotation"
WINDOW = 30 * DAY
HOSTS_KEPT = 64
# A handshake that tells nothing new is written down again after this long.
AGAIN = 600.0

# Material that says of no life has the longest window.
_LONG = 3 * WINDOW

Section = Literal["identities", "trust"]
_SECTIONS: dict[str, Section] = {"identities": "identities", "trust": "trust"}
Key = tuple[Section, str]
State = Literal["ready", "waiting", "refused", "not bound", "not seen"]


@dataclass(slots=True)
class Seen:
    """The latest handshake with one address: when, and whether it would do without the old material."""

    at: float
    good: bool


@dataclass(slots=True)
class Refused:
    """The latest handshake in which the peer refused what it was shown; ``why`` in words."""

    at: float
    why: str


@dataclass(slots=True)
class Entry:
    """One rotation under way; times are POSIX seconds.

    ``material`` are the staged thumbprints, ``bound`` the trunks that are shown it and since when,
    ``seen`` by trunk and then by direction and address.
    """

    material: tuple[str, ...]
    staged: float
    until: float
    bound: dict[str, float] = field(default_factory=dict)
    seen: dict[str, dict[str, Seen]] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)

    def days_left(self, now: float) -> int:
        """Whole days until the window ends; negative when it is overdue."""
        return days_left(self.until, now)


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far one trunk is; ``accepts`` says whether the peer's CA list has the new issuer, None unknown."""

    trunk: str
    state: State
    detail: str
    since: float | None = None
    accepts: bool | None = None

    @property
    def ready(self) -> bool:
        """Whether the old material can go as far as this trunk is concerned."""
        return self.state == "ready"

    def held_up(self, others: Collection[str]) -> Readiness:
        """With whom to bind too: by its address the peer could be one of ``others``."""
        if self.state not in ("waiting", "not seen") or not others:
            return self
        who = ", ".join(others)
        return replace(
            self, detail=f"{self.detail}; inbound it is shown once {who} is bound too: same addresses"
        )

    def told(self, asked: Collection[str] | None, issuers: Collection[str]) -> Readiness:
        """With what the peer's CA list says of the new one's ``issuers``; an empty list says nothing."""
        accepts = None if not asked else not set(issuers).isdisjoint(asked)
        return replace(self, accepts=accepts)


class Rotation:
    """Every rotation under way, and how each stood when it was retired."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.retired: dict[Key, Entry] = {}

    def notice(
        self, staged: Mapping[Key, Collection[str]], now: float,
        lives: Mapping[Key, float] = MappingProxyType({}),
    ) -> list[Key]:  # fmt: skip
        """Take note of what is staged at ``now``, by its thumbprints; returns what is newly so.

        ``lives`` say how long what is staged lasts as a whole, in seconds.
        """
        for key in [each for each in self.entries if each not in staged]:
            del self.entries[key]
        fresh = []
        for key, thumbprints in staged.items():
            material = tuple(sorted(thumbprints))
            known = self.entries.get(key)
            if known is None or known.material != material:
                bound = {} if known is None else dict.fromkeys(known.bound, now)
                self.entries[key] = Entry(material, now, now + window(lives.get(key, _LONG)), bound)
                fresh.append(key)
        return fresh

    def bindings(self) -> dict[str, frozenset[str]]:
        """The trunks that are shown what is staged, by identity."""
        return {
            name: frozenset(entry.bound)
            for (section, name), entry in self.entries.items()
            if section == "identities"
        }

    def bind(self, name: str, trunks: Iterable[str], now: float) -> None:
        """Let ``trunks`` be shown what is staged for the identity ``name``; KeyError where nothing is."""
        entry = self.entries["identities", name]
        for trunk in trunks:
            entry.bound.setdefault(trunk, now)
            entry.refused.pop(trunk, None)

    def unbind(self, name: str, trunks: Iterable[str]) -> None:
        """Take the binding of ``trunks`` back; KeyError where nothing is staged."""
        for trunk in trunks:
            self.entries["identities", name].bound.pop(trunk, None)

    def hear(self, key: Key, trunk: str, direction: Direction, host: str, good: bool, now: float) -> bool:
        """One good handshake with ``host``; True where that is worth writing down."""
        entry = self.entries.get(key)
        if entry is None:
            return False
        hosts = entry.seen.setdefault(trunk, {})
        if good:
            entry.refused.pop(trunk, None)
        where = f"{direction} {host}"
        known = hosts.get(where)
        if known is not None and known.good == good and now - known.at < AGAIN:
            return False
        hosts[where] = Seen(now, good)
        if len(hosts) > HOSTS_KEPT:
            del hosts[min(hosts, key=lambda each: hosts[each].at)]
        return True

    def hear_refusal(self, key: Key, trunk: str, why: str, now: float) -> None:
        """The peer of a bound trunk refused what it was shown."""
        entry = self.entries.get(key)
        if entry is not None and trunk in entry.bound:
            entry.refused[trunk] = Refused(now, why)

    def retire(self, key: Key) -> None:
        """What was staged has taken the old one's place; KeyError where nothing was."""
        self.retired[key] = self.entries.pop(key)

    def restore(self, key: Key, material: Collection[str], now: float, life: float = _LONG) -> None:
        """The old one is back, and what had taken its place is staged again, bound and seen as it was."""
        staged = tuple(sorted(material))
        known = self.retired.pop(key, None)
        if known is None or known.material != staged:
            known = Entry(staged, now, now)
        known.until = now + window(life)
        self.entries[key] = known

    # Readiness

    def readiness(self, key: Key, users: Iterable[str]) -> list[Readiness]:
        """How far each trunk of ``users`` is with the rotation ``key``; KeyError where nothing is staged."""
        return [_readiness(self.entries[key], trunk, key[0] == "identities") for trunk in users]

    # JSON

    def to_json(self) -> dict[str, Any]:
        """Entry by entry as JSON types, by how far it is, section and name."""
        parts = (("entries", self.entries), ("retired", self.retired))
        return {
            f"{part} {section} {name}": asdict(entry)
            for part, entries in parts
            for (section, name), entry in entries.items()
        }

    def restore_entry(self, key: str, saved: Any) -> None:
        """Take up an entry of what ``to_json`` gave; ValueError where it is something else."""
        try:
            part, section, name = key.split(" ", 2)
            entries = {"entries": self.entries, "retired": self.retired}[part]
            entries[_SECTIONS[section], name] = _entry(saved)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it is no rotation ({type(error).__name__})") from None

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Rotation:
        """What ``to_json`` gave, without what cannot be understood of it."""
        made = cls()
        for key, entry in saved.items():
            with suppress(ValueError):
                made.restore_entry(key, entry)
        return made


def window(life: float) -> float:
    """How long old and new may both be in use, where the new one lasts ``life``; seconds."""
    return min(WINDOW, life / 3)


def _entry(data: dict[str, Any]) -> Entry:
    seen = {
        trunk: {where: record(Seen, each) for where, each in hosts.items()}
        for trunk, hosts in data["seen"].items()
    }
    refused = {trunk: record(Refused, each) for trunk, each in data["refused"].items()}
    material = tuple(data["material"])
    return record(Entry, {**data, "material": material, "seen": seen, "refused": refused})


def _readiness(entry: Entry, trunk: str, binds: bool) -> Readiness:
    since = entry.bound.get(trunk) if binds else entry.staged
    if since is None:
        return Readiness(trunk, "not bound", "still shown the old one; bind it")
    refused = entry.refused.get(trunk)
    if refused is not None:
        return Readiness(trunk, "refused", f"it refuses the new one: {refused.why}", since)
    hosts = entry.seen.get(trunk, {})
    behind = sorted(where for where, seen in hosts.items() if not seen.good)
    if behind:
        what = (
            "not seen with the new one yet" if binds else "still presents what only the old one vouches for"
        )
        return Readiness(trunk, "waiting", f"{', '.join(behind)}: {what}", since)
    if not hosts:
        return Readiness(trunk, "not seen", "no handshake yet since then", since)
    what = "accepted the new one" if binds else "does without the old one"
    return Readiness(trunk, "ready", f"{', '.join(sorted(hosts))}: {what}", since)
