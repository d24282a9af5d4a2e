"""The outer shape of a revocation list, taken apart without reading every entry as an object.

The library that reads certificates takes a list of a hundred thousand entries in one step in
which no other thread of the interpreter runs, and verifies it by writing it all out again: a
third of a second. So the list is cut: the signed bytes as they are, the same list without its
entries, which the library reads in no time, and the entries, which are walked one by one. All of it
is checked against the end of the data; what does not fit is Unusable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sbc.tls.revocation.finding import Unusable
from sbc.tls.tlv import SEQUENCE, element, elements, sequence, within

_INTEGER = 0x02
_TIMES = (0x17, 0x18)
# BOOLEAN TRUE, as DER writes it: every critical extension carries it.
_TRUE = b"\x01\x01\xff"
_VERSION_2, _ANY_TIME, _NO_BITS = b"\x02\x01\x01", b"\x17\x0d700101000000Z", b"\x03\x01\x00"


@dataclass(frozen=True, slots=True)
class Cut:
    """A revocation list: its signed bytes, the list without entries, and where the entries lie."""

    data: bytes
    signed: bytes
    head: bytes
    first: int
    end: int


def cut_list(data: bytes) -> Cut:
    """Cut a DER CertificateList (RFC 5280 5.1); Unusable where it is none."""
    try:
        return _cut(data)
    except (IndexError, ValueError):
        raise Unusable("this is no revocation list", "give a CRL, PEM or DER") from None


def entries(cut: Cut) -> Iterator[tuple[int, bool]]:
    """The serial of each entry, and whether the entry has a critical extension; Unusable where malformed."""
    data, at = cut.data, cut.first
    try:
        while at < cut.end:
            tag, start, at = element(data, at, cut.end)
            kind, begin, end = element(data, start, at)
            if tag != SEQUENCE or kind != _INTEGER:
                raise ValueError("no entry")
            yield int.from_bytes(data[begin:end], "big", signed=True), data.find(_TRUE, end, at) >= 0
    except (IndexError, ValueError):
        raise Unusable("an entry of the revocation list is malformed", "let the CA publish it anew") from None


def key_bits(spki: bytes) -> bytes:
    """The key itself of a SubjectPublicKeyInfo: what a CertID hashes (RFC 6960 4.1.1)."""
    _, start, end = element(spki, 0, len(spki))
    _, _, after = element(spki, start, end)
    _, bits, last = element(spki, after, end)
    return spki[bits + 1 : last]


def pss_of_answer(data: bytes) -> bytes:
    """The signature algorithm of an OCSP response (RFC 6960 4.2.1), in the head of a list for who reads that.

    The library that reads answers knows no RSASSA-PSS (RFC 4055), and of a list's signature it does.
    IndexError or ValueError where it is no response.
    """
    _, body = elements(within(data))
    _, basic = elements(within(within(body)))
    _, algorithm, *_ = elements(within(within(basic)))
    return sequence(sequence(_VERSION_2 + algorithm + sequence(b"") + _ANY_TIME) + algorithm + _NO_BITS)


def _cut(data: bytes) -> Cut:
    tag, start, end = element(data, 0, len(data))
    signed_tag, inner, signed_end = element(data, start, end)
    if tag != SEQUENCE or signed_tag != SEQUENCE or end != len(data):
        raise ValueError("no CertificateList")
    if _algorithm(data, inner, signed_end) != _whole(data, signed_end, end):
        raise ValueError("two signature algorithms")
    begin, first, last = _entries(data, inner, signed_end)
    shorter = data[inner:begin] + data[last:signed_end]
    head = sequence(sequence(shorter) + data[signed_end:end])
    return Cut(data, data[start:signed_end], head, first, last)


def _algorithm(data: bytes, at: int, end: int) -> bytes:
    """The signature algorithm inside the signed part, which must be that outside (RFC 5280 5.1.1.2)."""
    tag, _, after = element(data, at, end)
    return _whole(data, after if tag == _INTEGER else at, end)


def _whole(data: bytes, at: int, limit: int) -> bytes:
    return data[at : element(data, at, limit)[2]]


def _entries(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Where revokedCertificates lies: the SEQUENCE that follows the times; empty where there is none."""
    timed = False
    while at < end:
        tag, start, after = element(data, at, end)
        if timed and tag == SEQUENCE:
            return at, start, after
        if timed and tag not in _TIMES:
            return at, at, at
        timed = timed or tag in _TIMES
        at = after
    return end, end, end
