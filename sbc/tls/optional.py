"""Who presents a certificate to a trunk that does not demand one: when may it be demanded?

`optional` is a mode to pass through. It accepts a peer with a good certificate and a peer with none,
so that a migration breaks nobody; a certificate that is shown and bad is refused, there as anywhere.
Counted is per source address, because the peers that still show nothing have no other name. An address
would be refused by `required` where its latest handshake showed no good certificate, or where any did
in the last week: behind one address there may be several machines, and they take turns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sbc.tls.marks import DAY
from sbc.tls.material.problems import day
from sbc.typed import fits, record

Showed = Literal["presented", "absent", "bad"]
SETTLED = 7 * DAY
SOURCES_KEPT = 1000
_NAMED = 5


@dataclass(slots=True)
class Showings:
    """One address: handshakes with a good certificate, with none, with a bad one; times in POSIX seconds."""

    presented: int = 0
    absent: int = 0
    bad: int = 0
    first: float = 0.0
    last: float = 0.0
    last_without: float = 0.0

    def ready(self, now: float) -> bool:
        """True where ``required`` would not have refused it: not the last time and not for a week."""
        return self.last > self.last_without and now - self.last_without >= SETTLED


@dataclass(frozen=True, slots=True)
class Summary:
    """A trunk in mode optional since ``since``: its sources, and those that ``required`` would refuse."""

    since: float
    sources: int
    presented: int
    absent: int
    bad: int
    refused: tuple[tuple[str, Showings], ...]

    @property
    def safe(self) -> bool:
        """True where somebody came and ``required`` would have refused nobody."""
        return self.sources > 0 and not self.refused

    @property
    def counts(self) -> tuple[tuple[Showed, int], ...]:
        """Handshakes by what was shown."""
        return ("presented", self.presented), ("absent", self.absent), ("bad", self.bad)

    @property
    def advice(self) -> str:
        """The summary in a line for the operator."""
        since = f"since {day(self.since)}"
        if not self.sources:
            return f"nobody has connected {since}: it cannot be told yet whom `required` would refuse"
        if self.safe:
            return (
                f"`required` would refuse nobody: every one of {self.sources} addresses presents a good"
                f" certificate ({self.presented} handshakes {since})"
            )
        named = "; ".join(_without(name, each) for name, each in self.refused[:_NAMED])
        more = f" and {len(self.refused) - _NAMED} more" if len(self.refused) > _NAMED else ""
        count = f"{len(self.refused)} of {self.sources} addresses"
        return f"`required` would refuse {count} ({since}): {named}{more}"


def _without(name: str, source: Showings) -> str:
    bad = f", {source.bad} with a bad one" if source.bad else ""
    return (
        f"{name} ({source.absent} handshakes without a certificate{bad}, {source.presented} with,"
        f" last without on {day(source.last_without)})"
    )


class OptionalPeers:
    """The counts of every trunk in mode optional; ``followed`` are those, and since when (POSIX seconds)."""

    def __init__(self) -> None:
        self._changed: dict[tuple[str, str], None] = {}  # trunk and address, "" for the trunk itself
        self.followed: dict[str, float] = {}
        self._sources: dict[str, OrderedDict[str, Showings]] = {}

    def follow(self, trunks: Collection[str], now: float) -> None:
        """Count these trunks from now on and no others; what is known of one that stays is kept."""
        if set(trunks) == set(self.followed):
            return
        for name in self.followed.keys() - trunks:
            self._changed.update({(name, source): None for source in ("", *self._sources.get(name, ()))})
        for name in trunks:
            if name not in self.followed:
                self._changed[name, ""] = None
        self.followed = {name: self.followed.get(name, now) for name in trunks}
        self._sources = {name: self._sources.get(name, OrderedDict()) for name in trunks}

    def note(self, trunk: str, source: str, showed: Showed, now: float) -> None:
        """One handshake from ``source`` with a trunk; nothing where the trunk is not followed."""
        sources = self._sources.get(trunk)
        if sources is None:
            return
        known = sources.get(source)
        if known is None:
            known = sources[source] = Showings(first=now)
            if len(sources) > SOURCES_KEPT:
                self._changed[trunk, sources.popitem(last=False)[0]] = None
        sources.move_to_end(source)
        setattr(known, showed, getattr(known, showed) + 1)
        known.last = now
        if showed != "presented":
            known.last_without = now
        self._changed.pop((trunk, source), None)
        self._changed[trunk, source] = None

    def summary(self, trunk: str, now: float) -> Summary | None:
        """What is known of a trunk; None where it is not in mode optional. The latest refused come first."""
        if trunk not in self.followed:
            return None
        sources = self._sources[trunk]
        refused = [(name, each) for name, each in sources.items() if not each.ready(now)]
        refused.sort(key=lambda item: -item[1].last)
        return Summary(
            self.followed[trunk], len(sources), sum(each.presented for each in sources.values()),
            sum(each.absent for each in sources.values()), sum(each.bad for each in sources.values()),
            tuple(refused),
        )  # fmt: skip

    # What survives a restart

    def whole(self) -> dict[str, Any]:
        """All that is known, entry by entry, as JSON types."""
        for trunk, sources in self._sources.items():
            self._changed.update({(trunk, source): None for source in ("", *sources)})
        return self.changes()

    def changes(self) -> dict[str, Any]:
        """The same of what has changed since this was asked last, in that order; None for what is gone."""
        changed, self._changed = self._changed, {}
        return dict([self._entry(*place) for place in changed])

    def _entry(self, trunk: str, source: str) -> tuple[str, Any]:
        if not source:
            since = self.followed.get(trunk)
            return f"since {trunk}", {"trunk": trunk, "since": since} if since is not None else None
        sources = self._sources.get(trunk)
        known = sources.get(source) if sources is not None else None
        value = {"trunk": trunk, "source": source, **asdict(known)} if known is not None else None
        return f"source {source} {trunk}", value

    def restore(self, key: str, saved: Any) -> None:
        """Take up an entry; ValueError, with nothing changed, where it is something else."""
        try:
            values = dict(saved)
            trunk = values.pop("trunk")
            if type(trunk) is not str:
                raise TypeError("no trunk")
            if key.startswith("since "):
                if not fits(values["since"], float):
                    raise TypeError("no date")
                self.followed[trunk] = values["since"]
                self._sources.setdefault(trunk, OrderedDict())
            else:
                source = values.pop("source")
                if type(source) is not str:
                    raise TypeError("no address")
                self._sources.setdefault(trunk, OrderedDict())[source] = _source(values)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these are no counts of ours ({type(error).__name__})") from None


def _source(values: dict[str, Any]) -> Showings:
    return record(Showings, {name: values[name] for name in Showings.__slots__})
