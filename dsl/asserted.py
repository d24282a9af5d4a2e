"""Whom a network says that a caller is: what rules see of it, and what is sent on.

P-Asserted-Identity says it (RFC 3325), P-Preferred-Identity asks for it, Remote-Party-ID did so before both.
Rules judge one reading of these headers, so the ones that are written on the other leg are made of the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from dsl.addresses import Party, canonical_addresses, read_party

Lookup = Callable[[str], str | None]

ASSERTED: Final = "P-Asserted-Identity"
PREFERRED: Final = "P-Preferred-Identity"
REMOTE_PARTY: Final = "Remote-Party-ID"
#: Those that say it, the first that is there being the one that counts.
SAYING: Final = (ASSERTED, PREFERRED, REMOTE_PARTY)

_address: Final = re.compile(
    r'[ \t]*+(?:(?:"([^"\\]*+(?:\\.[^"\\]*+)*)"[ \t]*+|([^"<>,;:]*+))<((?:sips?|tel):[^<>"\s]++)>'
    r"|((?:sips?|tel):[^<>\"\s,;?]++))(.*+)",
    re.IGNORECASE | re.DOTALL,
).match
_unescape: Final = re.compile(r"\\(.)", re.DOTALL).sub
_unscreened: Final = re.compile(r";[ \t]*+screen[ \t]*+=[ \t]*+no(?![A-Za-z])", re.IGNORECASE).search
_party: Final = re.compile(r";[ \t]*+party[ \t]*+=[ \t]*+([A-Za-z]++)", re.IGNORECASE).search
_withheld: Final = re.compile(r";[ \t]*+privacy[ \t]*+=[ \t]*+\"?(?:full|name|uri)", re.IGNORECASE).search
_quoted: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?', re.DOTALL).sub


class Said(NamedTuple):
    """One identity: the name to show, the URI in canonical form, who that is, and the header's parameters."""

    display: str
    uri: str
    party: Party
    params: str


def read_said(value: str) -> Said | None:
    """The first identity of a header's value; None where that is no sip, sips or tel URI."""
    match = _address(value)
    if match is None:
        return None
    quoted, bare, inside, alone, rest = match.groups()
    display = _unescape(r"\1", quoted) if quoted is not None else (bare or "").rstrip(" \t")
    uri = canonical_addresses(inside or alone)
    return Said(display, uri, read_party(uri), _quoted("", rest).partition(",")[0])


def is_screened(said: Said) -> bool:
    """Whether who wrote a Remote-Party-ID has found it right: it has unless it says otherwise."""
    return _unscreened(said.params) is None


def is_withheld(said: Said) -> bool:
    """Whether a Remote-Party-ID is not to be shown."""
    return _withheld(said.params) is not None


def party_of(said: Said, otherwise: str) -> str:
    """Whether a Remote-Party-ID is of the ``calling`` or the ``called`` one."""
    match = _party(said.params)
    return match[1].lower() if match is not None else otherwise
