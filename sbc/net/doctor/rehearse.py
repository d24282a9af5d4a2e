"""A changed truststore against every certificate that peers really presented: who would break.

The chains are those of the ledger, the verdict is that of a handshake (verify.py), once under the
configuration in force and once under the changed one. What decides is the difference: a peer that
is refused either way does not break, and one that would be taken for another trunk does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sbc.config.places import place_to_change
from sbc.config.snapshot import Snapshot
from sbc.net.tls.contexts import Contexts
from sbc.net.tls.verify import verify
from sbc.tls.diagnosis import no_certificate
from sbc.tls.failure import Direction, Failure
from sbc.tls.ledger import Ledger, Shown
from sbc.tls.marks import DAY
from sbc.tls.match import Match

# A certificate not seen for so long counts only where its peer has shown no other since.
RECENT = 30 * DAY


@dataclass(frozen=True, slots=True)
class Outcome:
    """One peer before and after the change; ``last`` is when it was seen, POSIX seconds.

    ``what`` is ``breaks``, ``new`` (accepted from now on) or ``same``; ``now_trunk`` is the trunk it would be
    taken for, "" for none; ``where`` is the line of the changed configuration that decides.
    """

    what: Literal["breaks", "new", "same"]
    trunk: str
    direction: Direction
    host: str
    subject: str
    last: float
    now_trunk: str = ""
    failure: Failure | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Every outcome, and how many certificates were left out as superseded."""

    outcomes: tuple[Outcome, ...]
    superseded: int

    @property
    def breaks(self) -> bool:
        """True where some peer that is accepted today would not be."""
        return any(each.what == "breaks" for each in self.outcomes)


def rehearse(current: Snapshot, changed: Snapshot, ledger: Ledger, now: float) -> Rehearsal:
    """Replay what the peers of ``current``'s trunks presented; ``now`` in POSIX seconds."""
    before, after = _Stage(current, now), _Stage(changed, now)
    outcomes: list[Outcome] = []
    superseded = 0
    for trunk in sorted(current.trunks):
        shown = ledger.shown(trunk)
        standing = list(_standing(shown, now))
        superseded += len(shown) - len(standing)
        outcomes += [_compare(trunk, each, before, after) for each in standing]
        outcomes += _anonymous(trunk, ledger, before, after)
    return Rehearsal(tuple(outcomes), superseded)


def _standing(shown: Iterable[Shown], now: float) -> Iterator[Shown]:
    """The latest of each peer, and what was seen lately; ``shown`` has the latest first."""
    peers = set()
    for each in shown:
        peer = (each.direction, each.host, each.accepted)
        if peer not in peers or each.last > now - RECENT:
            yield each
        peers.add(peer)


def _compare(trunk: str, shown: Shown, before: _Stage, after: _Stage) -> Outcome:
    was, will = before.judge(trunk, shown), after.judge(trunk, shown)
    return _outcome(trunk, shown.direction, shown.host, shown.subject, shown.last, was, will, after)


def _anonymous(trunk: str, ledger: Ledger, before: _Stage, after: _Stage) -> Iterator[Outcome]:
    """A peer that showed no certificate when it last came."""
    good = ledger.side(trunk, "inbound").good
    if good is None or good.thumbprint:
        return
    host = good.remote.rpartition(":")[0].strip("[]")
    was, will = before.judge_anonymous(trunk, host), after.judge_anonymous(trunk, host)
    yield _outcome(trunk, "inbound", host, "no certificate", good.at, was, will, after)


def _outcome(
    trunk: str, direction: Direction, host: str, subject: str, last: float,
    was: Match, will: Match, after: _Stage,
) -> Outcome:  # fmt: skip
    what: Literal["breaks", "new", "same"] = "same"
    if was.trunk is not None and will.trunk != was.trunk:
        what = "breaks"
    elif was.trunk is None and will.trunk is not None:
        what = "new"
    where = ""
    if will.failure is not None:
        where = place_to_change(after.snapshot.places, trunk, will.failure, direction)
    return Outcome(what, trunk, direction, host, subject, last, will.trunk or "", will.failure, where)


class _Stage:
    """One configuration, asked as the edge would ask it."""

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self.snapshot = snapshot
        self._contexts = Contexts(snapshot)
        self._now = now

    def judge(self, trunk: str, shown: Shown) -> Match:
        """What would become of a chain that was presented for ``trunk``."""
        table = self._contexts.table
        if shown.direction == "outbound":
            admission = table.outbound(trunk, shown.host)
        else:
            admission = table.admit(self._listener(trunk) or shown.listener, shown.host, shown.sni)
        if admission is None or (shown.direction == "inbound" and trunk not in admission.names):
            return Match(None, self._not_admitted(trunk))
        if not admission.asks:
            return Match(trunk)
        found = verify(admission, shown.chain, self._now, self._contexts.certificates)
        return Match(found.trunk, found.failure)

    def judge_anonymous(self, trunk: str, host: str) -> Match:
        """What would become of a peer without a certificate."""
        listener = self._listener(trunk)
        admission = self._contexts.table.admit(listener, host, "") if listener else None
        if admission is None or trunk not in admission.names:
            return Match(None, self._not_admitted(trunk))
        demands = next(each.demands for each in admission.candidates if each.trunk == trunk)
        return Match(None, no_certificate(trunk)) if demands else Match(trunk)

    def _listener(self, trunk: str) -> str:
        found = self.snapshot.trunks.get(trunk)
        return found.listener if found is not None else ""

    def _not_admitted(self, trunk: str) -> Failure:
        why = self.snapshot.why_quarantined(trunk)
        if why:
            return Failure("quarantined", f"the trunk would be quarantined: {why}", "mend the file")
        if trunk not in self.snapshot.trunks:
            detail = "the trunk would not be there"
        else:
            detail = "its address and name would not be admitted to the trunk"
        return Failure("unknown-sni", detail, "look at `sources`, `tenant` and `tls.mode` of the trunk")
