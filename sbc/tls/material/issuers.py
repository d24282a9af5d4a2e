"""The CA certificates that were seen anywhere, by subject: who issued which of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from sbc.tls.material.certificate import Certificate

_KEPT = 4096
_LONGEST = 10


class Issuers:
    """Remembers CA certificates of our own chains, the truststore and verified peers; bounded."""

    __slots__ = ("_issuer_of",)

    def __init__(self) -> None:
        self._issuer_of: OrderedDict[str, str] = OrderedDict()

    def learn(self, certificate: Certificate) -> None:
        """Remember a CA certificate; any other is passed over."""
        who = certificate.identity
        if certificate.is_ca and who.subject not in self._issuer_of:
            self._issuer_of[who.subject] = who.issuer
            if len(self._issuer_of) > _KEPT:
                self._issuer_of.popitem(last=False)

    def lead_to(self, issuer: str, subjects: Collection[str]) -> bool:
        """Whether a known CA named ``issuer`` was issued, in however many steps, by one of ``subjects``."""
        for _ in range(_LONGEST):
            above = self._issuer_of.get(issuer)
            if above is None or above == issuer:
                return False
            if above in subjects:
                return True
            issuer = above
        return False
