"""``sbc trace``: who may see which messages for how long, and the line in the journal that tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sbc.admin.running import Running
from sbc.base import LocalError
from sbc.net.trace.viewing import Reading
from sbc.observe.journal import Level
from sbc.observe.tap import Event, Seen
from sbc.observe.trace.frames import Encoder
from sbc.observe.trace.masking import masked
from sbc.observe.trace.view import View

#: Seconds and messages that may be asked for.
LONGEST: Final = 86400.0
MOST: Final = 10_000_000
_WORD: Final = 64


class Trace:
    """The verb; ``by`` is the user at the other end of the control socket."""

    def __init__(self, sbc: Running) -> None:
        self._sbc = sbc

    def __call__(
        self, trunk: str = "", call: str = "", last: bool = False, seconds: float = 3600.0, most: int = 0,
        secrets: str = "", by: str = "",
    ) -> Reading:  # fmt: skip
        """Show messages of ``trunk`` or ``call`` as they come, or the ``last`` that were kept.

        ``secrets`` is a word for the journal, without which keys, digests and passwords are masked.
        """
        if not 0 < seconds <= LONGEST or not 0 <= most <= MOST:
            raise LocalError(f"a trace lasts at most {LONGEST:g} s and has at most {MOST} messages")
        if len(secrets) > _WORD:
            raise LocalError(f"the word for the journal has at most {_WORD} characters")
        if trunk and trunk not in self._sbc.store.current.trunks:
            raise LocalError(f"there is no trunk {trunk!r}; `sbc trunks` shows those that there are")
        events = self._last(call) if last else None
        encoder = Encoder(self._with_secrets if secrets else self._masked, self._text)
        view = View(encoder, trunk, "" if last else self._live(call), most)
        fields = {
            "act": "trace", "by": by or None, "trunk": trunk or None, "call": call or None,
            "last": "yes" if last else None, "secrets_shown_for": secrets or None,
        }  # fmt: skip
        reading = self._sbc.readers.open(view, seconds, not last, lambda told: self._say(fields, told))
        self._say(fields, {"event": "begun"})
        if events is not None:
            view.replay(events)
        return reading

    # What is shown: numbers are shortened as everywhere, as the configuration says at the time.

    def _masked(self, octets: bytes) -> bytes:
        return self._with_secrets(masked(octets))

    def _with_secrets(self, octets: bytes) -> bytes:
        mask = self._sbc.recorder.mask
        return mask.octets(octets) if mask is not None else octets

    def _text(self, text: str) -> str:
        mask = self._sbc.recorder.mask
        return mask.text(text) if mask is not None else text

    def _say(self, fields: Mapping[str, object], more: Mapping[str, object]) -> None:
        level: Level = "WRN" if fields["secrets_shown_for"] else "INF"
        self._sbc.recorder.journal.event(level, "[operator]", {**fields, **more}, self._sbc.clock.now())

    def _live(self, call: str) -> str:
        """Our name of a live call that is named by us or by a Call-ID of it; "" for none."""
        if not call:
            return ""
        engine = self._sbc.engine
        named = engine.dialogs.call_ids.found.get(call)
        found = call if call in engine.calls else named[0] if named is not None else ""
        if found not in engine.calls:
            text = f"there is no call {call!r} now; `sbc calls` shows those that there are, and"
            raise LocalError(f"{text} `sbc trace --last --call ID` what was kept of one that is over")
        return found

    def _last(self, call: str) -> list[Event]:
        if not self._sbc.store.current.settings.trace.ring:
            raise LocalError("no messages are kept: trace.ring of sbc.yaml is 0")
        events = self._sbc.rings.last()
        if not call:
            return events
        # A call may go on as another, with the caller's Call-ID: what has one of its Call-IDs is of it.
        ids = {
            each.call_id for each in events if isinstance(each, Seen) and call in (each.call, each.call_id)
        }
        names = {call} | {
            each.call for each in events if isinstance(each, Seen) and each.call and each.call_id in ids
        }
        found = [
            each
            for each in events
            if (each.call in names or each.call_id in ids if isinstance(each, Seen) else each.call in names)
        ]
        if not found:
            raise LocalError(f"of a call {call!r} nothing is among the last messages that were kept")
        return found
