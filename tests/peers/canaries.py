"""Secrets of the tests that no output of ours may show, and what looks like one of ours.

Who needs a password, a token or a passphrase in a lab takes this one, or one that begins with ``canary-``.
"""

from __future__ import annotations

import re
from typing import Final

#: The password of every user, phone and carrier in the labs.
PASSWORD: Final = "correct horse"

_LEAK: Final = re.compile(
    r"correct horse|canary-|hunter2"
    # A key of SRTP (RFC 4568), an answer or a hash of digest, a line of a users file, a private key.
    r"|inline:(?!\[redacted\]|x+=*(?:[|\s]|$))[A-Za-z0-9+/]{8}"
    r"|\b(?:response|cnonce|ha1)=\\?\"?(?!\[redacted\])[0-9a-f]{32}"
    r"|^[^\s:]+:[^\s:]+:[0-9a-f]{32,64}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----",
    re.IGNORECASE | re.MULTILINE,
)
_AROUND: Final = 120


def leaked(text: str) -> str:
    """The first secret in ``text``, with what stands around it; "" where there is none."""
    found = _LEAK.search(text)
    return text[max(0, found.start() - _AROUND) : found.end() + _AROUND] if found is not None else ""
