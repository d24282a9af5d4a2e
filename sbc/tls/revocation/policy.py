"""What a trunk demands about revocation, and what a certificate of which too little is known amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sbc.base import Address
from sbc.tls.failure import Direction, Failure
from sbc.tls.revocation.finding import Finding, Method, State
from sbc.tls.revocation.link import Link

RevocationMode = Literal["off", "soft", "hard"]

_LENIENT = "`revocation: {mode: soft}` lets it pass"
_REMEDIES: dict[State, str] = {
    "revoked": "let its owner replace it; treat its key as lost",
    "unknown": f"ask the CA why its responder does not know the certificate; {_LENIENT}",
    "stale": f"let the CA publish in time, and this machine reach it; {_LENIENT}",
    "unanswered": f"let this machine reach the address; `sbc status` shows each source; {_LENIENT}",
    "no-source": f"give the CA's list with `crl` in its entry of `trust`; {_LENIENT}",
    "good": "",
}


@dataclass(frozen=True, slots=True)
class RevocationPolicy:
    """What one trunk demands: ``soft`` refuses the revoked, ``hard`` all that are not known to be good."""

    mode: RevocationMode = "soft"
    methods: tuple[Method, ...] = ("staple", "crl", "ocsp")


@dataclass(frozen=True, slots=True)
class SoftPass:
    """A certificate that a soft trunk let pass though too little is known of it; ``at`` in POSIX seconds."""

    trunk: str
    direction: Direction
    remote: Address
    subject: str
    found: Finding
    at: float


DEFAULT_POLICY = RevocationPolicy()


def refusal(link: Link, found: Finding) -> Failure:
    """The failure of a certificate that is revoked, or, where a trunk is hard, not known to be good."""
    where = f" ({found.source})" if found.source else ""
    if found.state == "revoked":
        return Failure("revoked", f"{link.subject} is revoked: {found.reason}{where}", _REMEDIES["revoked"])
    detail = f"nothing fresh says that {link.subject} is not revoked: {found.reason}{where}"
    return Failure("stale-revocation", detail, _REMEDIES[found.state])


def no_staple(link: Link, reason: str) -> Failure:
    """The failure of a server whose certificate promises a stapled answer that did not come (RFC 7633)."""
    return Failure(
        "stale-revocation",
        f"{link.subject} demands a stapled OCSP answer (TLS feature): {reason}",
        "let the peer switch OCSP stapling on, or get a certificate without must-staple",
    )
