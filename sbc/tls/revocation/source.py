"""Where revocation can be asked about: one address for one CA's list or one certificate's answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from sbc.tls.revocation.issuer import Issuer
from sbc.tls.revocation.link import Link


@dataclass(frozen=True, slots=True)
class RevocationSource:
    """An address and what is asked there; ``issuers`` may have signed the list, ``link`` is for OCSP.

    Two are the same where address and subject are: a certificate that names the list of another CA
    spoils nothing for that CA's own.
    """

    method: Literal["crl", "ocsp"]
    url: str
    about: str
    subject: str = field(compare=False)
    issuers: tuple[Issuer, ...] = field(default=(), compare=False, repr=False)
    link: Link | None = field(default=None, compare=False, repr=False)

    def concerns(self, link: Link) -> bool:
        """Whether what it gives says something about a link."""
        if self.link is not None:
            return link.key == self.link.key
        # By name and key, as lists are kept: a CA may have several certificates, which differ otherwise.
        return any(link.issuer.id == each.id for each in self.issuers)


def list_source(url: str, *issuers: Issuer) -> RevocationSource:
    """The address of a list that one of ``issuers`` signs."""
    about = " ".join(sorted(each.id for each in issuers))
    return RevocationSource("crl", url, about, ", ".join(each.subject for each in issuers), issuers)


def answer_source(url: str, link: Link) -> RevocationSource:
    """The address of a responder for one certificate."""
    return RevocationSource("ocsp", url, link.key, link.subject, (link.issuer,), link)


def named_sources(link: Link) -> tuple[RevocationSource, ...]:
    """The addresses that a certificate names itself; responders first, they answer sooner."""
    responders = (answer_source(url, link) for url in link.responders)
    return (*responders, *(list_source(url, link.issuer) for url in link.lists))


def next_fetch(now: float, until: float, refresh: float) -> float:
    """When to ask again for what holds ``until``: well before, at most ``refresh`` seconds from ``now``."""
    least = min(30.0, refresh)
    return now + max(least, min(refresh, (until - now) / 2))


def next_attempt(now: float, failures: int, refresh: float) -> float:
    """When to ask again after ``failures`` in a row: each time twice as late, at most ``refresh`` seconds."""
    return now + min(refresh, math.ldexp(min(30.0, refresh), min(failures, 20) - 1))
