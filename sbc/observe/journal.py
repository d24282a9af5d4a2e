"""The journal: one event, one line, made for grep.

    2026-05-01T10:00:00.250Z INF [sips-arrival] CallID=... method=INVITE from=... to=... remote=... local=...
    2026-05-01T10:00:00.310Z WRN [sips-downgrade] call=... trunk=... policy=warn
    2026-05-01T10:00:30.000Z INF [SIPS-stats] handshakes=12 failures=1 in_flight=0 open=3 ...
    2026-05-01T10:00:02.000Z INF call call=... event=call-answered status=200

A line is a time, a level, a tag, then ``name=value`` words; in the form ``json`` it is an object of the
same names, after ``time``, ``level`` and ``tag``. What is not in the table below is logged too, under
``call`` when it belongs to a call and under its own name when it does not.
Lines go to a callable, which must not block: a writer with a queue behind it, or a list in a
test. Nothing here goes through stdlib logging, whose record objects cost more than a line does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from sbc.b2bua.commands import Note
from sbc.observe.masking import Mask
from sbc.observe.text import iso_time, json_line, words
from sbc.observe.views import StatusView

Level = Literal["INF", "WRN", "ERR"]
Form = Literal["keyvalue", "json"]

_RANK: Final = {"INF": 0, "WRN": 1, "ERR": 2}

# event: (level, tag); the tag of every other event of a call is "call".
EVENTS: Mapping[str, tuple[Level, str]] = {
    "sips-arrival": ("INF", "[sips-arrival]"),
    "sips-downgrade": ("WRN", "[sips-downgrade]"),
    "emergency": ("WRN", "[emergency]"),
    "emergency-failed": ("ERR", "[emergency]"),
    "fraud-warning": ("WRN", "[fraud]"),
    "fraud-refused": ("ERR", "[fraud]"),
    "fraud-full": ("ERR", "[fraud]"),
    "message": ("INF", "[message]"),
    "media-refused": ("INF", "[srtp-refused]"),
    "fax-begun": ("INF", "[fax]"),
    "fax-over": ("INF", "[fax]"),
    "one-way-audio": ("WRN", "[one-way-audio]"),
    "ports-refused": ("WRN", "[ports-refused]"),
    "hook-failed": ("ERR", "[hook]"),
    "redirect-refused": ("ERR", "call"),
    "lookup-failed": ("WRN", "[lookup]"),
    "lookup-down": ("ERR", "[lookup]"),
    "lookup-up": ("INF", "[lookup]"),
    "hook-skipped": ("WRN", "[hook]"),
    "hook-slow": ("WRN", "[hook]"),
    "hook-grows": ("WRN", "[hook]"),
    "hook-missed": ("WRN", "[hook]"),
    "internal-error": ("ERR", "call"),
    "trunk-quarantined": ("ERR", "[trunk]"),
    "trunk-held": ("ERR", "[trunk]"),
    "trunk-mended": ("INF", "[trunk]"),
    "trunk-disabled": ("WRN", "[trunk]"),
    "trunk-enabled": ("INF", "[trunk]"),
    "trunk-down": ("WRN", "[trunk]"),
    "trunk-up": ("INF", "[trunk]"),
    "peer-down": ("WRN", "[trunk]"),
    "peer-rests": ("WRN", "[trunk]"),
    "no-tcp": ("INF", "[trunk]"),
    "peer-up": ("INF", "[trunk]"),
    "register": ("INF", "REGISTER"),
    "registered": ("INF", "REGISTER OK"),
    "register-failed": ("WRN", "[register]"),
    "registration-lost": ("WRN", "[register]"),
    "unregistered": ("INF", "[register]"),
    "phone-registered": ("INF", "[phone]"),
    "phone-unregistered": ("INF", "[phone]"),
    "phone-expired": ("INF", "[phone]"),
    "phone-dropped": ("INF", "[phone]"),
    "phone-refused": ("WRN", "[phone]"),
    "challenge-refused": ("WRN", "[digest]"),
    "malformed": ("WRN", "[malformed]"),
    "parts-dropped": ("INF", "[parts-dropped]"),
    "connection-refused": ("WRN", "[refused]"),
    "session-expired": ("WRN", "[session]"),
    "refresh-failed": ("WRN", "[session]"),
    "flood": ("WRN", "[flood]"),
    "over-cap": ("WRN", "[cap]"),
    "overload-begun": ("ERR", "[overload]"),
    "overload-over": ("WRN", "[overload]"),
    "scanner-dropped": ("WRN", "[blocklist]"),
}
# Gets level, tag, fields and date of each event.
Follower = Callable[[Level, str, Mapping[str, Any], float], object]

_REGISTER: Final = frozenset(("register", "registered"))
CALL_ENDED: Final = "call-ended"
STATS_PERIOD = 30.0


class Journal:
    """Turns events into lines for ``write``, in ``form``; lines under ``level`` are not made at all."""

    __slots__ = ("_downgraded", "_least", "_next_stats", "_write", "follower", "form", "mask")

    def __init__(self, write: Callable[[str], object], level: Level = "INF") -> None:
        self._write = write
        self.form: Form = "keyvalue"
        self.follower: Follower | None = None  # who gets each event beside the line
        self.mask: Mask | None = None  # what shortens numbers
        self._least = _RANK[level]
        self._downgraded: set[str] = set()
        self._next_stats = 0.0

    def note(self, note: Note, now: float) -> None:
        """Log what the core noted at ``now`` (POSIX seconds); a downgrade once a call."""
        event, call = note.event, note.call
        if event == "sips-downgrade":
            if call in self._downgraded:
                return
            self._downgraded.add(call)
        elif event == CALL_ENDED:
            self._downgraded.discard(call)
        if event in _REGISTER:
            self._registers(note, now)
            return
        level, tag = EVENTS.get(event, ("INF", "call" if call else f"[{event}]"))
        if _RANK[level] < self._least:
            return
        head: dict[str, object] = {}
        if tag == "[sips-arrival]":
            head["CallID"] = call
        else:
            if call:
                head["call"] = call
            if tag != f"[{event}]":
                head["event"] = event
        self.event(level, tag, head | note.fields, now)

    def _registers(self, note: Note, now: float) -> None:
        """``REGISTER carrier TLS (sips:)`` and ``REGISTER OK``, as row S2 has them."""
        level, tag = EVENTS[note.event]
        fields = dict(note.fields)
        if note.event == "register":
            trunk, transport, scheme = (fields.pop(name) for name in ("trunk", "transport", "scheme"))
            tag = f"{tag} {trunk} {transport} ({scheme}:)"
        self.event(level, tag, fields, now)

    def event(self, level: Level, tag: str, fields: Mapping[str, Any], now: float) -> None:
        """Log what is not of a call, such as ``[start]``."""
        if _RANK[level] < self._least:
            return
        if self.mask is not None:
            fields = self.mask.fields(fields)
        self._write(self.line(level, tag, fields, now))
        if self.follower is not None:
            self.follower(level, tag, fields, now)

    def line(self, level: Level, tag: str, fields: Mapping[str, Any], now: float) -> str:
        """What the journal would say, in its form."""
        if self.form == "json":
            return json_line({"time": iso_time(now), "level": level, "tag": tag}, fields)
        return f"{iso_time(now)} {level} {tag}{words(fields)}"

    def stats(self, status: Callable[[], StatusView], now: float, at: float) -> None:
        """Log ``[SIPS-stats]`` if 30 s have passed since the last; ``status`` is asked only then.

        ``now`` is the date of the line, ``at`` the moment by the monotonic clock.
        """
        if at < self._next_stats:
            return
        self._next_stats = at + STATS_PERIOD
        self.event("INF", "[SIPS-stats]", stats_fields(status()), now)


def stats_fields(status: StatusView) -> dict[str, Any]:
    """The fields of ``[SIPS-stats]``: of TLS both ways, of calls, and how many addresses are blocked."""
    secure = [each for each in status.listeners if each.transport == "tls"]
    tls = [stats for each in secure for stats in (each.inbound, each.outbound)]
    return {
        "handshakes": status.counters.handshakes,
        "failures": status.counters.handshake_failures,
        "in_flight": sum(each.in_flight for each in tls),
        "open": sum(each.open for each in tls),
        "arrivals": status.counters.sips_arrivals,
        "downgrades": status.counters.downgrades,
        "calls": len(status.calls),
        "blocklist": status.blocklist.now,
    }
