"""Digest arithmetic: RFC 2617 and 7616 as SIP uses them (RFC 3261 22), with RFC 8760's SHA-256.

Everything that both sides share: reading and writing the two header values, and the response
hash. Who may pass is decided in ``digest_server``; what we answer, in ``digest_client``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5, sha256

from sbc.sip.grammar import BLANKS, TOKEN, ParseError, quote, unescape

_HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: sha256(data).hexdigest(),
}
ALGORITHMS = ("SHA-256", "MD5", "SHA-256-sess", "MD5-sess")

_PARAMETER = re.compile(
    rf'([{TOKEN}]++)[ \t]*+=[ \t]*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*)"|([^ \t",;]++))[ \t]*+(?:,[, \t]*+|$)',
    re.DOTALL,
).match
_COUNT = re.compile(r"[0-9a-f]{8}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate value."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False

    def __str__(self) -> str:
        parts = [f"realm={quote(self.realm)}", f"nonce={quote(self.nonce)}"]
        if self.opaque is not None:
            parts.append(f"opaque={quote(self.opaque)}")
        parts.append(f"algorithm={self.algorithm}")
        if self.qop:
            parts.append(f'qop="{",".join(self.qop)}"')
        if self.stale:
            parts.append("stale=true")
        return "Digest " + ", ".join(parts)


@dataclass(slots=True, init=False)
class Credentials:
    """One Authorization or Proxy-Authorization value; ``nc`` is the nonce count, 0 where absent.

    A value, made for each request that proves a password: hence compiled, as ``dataclass`` would not make it.
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str = field(repr=False)
    algorithm: str
    qop: str | None
    cnonce: str
    nc: int
    opaque: str | None

    def __init__(
        self, username: str, realm: str, nonce: str, uri: str, response: str, algorithm: str = "MD5",
        qop: str | None = None, cnonce: str = "", nc: int = 0, opaque: str | None = None,
    ) -> None:  # fmt: skip
        self.username = username
        self.realm = realm
        self.nonce = nonce
        self.uri = uri
        self.response = response
        self.algorithm = algorithm
        self.qop = qop
        self.cnonce = cnonce
        self.nc = nc
        self.opaque = opaque

    def __str__(self) -> str:
        parts = [
            f"username={quote(self.username)}",
            f"realm={quote(self.realm)}",
            f"nonce={quote(self.nonce)}",
            f"uri={quote(self.uri)}",
            f'response="{self.response}"',
            f"algorithm={self.algorithm}",
        ]
        if self.qop is not None:
            parts += [f"qop={self.qop}", f"nc={self.nc:08x}", f"cnonce={quote(self.cnonce)}"]
        if self.opaque is not None:
            parts.append(f"opaque={quote(self.opaque)}")
        return "Digest " + ", ".join(parts)


def parse_challenge(value: str) -> Challenge:
    """Read a challenge; ParseError where it is not a Digest one or lacks realm or nonce."""
    found = _parameters(value)
    return Challenge(
        realm=_required(found, "realm"),
        nonce=_required(found, "nonce"),
        algorithm=_algorithm(found.get("algorithm", "MD5")),
        qop=tuple(each.strip().lower() for each in found.get("qop", "").split(",") if each.strip()),
        opaque=found.get("opaque"),
        stale=found.get("stale", "").lower() == "true",
    )


def parse_credentials(value: str) -> Credentials:
    """Read credentials; ParseError where they are not Digest, lack a part or are malformed."""
    found = _parameters(value)
    qop = found.get("qop")
    count = found.get("nc", "00000000")
    if not _COUNT.fullmatch(count):
        raise ParseError("the nonce count nc is not eight hexadecimal digits")
    if qop is not None and not ("cnonce" in found and "nc" in found):
        raise ParseError("digest credentials with qop lack cnonce or nc")
    return Credentials(
        username=_required(found, "username"),
        realm=_required(found, "realm"),
        nonce=_required(found, "nonce"),
        uri=_required(found, "uri"),
        response=_required(found, "response").lower(),
        algorithm=_algorithm(found.get("algorithm", "MD5")),
        qop=qop.lower() if qop is not None else None,
        cnonce=found.get("cnonce", ""),
        nc=int(count, 16),
        opaque=found.get("opaque"),
    )


