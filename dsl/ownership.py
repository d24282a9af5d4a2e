"""Which headers a rule may touch: those the SBC writes itself are not among them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

_COMPACT = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "n": "identity-info", "o": "event", "r": "refer-to",
    "s": "subject", "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip

# The headers of transactions, dialogs, routing, bodies, negotiation and credentials
# (RFC 3261 20, RFC 3262, RFC 4028, RFC 3515, RFC 3891, RFC 6665, RFC 8224, RFC 3329).
_OWNED = frozenset(
    """via from to call-id cseq contact max-forwards record-route route path service-route
    content-length content-type content-encoding content-disposition mime-version
    require supported unsupported allow allow-events proxy-require proxy-authenticate
    proxy-authorization authorization www-authenticate authentication-info proxy-authentication-info
    rseq rack session-expires min-se min-expires expires event subscription-state
    refer-to referred-by replaces join target-dialog timestamp date identity identity-info
    security-client security-server security-verify retry-after warning error-info""".split()
)
_ASSERTED = frozenset(("p-asserted-identity", "p-preferred-identity", "remote-party-id"))
_SECRET = frozenset(("authorization", "proxy-authorization"))
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_GLOB = re.compile(r"[A-Za-z0-9.!%*?_+`'~-]+")


def long_name(name: str) -> str:
    """A header's name in small letters, of a compact one the name that it stands for (RFC 3261 7.3.3)."""
    lower = name.lower()
    return _COMPACT.get(lower, lower)


def owned_headers() -> list[str]:
    """The names of the headers that the SBC writes itself, in their order."""
    return sorted(name.title() for name in _OWNED | _ASSERTED)


def spellings(name: str) -> tuple[str, ...]:
    """All ways to write a header's name, in small letters."""
    long = long_name(name)
    return (long, *[compact for compact, each in _COMPACT.items() if each == long])


def is_name(glob: str) -> bool:
    """Whether a glob matches one name only."""
    return "*" not in glob and "?" not in glob


def matches_glob(name: str, glob: str) -> bool:
    """Whether a header's name matches a glob, in any case and compact or not."""
    return fnmatchcase(long_name(name), long_name(glob))


def set_refusal(name: str) -> tuple[str, str] | None:
    """Why a rule may not set this header, with a hint; None when it may."""
    if not _TOKEN.fullmatch(name):
        return f"{name!r} is not the name of a header", "letters, digits and hyphens, such as X-Customer"
    long = long_name(name)
    if long in _ASSERTED:
        return (
            f"{name} cannot be set by a rule",
            "set asserted.user instead; `identity` of each trunk says who is told",
        )
    return _owned(name, (long,))


def remove_refusal(glob: str) -> tuple[str, str] | None:
    """Why a rule may not remove the headers of this glob, with a hint; None when it may."""
    if not _GLOB.fullmatch(glob):
        return f"{glob!r} is not the name of a header", "letters, digits, hyphens and *, such as X-MS-*"
    return _owned(glob, [name for name in sorted(_OWNED) if matches_glob(name, glob)])


def copy_refusal(glob: str, renamed: bool) -> tuple[str, str] | None:
    """Why a rule may not let the caller's headers of this glob cross, with a hint; None when it may."""
    if renamed and not _TOKEN.fullmatch(glob.replace("*", " ")):
        return f"{glob!r} is not the name of one header", "only one header can get another name"
    if renamed and long_name(glob) in _SECRET:
        return f"{glob} carries credentials", "a credential is for the one that asked for it"
    if renamed:
        return None
    refused = next((name for name in sorted(_ASSERTED) if matches_glob(name, glob)), None)
    if refused is not None:
        hint = "set asserted.user instead; `identity` of each trunk says who is told"
        return f"{glob} would let {refused.title()} cross", hint
    return remove_refusal(glob)


def read_refusal(name: str) -> tuple[str, str] | None:
    """Why a rule may not read this header, with a hint; None when it may."""
    if not _TOKEN.fullmatch(name):
        return f"{name!r} is not the name of a header", "letters, digits and hyphens, such as X-Customer"
    if long_name(name) in _SECRET:
        return f"{name} carries credentials", "a rule cannot read it; ask `has header` instead"
    return None


def _owned(written: str, names: tuple[str, ...] | list[str]) -> tuple[str, str] | None:
    owned = [name for name in names if name in _OWNED]
    if not owned:
        return None
    part = {
        "from": "set from.user, from.host or from.display instead",
        "to": "set to.user or to.host instead",
    }
    which = "" if long_name(written) == owned[0] else f" ({owned[0].title()})"
    return (
        f"{written} is written by the SBC itself{which}",
        part.get(owned[0], "choose a narrower name, such as X-*" if "*" in written else "leave it out"),
    )
