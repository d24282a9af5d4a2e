"""Whether two URIs mean the same contact (RFC 3261 19.1.4)."""

from __future__ import annotations

from typing import Final

from dsl.addresses import canonical_host, canonical_text
from sbc.sip.uri import Uri

# Where only one of the two has such a parameter they differ; others then count for nothing.
_TELLING: Final = frozenset(("user", "ttl", "method", "maddr", "transport"))


def same_contact(one: Uri, other: Uri) -> bool:
    """Whether both are one contact: what is left out is not the same as its default."""
    if one.scheme != other.scheme or one.port != other.port:
        return False
    if canonical_text(one.user) != canonical_text(other.user) or one.password != other.password:
        return False
    if canonical_host(one.host) != canonical_host(other.host):
        return False
    if one.params != other.params and not _same_params(one, other):
        return False
    return one.headers == other.headers or _headers(one) == _headers(other)


def _same_params(one: Uri, other: Uri) -> bool:
    mine, theirs = _params(one), _params(other)
    for name in mine.keys() | theirs.keys():
        if name in mine and name in theirs:
            if mine[name] != theirs[name]:
                return False
        elif name in _TELLING:
            return False
    return True


def _params(uri: Uri) -> dict[str, str]:
    return {name.lower(): canonical_text(value or "").lower() for name, value in uri.params}


def _headers(uri: Uri) -> list[str]:
    return sorted([canonical_text(each) for each in uri.headers.split("&")])
