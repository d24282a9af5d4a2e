"""Q.850 causes towards trunks that write or read them (``q850:``), RFC 3398 and RFC 6432."""

from __future__ import annotations

from sbc.config.model import Trunk
from sbc.sip.headers import Headers
from sbc.sip.message import Response
from sbc.sip.q850 import cause_for, cause_of, reason, status_of

_OURS = frozenset((401, 407, 422))  # what is between a peer and us


def because(status: int, text: str) -> tuple[tuple[str, str], ...]:
    """Why we end a call, in terms of SIP (RFC 3326 2); ``text`` is ours."""
    return (("Reason", f'SIP;cause={status};text="{text}"'),)


def explain(headers: Headers, trunk: Trunk, cause: int) -> None:
    """Give a message to ``trunk`` a cause, where its peers read one and there is none."""
    if trunk.q850 in ("write", "both") and cause_of(headers) is None:
        name, value = reason(cause)
        headers.add(name, value)


def explain_refusal(response: Response, trunk: Trunk) -> None:
    """The same of a refusal, whose status says the cause."""
    if trunk.q850 in ("write", "both") and response.status >= 400:
        explain(response.headers, trunk, cause_for(response.status))


def understand(response: Response, trunk: Trunk) -> int | None:
    """Let a failure of a trunk that gives causes have the status of its cause.

    The cause, where that changed the status. What is final for the caller (6xx) stays so.
    """
    if trunk.q850 not in ("read", "both") or not 400 <= response.status < 600 or response.status in _OURS:
        return None
    cause = cause_of(response.headers)
    meant = status_of(cause) if cause is not None else None
    if meant is None or meant[0] == response.status:
        return None
    response.status, response.reason = meant
    return cause
