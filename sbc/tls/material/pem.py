"""Files of certificates and keys: what is really in one, said in the operator's terms.

A file in the wrong place is the commonest mistake with TLS, and "no PEM certificate" explains none
of them. So a file that does not hold what is expected is looked at again: what it is, and the one
command that makes of it what belongs there. Certificates may be PEM or DER; keys are PEM.
"""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.tls.material.certificate import UNREADABLE
from sbc.tls.material.problems import Problem, read_pem_file
from sbc.tls.material.reading import load, with_names

Wanted = Literal["chain", "ca", "leaf", "pin"]
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----([^-]++)-----END CERTIFICATE-----")
_KEY_LABELS = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")
# What another PEM label is, and what to do where certificates are expected.
_OTHERS = {
    "CERTIFICATE REQUEST": ("a certificate request", "send it to the CA and put here what it issues"),
    "NEW CERTIFICATE REQUEST": ("a certificate request", "send it to the CA and put here what it issues"),
    "X509 CRL": ("a revocation list", "it belongs under `crl:` of the CA's trust entry"),
    "PKCS7": ("a PKCS#7 bundle", "openssl pkcs7 -in FILE -print_certs -out FILE.pem, and name FILE.pem here"),
    "CMS": ("a PKCS#7 bundle", "openssl pkcs7 -in FILE -print_certs -out FILE.pem, and name FILE.pem here"),
    "PUBLIC KEY": ("a public key", "put the certificate here; a bare key is pinned with `pin:`"),
    "TRUSTED CERTIFICATE": (
        "a certificate with OpenSSL's trust settings",
        "openssl x509 -in FILE -out FILE.pem, and name FILE.pem here",
    ),
    "OPENSSH PRIVATE KEY": ("an OpenSSH key", "TLS wants the key that the certificate was requested with"),
}
# How binary files begin, within their first bytes: PKCS#12's version 3, PKCS#7's signedData.
_PKCS12 = re.compile(rb"\x30.{1,5}?\x02\x01\x03\x30", re.DOTALL)
# The algorithm pbeWithSHAAnd40BitRC2-CBC (RFC 7292 C), which stands in the clear.
_RC2 = bytes.fromhex("060a2a864886f70d010c0106")
_PKCS7 = re.compile(rb"\x30.{1,5}?\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", re.DOTALL)


def labels(data: bytes) -> list[str]:
    """The label of every PEM block, in order."""
    return [each.decode() for each in _LABEL.findall(data)]


def has_key(data: bytes) -> bool:
    """True where a PEM private key is in the file."""
    return any(each in _KEY_LABELS for each in labels(data))


def read_certificates(
    path: str, directory: Path, wanted: Wanted = "chain"
) -> tuple[list[x509.Certificate], list[Problem]]:
    """Every certificate of a PEM or DER file; a file without one is a problem that says what it is.

    ``wanted`` is what belongs there: an identity's ``chain``, or the kind of a trust entry.
    """
    data, problems = read_pem_file(path, directory)
    if data is None:
        return [], problems
    try:
        certificates = (
            x509.load_pem_x509_certificates(data)
            if b"-----BEGIN" in data
            else [x509.load_der_x509_certificate(data)]
        )
        for each in certificates:
            with_names(each).public_key()
    except UNREADABLE:
        return [], [Problem(path, *_explain(data, path, wanted))]
    return _distinct(path, certificates)


def _distinct(
    path: str, certificates: list[x509.Certificate]
) -> tuple[list[x509.Certificate], list[Problem]]:
    kept = list(dict.fromkeys(certificates))
    problems = []
    for each in kept:
        if certificates.count(each) > 1:
            message = f"{each.subject.rfc4514_string()} is in the file more than once"
            problems.append(Problem(path, message, "remove the repetition", fatal=False))
    return kept, problems


def _explain(data: bytes, path: str, wanted: Wanted) -> tuple[str, str]:
    """What a file is that holds no readable certificate, and the remedy."""
    if not data.strip():
        return "the file is empty", "put the certificate here, in PEM"
    found = labels(data)
    if "CERTIFICATE" in found:
        if _oddly_spelled(data):
            what = "a name in it is spelled in characters that its kind of string has not (RFC 5280 4.1.2.4)"
            return what, "ask its CA for a certificate with its names in UTF8String"
        return "a certificate in it is damaged", f"copy it again, whole: openssl x509 -in {path} -noout -text"
    for label in found:
        if label in _OTHERS:
            what, remedy = _OTHERS[label]
            return f"this is {what} where certificates belong", _for_file(remedy, path)
    return _explain_binary(data, path, wanted)


