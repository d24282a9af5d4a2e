"""What is known of one certificate's revocation, and why a list or an answer could not be used."""

from __future__ import annotations

from typing import Literal, NamedTuple

# Two clocks may differ by this much before a list or an answer counts as from the future, or as stale.
CLOCK_TOLERANCE = 60.0

Method = Literal["staple", "crl", "ocsp"]
State = Literal["good", "revoked", "unknown", "stale", "unanswered", "no-source"]


class Finding(NamedTuple):
    """The state of one certificate, the source that says so, and why it says no more.

    ``unknown``: the CA's responder does not know the certificate; ``stale``: what is there is out
    of date; ``unanswered``: there are sources and none has answered; ``no-source``: there is nothing
    to ask.
    """

    state: State
    source: str = ""
    reason: str = ""


class Unusable(Exception):
    """A list or an answer that proves nothing; ``remedy`` is what the operator can do about it.

    ``dated`` is when it will prove something, POSIX seconds, 0 where that is no matter of time.
    """

    def __init__(self, reason: str, remedy: str, dated: float = 0.0) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
        self.dated = dated
