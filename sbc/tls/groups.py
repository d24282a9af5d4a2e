"""Key-exchange groups (RFC 8446 4.2.7) by one name each, whichever spelling is used."""

from __future__ import annotations

_SPELLINGS = {
    "secp256r1": "P-256",
    "prime256v1": "P-256",
    "secp384r1": "P-384",
    "secp521r1": "P-521",
    "x25519": "X25519",
    "x448": "X448",
    "p-256": "P-256",
    "p-384": "P-384",
    "p-521": "P-521",
}


def normal_group(name: str) -> str:
    """The spelling that the configuration uses: X25519, P-256, X25519MLKEM768."""
    known = _SPELLINGS.get(name.lower())
    if known is not None:
        return known
    return "SecP" + name[4:] if name[:4].lower() == "secp" else name.upper()
