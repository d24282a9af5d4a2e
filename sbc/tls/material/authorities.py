"""Certificate authorities by their subjects: who issued what we present, and whom a peer says to accept.

A CertificateRequest names authorities by subject alone (RFC 8446 4.2.4), so that is how they
are compared: in the spelling of RFC 4514, as ``cryptography`` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

# What people write between two parts, and RFC 4514 does not.
_BLANKS = re.compile(r"(?<!\\),\s+")


def normal_subject(text: str) -> str | None:
    """A subject as an operator writes it, in the spelling that compares here; None for no subject."""
    try:
        return x509.Name.from_rfc4514_string(_BLANKS.sub(",", text.strip())).rfc4514_string()
    except ValueError:
        return None


@lru_cache(maxsize=512)
def spelled(name: bytes) -> str:
    """The RFC 4514 spelling of a DER name; ``(unreadable)`` where it is none."""
    try:
        return x509.Name.from_bytes(name).rfc4514_string()
    except ValueError:
        return "(unreadable)"


@lru_cache(maxsize=1024)
def chain_ders(chain_pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM chain as DER."""
    return tuple(each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(chain_pem))


@lru_cache(maxsize=1024)
def issuers_of(chain_pem: bytes) -> tuple[str, ...]:
    """Every issuer on a chain's way up, the leaf's first: any of them, accepted, makes the chain good."""
    chain = x509.load_pem_x509_certificates(chain_pem)
    return tuple(dict.fromkeys(each.issuer.rfc4514_string() for each in chain))


def would_accept(accepted: Collection[str], issuers: Collection[str]) -> bool:
    """Whether a peer that names ``accepted`` takes a chain of these issuers; one that names nobody may."""
    return not accepted or not set(accepted).isdisjoint(issuers)
