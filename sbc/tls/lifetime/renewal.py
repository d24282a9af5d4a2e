"""When a certificate from an ACME directory is renewed, and how long to wait after a failure.

Renewal begins when a third of the lifetime is left, so that a directory may be out of order for a
month of a ninety-day certificate before anybody notices. The moment is spread over a tenth of that
third by the certificate's own digest: many machines that were set up together do not all come back
together, and asking again gives the same moment.

After a failure the wait doubles from five minutes to twelve hours: fewer than the five failed
validations an hour that public directories allow for a name.
"""

from __future__ import annotations

from sbc.base import LocalError

_FIRST_WAIT = 300.0
_LONGEST_WAIT = 43200.0


class RenewalFailed(LocalError):
    """An order that came to nothing: why, what to do, and ``kind``, RFC 8555 6.7's word for it or ""."""

    def __init__(self, reason: str, remedy: str, kind: str = "") -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
        self.kind = kind


def renew_at(not_before: float, not_after: float, thumbprint: str) -> float:
    """When to renew the certificate with this SHA-256 ``thumbprint`` (hexadecimal); POSIX seconds."""
    third = (not_after - not_before) / 3
    spread = int(thumbprint[:8], 16) / 0xFFFFFFFF
    return not_after - third - third / 10 * spread


def retire_at(not_before: float, not_after: float) -> float:
    """When a renewed certificate is retired though not every peer has been seen to do without it."""
    return not_after - (not_after - not_before) / 6


def retry_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row, one or more."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(failures - 1, 20))
