"""Where a message ends whose head is broken: only if nobody could read it otherwise (RFC 3261 18.3).

One bad octet in a display name must not cost the calls of everybody who shares a connection, so a stream goes
on behind a message that is refused. But whoever disagrees with us about where that message ends could be made
to read another out of its body, or one out of ours. So the head is read in the strictest way (lines end with
CRLF, nothing is folded) and in the loosest (any control character ends a line, blanks before a name or a
colon that is missing do not matter), and only where both find the same Content-Lengths, and no line that the
loosest would take for the end of the head, is the length believed.
"""

from __future__ import annotations

import re
from typing import Final

from sbc.sip.grammar import BLANKS, TOKEN

_split_loosely: Final = re.compile(r"\r\n|\r|\n").split
_split_anywhere: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+").split
_perhaps_length: Final = re.compile(rf"[ \t]*+(?:content-length|l)(?![{TOKEN}])", re.I | re.A).match
_length: Final = re.compile(
    r"\r\n(?:content-length|l)[ \t]*+:[ \t]*+([0-9]{1,10})[ \t]*+(?=\r\n[^ \t]|\r\n\Z)", re.I | re.A
).findall
_folded: Final = re.compile(r"\r\n(?:content-length|l)[ \t]*+:[^\r\n]*+\r\n[ \t]", re.I | re.A).search


def folded_length(text: str) -> bool:
    """Whether a Content-Length goes on in the next line, which not every reader looks at."""
    return _folded(text) is not None


def length_beyond_doubt(head: bytes) -> int | None:
    """The octets of the body behind a broken ``head`` (with its last CRLF); None where readers may differ."""
    text = head.decode("latin-1")
    if any(not line.strip(BLANKS) for line in _split_loosely(text.removesuffix("\r\n"))):
        return None
    lengths = _length(text)
    perhaps = [part for part in _split_anywhere(text) if _perhaps_length(part)]
    if len(lengths) != len(perhaps) or len({int(length) for length in lengths}) != 1:
        return None
    return int(lengths[0])
