"""The causes of telephone networks (ITU-T Q.850) beside the statuses of SIP (RFC 3398), as Reason has them.

A gateway says ``Reason: Q.850;cause=17;text="User busy"`` in a request (RFC 3326) or a response (RFC 6432).
"""

from __future__ import annotations

from typing import Final

from sbc.sip.grammar import ParseError, decimal, find_param, parse_params
from sbc.sip.headers import Headers

# RFC 3398 7.2.4.1. Causes that say nothing (16, 31, 127) leave the status that they come with as it is.
_STATUS: Final = {
    1: (404, "Not Found"), 2: (404, "Not Found"), 3: (404, "Not Found"), 17: (486, "Busy Here"),
    18: (408, "Request Timeout"), 19: (480, "Temporarily Unavailable"),
    20: (480, "Temporarily Unavailable"), 21: (403, "Forbidden"), 22: (410, "Gone"), 23: (410, "Gone"),
    26: (404, "Not Found"), 27: (502, "Bad Gateway"), 28: (484, "Address Incomplete"),
    29: (501, "Not Implemented"), 34: (503, "Service Unavailable"), 38: (503, "Service Unavailable"),
    41: (503, "Service Unavailable"), 42: (503, "Service Unavailable"), 47: (503, "Service Unavailable"),
    55: (403, "Forbidden"), 57: (403, "Forbidden"), 58: (503, "Service Unavailable"),
    65: (488, "Not Acceptable Here"), 70: (488, "Not Acceptable Here"), 79: (501, "Not Implemented"),
    87: (403, "Forbidden"), 88: (503, "Service Unavailable"), 102: (504, "Server Time-out"),
    111: (500, "Server Internal Error"),
}  # fmt: skip
# RFC 3398 8.2.6.1; it leaves 488 and 606 to their Warning, and 487 without a cause.
_CAUSE: Final = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127,
    414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41, 482: 25, 483: 25, 484: 28,
    485: 1, 486: 17, 487: 16, 488: 65, 500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127, 513: 127,
    600: 17, 603: 21, 604: 1, 606: 65,
}  # fmt: skip
_NAMES: Final = {
    1: "Unallocated number", 16: "Normal call clearing", 17: "User busy", 18: "No user responding",
    21: "Call rejected", 22: "Number changed", 25: "Exchange routing error", 28: "Invalid number format",
    31: "Normal, unspecified", 38: "Network out of order", 41: "Temporary failure",
    63: "Service or option not available", 65: "Bearer capability not implemented",
    79: "Service or option not implemented", 102: "Recovery on timer expiry",
    127: "Interworking, unspecified",
}  # fmt: skip
NORMAL: Final = 16
UNSPECIFIED: Final = 31


def cause_of(headers: Headers) -> int | None:
    """The cause that a message gives; None where it gives none."""
    if "reason" not in headers.first:
        return None
    for value in headers.values("Reason"):
        protocol, semicolon, rest = value.partition(";")
        if protocol.strip(" \t").lower() != "q.850":
            continue
        try:
            return decimal(find_param(parse_params(semicolon + rest), "cause") or "")
        except ParseError:
            continue
    return None


def status_of(cause: int) -> tuple[int, str] | None:
    """The status and phrase of a cause (RFC 3398 7.2.4.1); None for one that says nothing of its own."""
    return _STATUS.get(cause)


def cause_for(status: int) -> int:
    """The cause of a final status from 300 (RFC 3398 8.2.6.1)."""
    return _CAUSE.get(status, UNSPECIFIED if status < 500 else 127)


def reason(cause: int) -> tuple[str, str]:
    """The header that gives ``cause`` (RFC 3326 2)."""
    name = _NAMES.get(cause)
    return "Reason", f"Q.850;cause={cause}" + (f';text="{name}"' if name else "")
