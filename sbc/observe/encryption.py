"""How calls were encrypted, counted from their records: what a report to a regulator says.

A call belongs to the moment of its INVITE. It is counted once as a whole, by how both of its legs were
protected, and once for each trunk that it came from or went to. What was never set up counts nowhere: a trunk
that could not be reached has no TLS to tell of, and a call that nobody answered has no media.

Every count is bounded: a file of records may be anybody's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

Record = Mapping[str, Any]
Leg = Literal["from", "to"]

# Different values of one count; what comes in more ways is counted together.
MOST: Final = 1000
OTHERS: Final = "others"
PLAIN, NO_MEDIA = "plain RTP", "no media"
UNKNOWN: Final = "not known"  # of a leg that was gone before the call's end, as after a transfer

_PLAIN: Final = "plain "
_CHALLENGES: Final = (401, 407)
_GAVE_UP: Final = 487


@dataclass(slots=True)
class TrunkCounts:
    """What calls of one trunk were, ``from`` it or ``to`` it.

    ``calls`` reached it, or came from it; ``answered``, ``refused`` (by us what it sent, by it what we sent),
    ``given_up`` and ``challenged`` say what became of them. ``turned_away`` are INVITEs that no rule was
    asked about. ``signalling`` counts calls by TLS version or transport, ``unverified`` those whose peer's
    certificate was not verified, ``soft_passes`` those whose peer was let pass although nothing fresh said
    that it was not revoked, by the reason. ``media`` counts answered calls by SRTP suite. A downgrade is a
    call of SIPS that went on without TLS (``sips``), or of SRTP on one leg and RTP on the other (``srtp``).
    """

    calls: int = 0
    answered: int = 0
    refused: int = 0
    given_up: int = 0
    challenged: int = 0
    turned_away: int = 0
    unverified: int = 0
    downgrades_sips: int = 0
    downgrades_srtp: int = 0
    signalling: Counter[str] = field(default_factory=Counter)
    media: Counter[str] = field(default_factory=Counter)
    soft_passes: Counter[str] = field(default_factory=Counter)

    def reached(self, leg: _Leg) -> None:
        """A call came over ``leg``, or went out over it."""
        self.calls += 1
        self.unverified += leg.unverified
        self.downgrades_sips += leg.downgraded
        count(self.signalling, leg.signalling)
        if leg.news not in ("", "good"):
            count(self.soft_passes, leg.news)


class _Leg(NamedTuple):
    """What a record says of one leg, as far as it is counted."""

    trunk: str
    signalling: str
    unverified: bool
    downgraded: bool
    news: str
    media: str

    @property
    def protected(self) -> bool:
        return not self.signalling.startswith(_PLAIN) and self.media not in (PLAIN, NO_MEDIA)


class Encryption:
    """Counts the calls that it is given."""

    def __init__(self) -> None:
        self.calls = self.answered = self.turned_away = 0
        self.protected = 0  # answered calls with TLS and SRTP on both legs
        # How answered calls were protected: signalling and media of the caller's leg, then of the callee's.
        self.ways: Counter[tuple[str, str, str, str]] = Counter()
        self.statuses: Counter[str] = Counter()  # final status of calls that were not answered, and by whom
        self.trunks: dict[tuple[str, Leg], TrunkCounts] = {}

    def add(self, record: Record) -> None:
        """Count one record; KeyError, TypeError, ValueError or AttributeError where it is none."""
        legs, status, by = _legs(record), int(record["status"]), str(record["ended_by"])
        answered, turned_away = record["answered"] is not None, int(record.get("refused", 0))
        # From here on nothing fails: a record counts as a whole or not at all.
        caller = self._trunk(legs[0].trunk, "from")
        if turned_away > 0:
            self.turned_away += turned_away
            caller.turned_away += turned_away
            return
        trunks = [caller, *(self._trunk(each.trunk, "to") for each in legs[1:])]
        self.calls += 1
        for trunk, leg in zip(trunks, legs, strict=True):
            trunk.reached(leg)
        if answered:
            self._answered(trunks, legs)
        else:
            self._unanswered(status, by, trunks)

    def _answered(self, trunks: list[TrunkCounts], legs: list[_Leg]) -> None:
        self.answered += 1
        media = {leg.media for leg in legs} - {NO_MEDIA}
        mixed = PLAIN in media and len(media) > 1
        for trunk, leg in zip(trunks, legs, strict=True):
            trunk.answered += 1
            trunk.downgrades_srtp += mixed
            count(trunk.media, leg.media)
        a, b = legs[0], legs[1] if len(legs) > 1 else None
        other = (b.signalling, b.media) if b is not None else (UNKNOWN, UNKNOWN)
        count(self.ways, (a.signalling, a.media, *other))
        self.protected += a.protected and b is not None and b.protected

    def _unanswered(self, status: int, by: str, trunks: list[TrunkCounts]) -> None:
        count(self.statuses, f"{status} by {by if by in ('caller', 'callee') else 'us'}")
        caller, callee = trunks[0], trunks[1] if len(trunks) > 1 else None
        if status in _CHALLENGES and by == "us":
            caller.challenged += 1
        elif status == _GAVE_UP or by == "caller":
            for trunk in trunks:
                trunk.given_up += 1
        elif by == "callee" and callee is not None:
            callee.refused += 1
        else:
            caller.refused += 1

    def _trunk(self, name: object, leg: Leg) -> TrunkCounts:
        key = (str(name), leg)
        found = self.trunks.get(key)
        if found is None:
            if len(self.trunks) >= MOST:
                key = (OTHERS, leg)
            found = self.trunks.setdefault(key, TrunkCounts())
        return found


def _legs(record: Record) -> list[_Leg]:
    """The caller's leg, and the callee's where anybody was reached."""
    a, b, downgraded = record["a"], record["b"], record["downgraded"] is True
    return [_leg(each, downgraded) for each in ([a, b] if b is not None and b["transport"] else [a])]


def _leg(leg: Record, downgraded: bool) -> _Leg:
    tls, said = leg["tls"], leg["media"]
    media = str(said["srtp"]) or (PLAIN if said["codec"] or said["packets_in"] else NO_MEDIA)
    if tls is None:
        return _Leg(str(leg["trunk"]), f"{_PLAIN}{leg['transport']}", False, downgraded, "", media)
    news = str(tls.get("revocation", ""))
    return _Leg(str(leg["trunk"]), str(tls["version"]), not tls["peer_verified"], downgraded, news, media)


def count(counter: Counter[Any], value: Any) -> None:
    """Count ``value``, or what is beyond the bound as others."""
    known = value in counter or len(counter) < MOST
    counter[value if known else OTHERS if isinstance(value, str) else (OTHERS,) * len(value)] += 1
