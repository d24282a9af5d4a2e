"""Faults of TLS, what the journal says of each, and its remedy applied: the table of ``test_remedies``.

A row injects a fault on one side, in one direction and some versions of TLS. ``detail`` and ``remedy`` are
patterns of what is said; what ``remedy`` captures is all that ``mend`` may use. ``where`` is the key of the
configuration that the line names: "" where nothing of ours is to be changed, "*" where it is the identity
that the direction shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.demo.pki import LabAuthority
from sbc.tls.failure import Direction
from tests.edge.remedies.site import Site

BOTH = ("1.2", "1.3")
DAY = 86400.0


@dataclass(frozen=True)
class Row:
    """One fault; ``inject`` gives the peer that has it, ``mend`` one that has done as it was told."""

    fault: str
    direction: Direction
    versions: tuple[str, ...]
    kind: str
    detail: str
    remedy: str
    where: str
    inject: Callable[[Site, str], Any]
    mend: Callable[[Site, str, re.Match[str]], Any]


def both_ways(
    fault: str, kind: str, detail: str, remedy: str, where: str,
    inject: Callable[[Site, Direction, str], Any],
    mend: Callable[[Site, Direction, str, re.Match[str]], Any],
) -> Iterator[Row]:  # fmt: skip
    """The rows of a fault that a peer has whoever dials."""
    directions: tuple[Direction, ...] = ("inbound", "outbound")
    for way in directions:

        def injected(site: Site, version: str, way: Direction = way) -> Any:
            return inject(site, way, version)

        def mended(site: Site, version: str, said: re.Match[str], way: Direction = way) -> Any:
            return mend(site, way, version, said)

        yield Row(fault, way, BOTH, kind, detail, remedy, where, injected, mended)


def anew(
    old: x509.Certificate, issuer: LabAuthority, *, key: Any = None, subject: x509.Name | None = None,
    limits: x509.NameConstraints | None = None, ends: datetime | None = None,
) -> bytes:  # fmt: skip
    """A certificate again, but for what is given."""
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject, subject_name=old.subject if subject is None else subject,
        public_key=key or old.public_key(), serial_number=old.serial_number,
        not_valid_before=old.not_valid_before_utc, not_valid_after=ends or old.not_valid_after_utc,
        extensions=list(old.extensions),
    )  # fmt: skip
    if limits is not None:
        builder = builder.add_extension(limits, critical=True)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)
