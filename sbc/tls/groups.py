"""Key-exchange groups (RFC 8446 4.2.7) by one name each, whichever spelling is used."""

from __future__ import annotations

from functools import lru_cache

# What a trunk's `groups` may name.
GROUPS = (
    "X25519MLKEM768",
    "SecP256r1MLKEM768",
    "SecP384r1MLKEM1024",
    "X25519",
    "X448",
    "P-256",
    "P-384",
    "P-521",
)
# Over TLS 1.2 these bound the curves of certificates too (RFC 8422 5.1.1), and many are on P-384.
DEFAULT_GROUPS = ("X25519MLKEM768", "X25519", "P-256", "P-384")
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
# The IANA registry of TLS supported groups.
_NUMBERS = {
    23: "P-256",
    24: "P-384",
    25: "P-521",
    26: "brainpoolP256r1",
    27: "brainpoolP384r1",
    28: "brainpoolP512r1",
    29: "X25519",
    30: "X448",
    256: "ffdhe2048",
    257: "ffdhe3072",
    4587: "SecP256r1MLKEM768",
    4588: "X25519MLKEM768",
    4589: "SecP384r1MLKEM1024",
}


@lru_cache(maxsize=256)
def normal_group(name: str) -> str:
    """The spelling that the configuration uses: X25519, P-256, X25519MLKEM768."""
    known = _SPELLINGS.get(name.lower())
    if known is not None:
        return known
    return "SecP" + name[4:] if name[:4].lower() == "secp" else name.upper()


def group_named(number: int) -> str:
    """The name of a group in a ClientHello, ``group N`` where it is none that anybody here has heard of."""
    return _NUMBERS.get(number, f"group {number}")