def _oddly_spelled(data: bytes) -> bool:
    """Whether all that is wrong with a file of certificates is how their names are written."""
    blocks = _CERTIFICATE.findall(data)
    try:
        return bool(blocks) and all(load(b64decode(b"".join(each.split()), validate=True)) for each in blocks)
    except UNREADABLE:
        return False


def _explain_binary(data: bytes, path: str, wanted: Wanted) -> tuple[str, str]:
    if (encoding := _wide(data)) is not None:
        return f"this is a text in {encoding}, as Windows writes it", _for_file(_narrow(encoding), path)
    if _PKCS12.match(data):
        return "this is a PKCS#12 file (.p12, .pfx)", _for_file(_unpack(data, wanted), path)
    if _PKCS7.match(data):
        remedy = "openssl pkcs7 -inform der -in FILE -print_certs -out FILE.pem, and name FILE.pem here"
        return "this is a PKCS#7 bundle (.p7b)", _for_file(remedy, path)
    return "no certificate can be read here", _for_file("openssl x509 -in FILE -noout -text shows one", path)


def _wide(data: bytes) -> str | None:
    """The encoding of a PEM file in UTF-16, as iconv calls it; None for any other."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    for encoding in ("UTF-16LE", "UTF-16BE"):
        at = data.find("-----BEGIN".encode(encoding))
        if at >= 0 and at % 2 == 0:
            return encoding
    return None


def _narrow(encoding: str) -> str:
    return f"iconv -f {encoding} -t UTF-8 FILE > FILE.pem, and name FILE.pem here"


def _unpack(data: bytes, wanted: Wanted) -> str:
    """The commands that make of a PKCS#12 file what belongs in its place."""
    start = f"openssl pkcs12{_legacy(data)} -in FILE"
    if wanted == "chain":
        more = f"{start} -nocerts -noenc -out FILE.key"
        return f"{start} -nokeys -out FILE.pem && {more}, and name FILE.pem in `chain`, FILE.key in `key`"
    which = "-cacerts" if wanted == "ca" else "-clcerts"
    return f"{start} {which} -nokeys -out FILE.pem, and name FILE.pem here"


def _legacy(data: bytes) -> str:
    # Windows and old Java encrypt with RC2, which OpenSSL 3 reads on demand only.
    return " -legacy" if _RC2 in data else ""


def explain_key(data: bytes, path: str) -> tuple[str, str]:
    """What a file is that holds no readable PEM private key, and the remedy."""
    if not data.strip():
        return "the file is empty", "put the private key here, in PEM"
    found = labels(data)
    if "CERTIFICATE" in found:
        return "this is a certificate where the key belongs", "swap `chain` and `key`"
    for label in found:
        if label in _OTHERS:
            what, _ = _OTHERS[label]
            return f"this is {what} where the key belongs", "put the key of the certificate here, in PEM"
    if (encoding := _wide(data)) is not None:
        return f"this is a text in {encoding}, as Windows writes it", _for_file(_narrow(encoding), path)
    if _PKCS12.match(data):
        remedy = (
            f"openssl pkcs12{_legacy(data)} -in FILE -nocerts -noenc -out FILE.pem, and name FILE.pem here"
        )
        return "this is a PKCS#12 file (.p12, .pfx)", _for_file(remedy, path)
    if data[:1] == b"\x30":
        remedy = "openssl pkey -inform der -in FILE -out FILE.pem, and name FILE.pem here"
        return "this looks like a key in DER; keys are read as PEM", _for_file(remedy, path)
    return "no PEM private key can be read here", _for_file("openssl pkey -in FILE shows if it is one", path)


def _for_file(remedy: str, path: str) -> str:
    return remedy.replace("FILE", path)


def encode(certificates: list[x509.Certificate]) -> list[bytes]:
    """Each certificate as DER."""
    return [each.public_bytes(Encoding.DER) for each in certificates]
