"""SDES: the ``a=crypto`` attribute that carries SRTP keys in SDP (RFC 4568, RFC 6188, RFC 7714 section 14).

A line is either usable or not; there is no half. A line is unusable when anything in it would
change how packets are protected and we do not do that: no encryption, no authentication, a key
derivation rate, FEC order, several keys, or an MKI other than the one-byte value 1 which
Microsoft Teams writes. An unusable line is skipped, and what that means is the caller's policy.

AES-256 in counter mode had another name in the drafts of RFC 6188, which many peers still write. It is
read as the suite that it is, and answered as it was written (RFC 4568 5.1.3).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field

from sbc.base import PeerError

#: Bytes of master key and of master salt, by suite (RFC 4568 6.2, RFC 6188 6, RFC 7714 14.2).
KEY_LENGTHS = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
#: Suites by what they were called before their RFC.
_FORMER_NAMES = {
    "AES_CM_256_HMAC_SHA1_80": "AES_256_CM_HMAC_SHA1_80",
    "AES_CM_256_HMAC_SHA1_32": "AES_256_CM_HMAC_SHA1_32",
}
MAX_LIFETIME = 2**48
_MKI = "1:1"


@dataclass(frozen=True, slots=True)
class CryptoLine:
    """One ``a=crypto`` line; ``key`` is master key and salt, ``mki`` the bytes that packets carry.

    ``written`` is how the peer spells the suite, '' as we do. The key is never shown in a repr.
    """

    tag: int
    suite: str
    key: bytes = field(repr=False)
    lifetime: int | None = None
    mki: bytes = b""
    written: str = ""

    def __str__(self) -> str:
        return f"crypto:{self.tag} {self.suite}"


def parse_crypto(value: str) -> CryptoLine:
    """Parse what follows ``a=crypto:``; raises PeerError(488) with the reason, never with the key."""
    fields = value.split()
    if len(fields) < 3:
        raise _unusable("too few fields")
    tag, suite, keys = fields[:3]
    if not (tag.isascii() and tag.isdigit() and len(tag) <= 9):
        raise _unusable("tag is not a number of up to nine digits")
    spelled = suite if suite in _FORMER_NAMES else ""
    suite = _FORMER_NAMES.get(suite, suite)
    length = KEY_LENGTHS.get(suite)
    if length is None:
        raise _unusable("suite is unknown")
    if len(fields) > 3:
        _check_parameters(fields[3:])
    method, _, inline = keys.partition(":")
    if method.lower() != "inline" or ";" in inline:
        raise _unusable("not exactly one inline key")
    written, *rest = inline.split("|")
    lifetime, mki = _lifetime_and_mki(rest) if rest else (None, b"")
    # Some peers leave the padding of the GCM keys off; it carries nothing.
    written = written.rstrip("=")
    try:
        key = b64decode(written + "=" * (-len(written) % 4), validate=True)
    except (Base64Error, ValueError):
        raise _unusable("key is not base64") from None
    if len(key) != length:
        raise _unusable(f"key is not {length} bytes long")
    return CryptoLine(int(tag), suite, key, lifetime, mki, spelled)


def format_crypto(line: CryptoLine) -> str:
    """Format the value of the ``crypto`` attribute, with its key: for SDP alone, never for a log."""
    return f"{line.tag} {line.written or line.suite} inline:{b64encode(line.key).decode()}"


def _unusable(reason: str) -> PeerError:
    return PeerError(f"crypto line cannot be used: {reason}", 488)


def _check_parameters(parameters: list[str]) -> None:
    # WSH is only a hint to size the replay window; every other parameter changes the packets.
    for each in parameters:
        name, equals, size = each.partition("=")
        if name.upper() != "WSH" or not equals or not (size.isascii() and size.isdigit()):
            raise _unusable("a session parameter is not supported")


def _lifetime_and_mki(parts: list[str]) -> tuple[int | None, bytes]:
    if len(parts) > 2:
        raise _unusable("too many key parameters")
    mki = b""
    if parts and ":" in parts[-1]:
        if parts.pop() != _MKI:
            raise _unusable("an MKI other than 1:1 is not supported")
        mki = b"\x01"
    if len(parts) > 1:
        raise _unusable("an MKI other than 1:1 is not supported")
    return (_lifetime(parts[0]) if parts else None), mki


def _lifetime(text: str) -> int:
    power = text.startswith("2^")
    digits = text[2:] if power else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise _unusable("lifetime is not a number")
    if power and int(digits) > 48:
        raise _unusable("lifetime is above 2^48")
    lifetime = 2 ** int(digits) if power else int(digits)
    if not 0 < lifetime <= MAX_LIFETIME:
        raise _unusable("lifetime is not between 1 and 2^48")
    return lifetime
