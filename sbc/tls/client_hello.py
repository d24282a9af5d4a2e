"""What a ClientHello offers, to explain a handshake that found nothing in common. Nothing is decided by it.

OpenSSL says "no shared cipher" for a cipher, for a key of a kind that the peer does not take and for a curve
alike; what the peer said first tells them apart (RFC 8446 4.1.2, RFC 5246 7.4.1.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sbc.tls.groups import group_named

TLS12, TLS13 = 0x0303, 0x0304
_HANDSHAKE, _CLIENT_HELLO = 0x16, 1
_GROUPS, _SIGNATURES, _VERSIONS = 10, 13, 43
_VERSION_NAMES = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The numbers of the IANA registries that a client offers; None where it sends no such extension.

    ``groups`` are by name. A client without ``versions`` offers everything up to ``legacy_version``.
    """

    legacy_version: int
    ciphers: tuple[int, ...]
    groups: tuple[str, ...] | None = None
    signatures: tuple[int, ...] | None = None
    versions: tuple[int, ...] | None = None

    def offers(self, version: int) -> bool:
        """Whether a version is among what the client offers."""
        if self.versions is not None:
            return version in self.versions
        return version <= min(self.legacy_version, TLS12)

    @property
    def best(self) -> str:
        """The name of the highest version offered."""
        known = [each for each in self.versions or (self.legacy_version,) if each in _VERSION_NAMES]
        return _VERSION_NAMES[max(known)] if known else "no version that is known"


class _Cut(Exception):
    """There is less than a length says."""


def read_client_hello(first: bytes) -> ClientHello | None:
    """The ClientHello that the octets ``first`` of a connection hold whole; None where they do not."""
    try:
        return _read(_message(first))
    except _Cut:
        return None


def _message(data: bytes) -> bytes:
    """The handshake message that begins the stream, out of as many records as it takes."""
    message = b""
    while data:
        if data[0] != _HANDSHAKE:
            raise _Cut
        fragment, data = _vector(data[3:], 2)
        message += fragment
        if len(message) >= 4 and message[0] == _CLIENT_HELLO:
            size = 4 + int.from_bytes(message[1:4], "big")
            if len(message) >= size:
                return message[4:size]
    raise _Cut


def _read(body: bytes) -> ClientHello:
    legacy_version = int.from_bytes(body[:2], "big")
    _, rest = _vector(body[34:], 1)  # the session id, behind the random
    ciphers, rest = _vector(rest, 2)
    _, rest = _vector(rest, 1)  # compression
    found = dict(_extensions(_vector(rest, 2)[0])) if rest else {}
    groups, signatures, versions = (found.get(each) for each in (_GROUPS, _SIGNATURES, _VERSIONS))
    return ClientHello(
        legacy_version,
        _numbers(ciphers),
        None if groups is None else tuple(map(group_named, _numbers(_vector(groups, 2)[0]))),
        None if signatures is None else _numbers(_vector(signatures, 2)[0]),
        None if versions is None else _numbers(_vector(versions, 1)[0]),
    )


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        value, rest = _vector(data[2:], 2)
        yield int.from_bytes(data[:2], "big"), value
        data = rest


def _vector(data: bytes, width: int) -> tuple[bytes, bytes]:
    """What a length of ``width`` octets announces, and what follows it (RFC 8446 3.4)."""
    end = width + int.from_bytes(data[:width], "big")
    if len(data) < end:
        raise _Cut
    return data[width:end], data[end:]


def _numbers(data: bytes) -> tuple[int, ...]:
    # Values that nobody has (GREASE, RFC 8701) say nothing of who sends them.
    pairs = (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2))
    return tuple(each for each in pairs if each & 0x0F0F != 0x0A0A)
