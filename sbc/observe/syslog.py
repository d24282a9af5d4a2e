"""The journal as RFC 5424 has it: one event, one message, its fields as structured data beside the line.

What a peer sent is only ever a value: quoted, its quotes, backslashes and brackets escaped (6.3.3), its
control characters written out, so that it ends neither a value nor a message. Secrets are blotted out as in
the line. A message has a bounded length: what is too long loses fields, and then the end of its line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sbc.observe.text import REDACTED, SECRET_FIELDS, iso_time, printable, redact, words

#: The octets of a message at most: over UDP what crosses any network whole (RFC 5426 3.2), over a stream what
#: a receiver should take (RFC 5425 4.3.1).
OF_DATAGRAMS: Final = 1180
OF_STREAMS: Final = 8192
_SEVERITY: Final[Mapping[str, int]] = {"ERR": 3, "WRN": 4, "INF": 6}
# The enterprise number that is for documentation (RFC 5612): names of our own need one, and we have none.
ELEMENT: Final = "sbc@32473"
_ESCAPED: Final = re.compile(r'(["\\\]])')
_UNFIT: Final = re.compile(r"[^!#-<>-\\^-~]")  # in a name; 6.3.3
_UNFIT_WORD: Final = re.compile(r"[^!-~]")


class Syslog:
    """Makes messages of one process; ``facility`` is the number of RFC 5424 6.2.1."""

    __slots__ = ("_facility", "_most", "_who")

    def __init__(self, facility: int, host: str, process: int, most: int) -> None:
        self._facility = facility
        self._most = most
        self._who = f"{_UNFIT_WORD.sub('', host)[:255] or '-'} portcullis {process}"

    def message(self, level: str, tag: str, fields: Mapping[str, Any], now: float) -> bytes:
        """One event of the journal at ``now`` (POSIX seconds)."""
        kind = _UNFIT_WORD.sub("", tag.partition("]")[0].lstrip("[").partition(" ")[0])[:32] or "-"
        head = f"<{self._facility * 8 + _SEVERITY.get(level, 5)}>1 {iso_time(now)} {self._who} {kind} "
        text = f"{tag}{words(fields)}"
        line = (text if text.isprintable() else printable(text)).encode("utf-8", "backslashreplace")
        elements = self._element(fields, self._most - len(head) - 3 - min(len(line), self._most // 3))
        whole = head.encode("ascii", "replace") + elements + b" " + line
        if len(whole) > self._most:  # not in the middle of a character
            whole = whole[: self._most].decode("utf-8", "ignore").encode()
        return whole

    def _element(self, fields: Mapping[str, Any], room: int) -> bytes:
        """The fields that there is room for, the first ones first."""
        parts: list[bytes] = []
        room -= len(ELEMENT) + 2
        for name, value in fields.items():
            if value is None:
                continue
            shown = REDACTED if name in SECRET_FIELDS else redact(str(value))
            text = _ESCAPED.sub(r"\\\1", _plain(shown))
            part = f' {_UNFIT.sub("", name)[:32] or "-"}="{text}"'.encode("utf-8", "backslashreplace")
            if len(part) <= room:
                parts.append(part)
                room -= len(part)
        return f"[{ELEMENT}".encode() + b"".join(parts) + b"]" if parts else b"-"


def _plain(text: str) -> str:
    """``text`` with what is not printable written out, and without backslashes that would be read twice."""
    return text if text.isprintable() else printable(text).replace("\\\\", "\\").replace('\\"', '"')


def counted(message: bytes) -> bytes:
    """``message`` as a stream has it (RFC 5425 4.3, RFC 6587 3.4.1): its length in octets before it."""
    return b"%d %s" % (len(message), message)