def proves_nothing(value: str) -> bool:
    """Whether credentials only say who asks, and have no response yet, as phones of an IMS send at first."""
    try:
        return not _parameters(value).get("response")
    except ParseError:
        return False


def hash_of(algorithm: str, *parts: str) -> str:
    """Return the hexadecimal hash of ``parts`` joined by colons; KeyError for an unknown algorithm."""
    text = ":".join(parts).encode("utf-8", "surrogateescape")
    return _HASHES[algorithm.removesuffix("-sess")](text)


def hash_of_body(algorithm: str, body: bytes) -> str:
    """Return the hexadecimal hash of ``body``, as auth-int wants it."""
    return _HASHES[algorithm.removesuffix("-sess")](body)


def user_hash(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return H(username:realm:password): all that needs to be stored of a password, and as secret."""
    return hash_of(algorithm, username, realm, password)


def response_hash(user: str, credentials: Credentials, method: str, body: bytes = b"") -> str:
    """Return what ``credentials.response`` must be, given the ``user_hash`` (RFC 7616 3.4.1)."""
    name = credentials.algorithm
    if name.endswith("-sess"):
        user = hash_of(name, user, credentials.nonce, credentials.cnonce)
    request = [method, credentials.uri]
    if credentials.qop == "auth-int":
        request.append(hash_of_body(name, body))
    middle = [credentials.nonce]
    if credentials.qop is not None:
        middle += [f"{credentials.nc:08x}", credentials.cnonce, credentials.qop]
    return hash_of(name, user, *middle, hash_of(name, *request))


def _parameters(value: str) -> dict[str, str]:
    scheme, _, rest = value.strip(BLANKS).partition(" ")
    if scheme.lower() != "digest":
        raise ParseError("the authentication scheme is not Digest")
    found: dict[str, str] = {}
    rest = rest.strip(BLANKS)
    at = 0
    while at < len(rest):
        name, said, at = _plain_parameter(rest, at) or _parameter(rest, at)
        if name in found:
            raise ParseError("a digest parameter stands twice")
        found[name] = said
    return found


def _parameter(text: str, at: int) -> tuple[str, str, int]:
    """The parameter at ``at``: its name in lower case, its value, and where the next one begins."""
    match = _PARAMETER(text, at)
    if match is None:
        raise ParseError("malformed digest parameters")
    name, quoted, token = match.groups()
    return name.lower(), token if quoted is None else unescape(quoted), match.end()


def _plain_parameter(text: str, at: int) -> tuple[str, str, int] | None:
    """The same of one that is written as nearly all are, for a seventh of what a pattern takes; None else."""
    equals = text.find("=", at)
    name = text[at:equals]
    if equals < 0 or not (name.isalnum() and name.isascii()):
        return None
    if text.startswith('"', equals + 1):
        close = text.find('"', equals + 2)
        said, end = text[equals + 2 : close], close + 1
        if close < 0 or "\\" in said:
            return None
    else:
        end = text.find(",", equals)
        end = end if end >= 0 else len(text)
        said = text[equals + 1 : end]
        if not (said.isalnum() and said.isascii()):
            return None
    if end == len(text):
        return name.lower(), said, end
    if not text.startswith(",", end):
        return None
    end += 1
    while text.startswith((" ", ",", "\t"), end):
        end += 1
    return name.lower(), said, end


def _required(found: dict[str, str], name: str) -> str:
    value = found.get(name)
    if value is None:
        raise ParseError(f"the digest parameter {name} is missing")
    return value


def _algorithm(name: str) -> str:
    for known in ALGORITHMS:
        if known.lower() == name.lower():
            return known
    return name
