"""Reading a certificate that somebody has verified, also where its names are spelled as the library forbids.

X.509 restricts each kind of string, and those who made certificates for years did not: a ``_``, ``*`` or
``@`` in a PrintableString, Latin-1 in a TeletexString. So did an old Java with the parameters of ECDSA.
OpenSSL reads all of it; the library nothing of such a certificate. Then it is given one with the same text in
strings that hold any, to be read and never to be sent or verified.
"""

from __future__ import annotations

from cryptography import x509

from sbc.tls.tlv import elements, sequence, tagged, within

_VERSION = 0xA0
_UTF8, _PRINTABLE, _TELETEX, _IA5 = 0x0C, 0x13, 0x14, 0x16
_LATIN = (_PRINTABLE, _TELETEX, _IA5)
_ECDSA = bytes.fromhex("06082a8648ce3d0403")  # ecdsa-with-SHA2 (RFC 5758 3.2)


def load(der: bytes) -> x509.Certificate:
    """The certificate for whoever reads it; raises what the library does (``certificate.UNREADABLE``)."""
    try:
        return with_names(x509.load_der_x509_certificate(der))
    except ValueError:
        pass
    try:
        return x509.load_der_x509_certificate(_readable(der))
    except IndexError:
        raise ValueError("the certificate is cut short") from None


def with_names(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate itself; ValueError where the library does not read its names, which it does late."""
    _ = certificate.subject, certificate.issuer
    return certificate


def _readable(der: bytes) -> bytes:
    """The same certificate as far as it says something. IndexError, ValueError."""
    signed, algorithm, *signature = elements(within(der))
    parts = list(elements(within(signed)))
    first = int(
        parts[0][0] == _VERSION
    )  # which the oldest lack; then serial, algorithm, issuer, validity, subject
    for at, part in ((1, _algorithm), (2, _name), (4, _name)):
        parts[first + at] = part(parts[first + at])
    return sequence(sequence(b"".join(parts)) + _algorithm(algorithm) + b"".join(signature))


def _algorithm(whole: bytes) -> bytes:
    name, *parameters = elements(within(whole))
    return sequence(name + (b"" if name.startswith(_ECDSA) else b"".join(parameters)))


def _name(whole: bytes) -> bytes:
    relative = (
        tagged(each[0], b"".join(map(_attribute, elements(within(each))))) for each in elements(within(whole))
    )
    return sequence(b"".join(relative))


def _attribute(whole: bytes) -> bytes:
    kind, value = elements(within(whole))
    return sequence(kind + _string(value))


def _string(value: bytes) -> bytes:
    if value[0] not in _LATIN:
        return value
    return tagged(_UTF8, within(value).decode("latin-1").encode())
