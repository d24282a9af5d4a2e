"""Calls that were refused before any rule was asked: each has a record, until somebody brings too many.

Of one source and trunk, ten a second are recorded singly, and of all together so many more, for addresses
can be forged. The others are counted, and a record every few seconds says how many there were, with the
status and the reason of the last. Where the sources are too many to be told apart, the rest is one record.
Whoever is over a rate sends many, so what is only counted is not even parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sbc.b2bua.commands import Note
from sbc.base import PeerError
from sbc.flow import Flow
from sbc.policy.shares import source_of
from sbc.sip.message import Request

# Records a second, of one source and trunk, and of all.
EACH: Final = 10
ALL: Final = 200
# Seconds between two records that count the rest.
EVERY: Final = 10.0
# Sources and trunks that are told apart.
MOST: Final = 1000

_OTHERS: Final = ("", "")


class _Rest:
    """So many of one source that have no record of their own: when they began, and the last of them."""

    __slots__ = ("count", "fields", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = 0
        self.fields: dict[str, Any] = {}


class TurnedAway:
    """One for the recorder; ``write`` takes the fields of each record."""

    __slots__ = ("_begun", "_rest", "_second", "_singly", "_total", "_write")

    def __init__(self, write: Callable[[dict[str, Any]], object]) -> None:
        self._write = write
        self._second = float("-inf")
        self._total = 0
        self._singly: dict[tuple[str, str], int] = {}
        self._rest: dict[tuple[str, str], _Rest] = {}
        self._begun = 0.0

    def note(self, note: Note, now: float) -> None:
        """One was refused at ``now`` (POSIX seconds); ``note`` is the core's ``call-turned-away``."""
        fields = note.fields
        flow: Flow = fields["a"]
        key = str(fields["from"]), source_of(flow.remote.host)
        if not 0.0 <= now - self._second < 1.0:
            self._second, self._total = now, 0
            self._singly.clear()
        said = self._singly.get(key, 0)
        if said < EACH and self._total < ALL:
            self._singly[key] = said + 1
            self._total += 1
            self._write({**_told(fields), "refused": 1, "ended": now})
            return
        if key not in self._rest and len(self._rest) >= MOST:
            key = _OTHERS
        rest = self._rest.get(key)
        if rest is None:
            if not self._rest:
                self._begun = now
            rest = self._rest[key] = _Rest(now)
        rest.count += 1
        # Not the flow itself, which holds all that its connection needs.
        path = None if key is _OTHERS else Flow(0, flow.transport, flow.local, flow.remote, tls=flow.tls)
        rest.fields = {
            "from": key[0], "a": path, "status": fields["status"], "reason": fields["reason"], "by": "us",
            "ended": now,
        }  # fmt: skip

    def tick(self, now: float) -> None:
        """Write how many had no record of their own, where that is due; to be called about every second."""
        if self._rest and not 0.0 <= now - self._begun < EVERY:
            self.close()

    def close(self) -> None:
        """Write it now."""
        rest, self._rest = self._rest, {}
        for each in rest.values():
            self._write({**each.fields, "created": each.since, "refused": each.count})


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    """What the record tells, beside when, of one whose INVITE is known."""
    request: Request = fields["request"]
    caller = called = ""
    try:
        caller, called = request.from_.uri.party.user, request.target.party.user
    except PeerError:
        pass  # it may have been refused for just that
    return {
        "caller": caller, "called": called, "call_id": request.call_id, "from": fields["from"],
        "a": fields["a"], "status": fields["status"], "reason": fields["reason"], "by": "us",
        "created": fields["created"],
    }  # fmt: skip
