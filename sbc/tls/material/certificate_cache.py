"""The certificates that were seen, read once and remembered by their thumbprints.

Reading a certificate in Python costs several times what OpenSSL needs to verify it, and a trunk's peer
shows the same one on every connection, so the facts are kept: bounded, by SHA-256 of the DER.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from sbc.base import PeerError
from sbc.tls.material.certificate import Certificate, read_certificate, thumbprint_of
from sbc.tls.material.issuers import Issuers

_CACHE = 4096
# Of DER, all together. What is read takes up to twenty times as much, where somebody names himself
# twenty thousand times, and who may connect need not be trusted to have his certificate read.
_CACHE_BYTES = 6 << 20


class CertificateCache:
    """The last few thousand certificates seen, by thumbprint, least recently used dropped first.

    Their size is bounded beside their number: those of strangers are among them.
    """

    __slots__ = ("_bytes", "_chains", "_known", "issuers")

    def __init__(self) -> None:
        self.issuers = Issuers()
        self._known: OrderedDict[str, tuple[Certificate, int]] = OrderedDict()
        self._bytes = 0
        self._chains: OrderedDict[tuple[str, ...], tuple[bytes, ...]] = OrderedDict()

    def read(self, der: bytes) -> Certificate:
        """The facts of ``der``, read once; PeerError as ``read_certificate``."""
        thumbprint = thumbprint_of(der)
        known = self._known.get(thumbprint)
        if known is not None:
            self._known.move_to_end(thumbprint)
            return known[0]
        certificate = read_certificate(der)
        self._known[thumbprint] = certificate, len(der)
        self._bytes += len(der)
        while len(self._known) > _CACHE or self._bytes > _CACHE_BYTES:
            _, (_, size) = self._known.popitem(last=False)
            self._bytes -= size
        return certificate

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, der: bytes) -> None:
        """Remember who issued a CA's certificate; what cannot be read is passed over."""
        try:
            self.issuers.learn(self.read(der))
        except PeerError:
            return

    def keep(self, ders: Sequence[bytes], thumbprints: tuple[str, ...]) -> tuple[bytes, ...]:
        """A chain's DERs, the same objects for every connection that shows this chain."""
        known = self._chains.get(thumbprints)
        if known is not None:
            self._chains.move_to_end(thumbprints)
            return known
        chain = self._chains[thumbprints] = tuple(ders)
        if len(self._chains) > _CACHE:
            self._chains.popitem(last=False)
        return chain
