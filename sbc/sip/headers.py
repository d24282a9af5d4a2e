"""The header fields of a message: order and spelling kept, found by any spelling of their name.

Beside ``fields`` runs a list of canonical names, so a look-up is one ``list.index`` over a dozen
interned strings: for messages of real size this beats a dictionary, which would cost more to build
than all look-ups save. ``parsed`` holds what the typed accessors of ``Message`` have made of the
fields; every change here drops it, so that no caller has to remember to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sbc.sip.grammar import is_token, split_commas

COMPACT = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "o": "event", "r": "refer-to", "s": "subject", "t": "to",
    "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip
_LONG = """
    Accept Accept-Encoding Accept-Language Alert-Info Allow Authorization CSeq Call-ID Call-Info
    Content-Disposition Content-Language Date Diversion Expires History-Info In-Reply-To MIME-Version
    Max-Forwards Min-Expires Min-SE Organization P-Asserted-Identity P-Preferred-Identity P-Early-Media
    P-Charging-Vector Path Priority Privacy Proxy-Authenticate Proxy-Authorization Proxy-Require RAck RSeq
    Reason Record-Route Refer-Sub Replaces Replies Reply-To Require Retry-After Route Server Service-Route
    Subscription-State Target-Dialog Timestamp Unsupported User-Agent WWW-Authenticate Warning
    From To Via Contact Content-Type Content-Length Content-Encoding Supported Subject Event Allow-Events
    Refer-To Referred-By Session-Expires Identity Accept-Contact Reject-Contact Request-Disposition
""".split()


class _Canonical(dict[str, str]):
    """Every known spelling to its canonical name; an unknown one is lower-cased and not kept."""

    def __missing__(self, name: str) -> str:
        lower = name.lower()
        return COMPACT.get(lower, lower)


CANONICAL = _Canonical()
for _name in _LONG:
    CANONICAL.update({_name: _name.lower(), _name.lower(): _name.lower(), _name.upper(): _name.lower()})
for _short, _name in COMPACT.items():
    CANONICAL.update({_short: CANONICAL[_name], _short.upper(): CANONICAL[_name]})


class Headers:
    """Header fields in order; names compare by RFC 3261 7.3.1 (any case, compact form equal).

    ``fields`` is for reading: changes go through the methods, which keep the index in step.
    """

    __slots__ = ("fields", "keys", "parsed")

    def __init__(self, fields: Iterable[tuple[str, str]] = (), keys: list[str] | None = None) -> None:
        """Take ``fields``; who knows their canonical names already hands them over in ``keys``."""
        self.fields = list(fields)
        self.keys = [CANONICAL[name] for name, _ in self.fields] if keys is None else keys
        self.parsed: dict[str, Any] = {}

    def get(self, name: str) -> str | None:
        """The value of the first field called ``name``, or None."""
        key = CANONICAL[name]
        keys = self.keys
        return self.fields[keys.index(key)][1] if key in keys else None

    def get_all(self, name: str) -> list[str]:
        """The values of all fields called ``name``, one for each field line."""
        key = CANONICAL[name]
        if key not in self.keys:
            return []
        return [field[1] for field, each in zip(self.fields, self.keys, strict=True) if each == key]

    def values(self, name: str) -> list[str]:
        """All elements of a list header over all its lines, split at commas (RFC 3261 7.3.1)."""
        lines = self.get_all(name)
        if len(lines) == 1:
            return split_commas(lines[0])
        return [value for line in lines for value in split_commas(line)]

    def set(self, name: str, value: str) -> None:
        """Replace all fields called ``name`` by one, in place of the first or else at the end."""
        key = CANONICAL[name]
        if key not in self.keys:
            return self.add(name, value)
        at = self.keys.index(key)
        if self.keys.count(key) > 1:
            _check(name, key)
            self.remove(name)
            self.fields.insert(at, (name, value))
            self.keys.insert(at, key)
        else:
            _check(name, key)
            self.fields[at] = (name, value)
        self.parsed.clear()
        return None

    def add(self, name: str, value: str) -> None:
        """Append a field; raises ValueError for a name that is not a token."""
        key = CANONICAL[name]
        _check(name, key)
        self.fields.append((name, value))
        self.keys.append(key)
        self.parsed.clear()

    def extend(self, fields: Iterable[tuple[str, str]]) -> None:
        """Append ``fields``, whose names are tokens."""
        for field in fields:
            self.fields.append(field)
            self.keys.append(CANONICAL[field[0]])
        self.parsed.clear()

    def prepend(self, name: str, value: str) -> None:
        """Put a field first; raises ValueError for a name that is not a token."""
        key = CANONICAL[name]
        _check(name, key)
        self.fields.insert(0, (name, value))
        self.keys.insert(0, key)
        self.parsed.clear()

    def remove(self, name: str) -> None:
        """Remove all fields called ``name``; none is fine."""
        key = CANONICAL[name]
        if key not in self.keys:
            return
        kept = [field for field, each in zip(self.fields, self.keys, strict=True) if each != key]
        self.fields[:] = kept
        self.keys[:] = [each for each in self.keys if each != key]
        self.parsed.clear()

    def copy(self) -> Headers:
        """An independent copy."""
        return Headers(self.fields, self.keys.copy())

    def __contains__(self, name: str) -> bool:
        return CANONICAL[name] in self.keys

    def __len__(self) -> int:
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Headers {' '.join(name for name, _ in self.fields)}>"


def _check(name: str, key: str) -> None:
    if key not in CANONICAL and not is_token(name):
        raise ValueError("a header name must be a token (RFC 3261 25.1)")
