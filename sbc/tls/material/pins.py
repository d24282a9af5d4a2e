"""A pinned public key: the SHA-256 of its SubjectPublicKeyInfo (RFC 7469 2.4), in either spelling."""

from __future__ import annotations

import base64
import re

_HEX = re.compile(r"sha256/([0-9a-f]{64})\Z", re.IGNORECASE)
_BASE64 = re.compile(r"sha256//?([A-Za-z0-9+/]{43}=)\Z")
HOW = (
    "openssl x509 -in FILE -noout -pubkey | openssl pkey -pubin -outform der | sha256sum "
    "gives the digits; write sha256/DIGITS"
)


def parse_pin(text: str) -> str:
    """``sha256/`` and 64 lower-case hexadecimal digits, from those or from base64; ValueError otherwise."""
    if found := _HEX.match(text):
        return "sha256/" + found[1].lower()
    if found := _BASE64.match(text):
        return "sha256/" + base64.b64decode(found[1]).hex()
    raise ValueError(f"the pin is not sha256/ and 64 hexadecimal digits: {HOW}")
