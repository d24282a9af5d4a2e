"""A certificate's extensions, also where the library that reads them is stricter than whoever verifies.

It reads all of them or none, in DER to the letter, and knows not all that there are. OpenSSL takes what
home-made CAs write, such as ``CA:FALSE`` spelled out or with a path length (RFC 5280 4.2.1.9), and is not
concerned with unknown TLS features (RFC 7633) nor with a broken extension that nobody asks for. What it has
verified is not to be refused for those. So where the library gives up, it is given what we ask about alone,
put right; what is wrong with that is still an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.tls.tlv import elements, sequence, tagged, within

# What it raises for an extension that it does not read; KeyError for a TLS feature that it has no name for.
_GIVES_UP = (ValueError, KeyError, x509.UnsupportedGeneralNameType)
_ID_CE, _ID_PE = "0603551d", "06082b06010505070"  # 2.5.29 (RFC 5280 4.2.1), 1.3.6.1.5.5.7
_BASIC_CONSTRAINTS, _NAMES = bytes.fromhex(_ID_CE + "13"), bytes.fromhex(_ID_CE + "11")
_TLS_FEATURE = bytes.fromhex(_ID_PE + "118")
# Identifiers and uses of the key, constraints of names, where lists and responders are, id-pkix-ocsp-nocheck.
_OTHERS_ASKED_ABOUT = frozenset(
    map(
        bytes.fromhex,
        (*(_ID_CE + each for each in ("0e", "0f", "1e", "1f", "23", "25")), _ID_PE + "101",
         "06092b0601050507300105"),
    )
)  # fmt: skip
_EXTENSIONS, _TRUE_OR_FALSE = 0xA3, b"\x01"
# Of a GeneralName (RFC 5280 4.2.1.6) what names no host: x400Address and ediPartyName.
_NO_HOSTS = (0xA3, 0xA5)
# status_request and status_request_v2 (RFC 7633 4.1).
_FEATURES = (b"\x02\x01\x05", b"\x02\x01\x11")


def extensions_of(certificate: x509.Certificate) -> x509.Extensions:
    """The extensions of a certificate, at least those that are asked about here.

    Raises what the library does (``certificate.UNREADABLE``) where one of those is malformed.
    """
    try:
        return certificate.extensions
    except _GIVES_UP as error:
        try:
            right = _put_right(certificate)
        except IndexError:
            raise ValueError("an extension is cut short") from error
        return x509.load_der_x509_certificate(right).extensions


def _put_right(certificate: x509.Certificate) -> bytes:
    """The certificate with those extensions alone; its signature is over another. IndexError, ValueError."""
    signed, *outside = elements(within(certificate.public_bytes(Encoding.DER)))
    parts = (
        tagged(_EXTENSIONS, sequence(b"".join(_asked_about(within(within(each))))))
        if each[0] == _EXTENSIONS
        else each
        for each in elements(within(signed))
    )
    return sequence(sequence(b"".join(parts)) + b"".join(outside))


def _asked_about(found: bytes) -> Iterator[bytes]:
    for each in elements(found):
        name, *critical, value = elements(within(each))
        held = _value(name, within(value))
        if held is not None:
            yield sequence(b"".join((name, *critical, tagged(value[0], held))))


def _value(name: bytes, value: bytes) -> bytes | None:
    """What stands in an extension, put right; None for one that nobody asks about."""
    if name == _BASIC_CONSTRAINTS:
        return value if _is_ca(value) else sequence(b"")
    if name == _NAMES:
        return _only(value, lambda each: each[0] not in _NO_HOSTS)
    if name == _TLS_FEATURE:
        known = _only(value, lambda each: each in _FEATURES)
        return known if within(known) else None
    return value if name in _OTHERS_ASKED_ABOUT else None


def _is_ca(constraints: bytes) -> bool:
    # Whoever is none needs no path length; every value of a BOOLEAN but 0 is true (X.690 8.2.2).
    first = next(elements(within(constraints)), b"")
    return first[:1] == _TRUE_OR_FALSE and within(first) != b"\0"


def _only(listed: bytes, wanted: Callable[[bytes], bool]) -> bytes:
    return sequence(b"".join(each for each in elements(within(listed)) if wanted(each)))
