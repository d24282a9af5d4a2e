"""How a URI reads: one form for all its spellings, which rules judge and which is what is sent on.

A peer may write ``+1900`` as ``+1%3900`` or as ``+1-900``, and the callee's server reads one number. Rules
that compared the spelling would let the other two pass. So escapes are undone once, except of what has a
meaning of its own in a URI (RFC 3261 19.1.4: ``%40`` stays, and ``%2539`` is ``%2539``), and a telephone
number loses what only helps the eye (RFC 3966 5.1.1). What stays escaped has capital digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final, NamedTuple

Params = tuple[tuple[str, str | None], ...]
Lookup = Callable[[str], str | None]

# What means the same with and without its escape, and what devices write without one: # { } | [ ] ^ `.
# A plus is reserved by name and stands for nothing but itself: whoever reads %2B dials it.
_FREE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()+#{}|[]^`")
_NO_SEPARATORS: Final = {ord(each): None for each in "-.()"}

_plain: Final = re.compile(r"\+?[0-9A-Za-z_]*").fullmatch
_escaped: Final = re.compile(r"%([0-9A-Fa-f]{2})").sub
_is_number: Final = re.compile(r"[\-.()]*+(?:\+|[0-9][0-9\-.()]*+\Z)").match
_forbidden: Final = re.compile(r"[^A-Za-z0-9\-_.!~*'()&=+$,;?/%]|%(?![0-9A-Fa-f]{2})").sub
_scheme: Final = re.compile(r"sips?:|tel:", re.IGNORECASE)
_blank: Final = re.compile(r"[\s,]")
_quoted: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?', re.DOTALL)
_host: Final = re.compile(r"\A[A-Za-z0-9.\-\[\]:]++").sub
_sos: Final = re.compile(r"urn:service:sos(?:\.[a-z0-9\-]+)*").fullmatch
_tel: Final = re.compile(r"((?:^|[<\s,])tel:)([0-9A-Fa-f*#+\-.()%]++)", re.IGNORECASE).sub


def canonical_text(text: str) -> str:
    """``text`` of a URI with every escape undone that says nothing, and the others in capitals."""
    return _escaped(_read, text) if "%" in text else text


def _read(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _FREE else match[0].upper()


def canonical_user(user: str) -> str:
    """The user part of a SIP URI in the one form that all its spellings share.

    It is a telephone number where, read, it begins with ``+`` or is all digits and ``-.()``: then it has no
    separators. What stands behind a number's semicolon are its parameters (RFC 3966 3), and stays.
    """
    if _plain(user):
        return user
    user = canonical_text(user)
    number, semicolon, behind = user.partition(";")
    if not is_number(number):
        return user
    return number.translate(_NO_SEPARATORS) + semicolon + behind


def is_number(user: str) -> bool:
    """Whether a user part, read and without parameters, is a telephone number."""
    return _is_number(user) is not None


def read_user(scheme: str, user: str) -> tuple[str, str]:
    """The user as rules see it, and the parameters that stood behind a number in it (RFC 4904)."""
    if scheme in ("sip", "sips"):
        user = canonical_user(user)
        if ";" in user:
            number, _, behind = user.partition(";")
            if is_number(number):
                return number, behind
        return user, ""
    return (user.translate(_NO_SEPARATORS), "") if scheme == "tel" else (user, "")


def canonical_host(host: str) -> str:
    """A host without brackets in small letters, an IPv6 address in its shortest form (RFC 5952)."""
    host = host.lower()
    if ":" in host:
        try:
            return str(IPv6Address(host))
        except ValueError:
            return host
    return host


class Party(NamedTuple):
    """One URI as rules see it; ``param`` gives its parameters by their names in small letters.

    ``type`` is ``phone`` where the URI says so of its user. A URN is a user as a whole, such as
    ``urn:service:sos``.
    """

    user: str
    host: str
    scheme: str
    port: int
    param: Lookup
    type: str


def party(scheme: str, user: str, host: str, port: int, params: Params) -> Party:
    """Read a URI from its parts, which are as they were written, but for ``scheme`` in small letters."""
    behind = ""
    if scheme == "urn":
        return Party(f"urn:{user}".lower(), "", scheme, 0, no_param, "")
    if not _plain(user):
        user, behind = read_user(scheme, user)
    host = canonical_host(host) if ":" in host else host.lower()
    if not params and not behind:
        return Party(user, host, scheme, port, no_param, "phone" if scheme == "tel" else "")
    param = parameters(params, behind)
    kind = "phone" if scheme == "tel" or param("user") == "phone" else ""
    return Party(user, host, scheme, port, param, kind)


def is_sos(user: str) -> bool:
    """Whether a user, as rules see it, is the URN of emergency services or of one of them (RFC 5031 4.2)."""
    return _sos(user) is not None


def is_uri(text: str) -> bool:
    """Whether a text begins as a sip, sips or tel URI does."""
    return _scheme.match(text) is not None


def read_party(text: str) -> Party:
    """Who is meant by a number, a name, ``user@host`` or a whole URI; of a URI, what a call's would be."""
    scheme, whole, rest = "sip", False, text
    if text[:4].lower() == "urn:":
        return party("urn", text[4:], "", 0, ())
    if match := _scheme.match(text):
        scheme, whole, rest = match[0][:-1].lower(), True, text[match.end() :]
    if scheme == "tel":
        user, _, params = rest.partition(";")
        return party(scheme, user, "", 0, _params(params))
    user, at, place = rest.partition("@")
    if not at and not whole:  # a number as people write it; no user has a blank in it
        return party(scheme, "".join(rest.split()), "", 0, ())
    user, place = (user.partition(":")[0], place) if at else ("", rest)
    host, _, params = place.partition("?")[0].partition(";")
    name, colon, port = host.rpartition(":")
    if not colon or "]" in port or not (port.isascii() and port.isdigit()):
        name, port = host, "0"
    return party(scheme, user, name.strip("[]"), int(port[:5]), _params(params))


def _params(text: str) -> Params:
    pairs = [each.partition("=") for each in text.split(";") if each]
    return tuple([(name, value if equals else None) for name, equals, value in pairs])


def no_param(name: str) -> str | None:
    """The look-up of a URI without parameters."""
    return None


def parameters(params: Params, behind: str = "") -> Lookup:
    """The look-up of a URI's parameters, and of those in its user part; "" without a value, None if absent.

    Values are in small letters (RFC 3261 19.1.4); a number in one has no separators (RFC 3966 5.1.5).
    """

    def find(name: str) -> str | None:
        for key, value in params:
            if canonical_text(key).lower() == name:
                return _value(value)
        for each in behind.split(";") if behind else ():
            key, _, value = each.partition("=")
            if canonical_text(key).lower() == name:
                return _value(value)
        return None

    return find


def _value(value: str | None) -> str:
    text = canonical_text(value or "").lower()
    return text.translate(_NO_SEPARATORS) if text.startswith("+") else text


def escape_user(user: str) -> str:
    """The user part with what RFC 3261 25.1 does not allow there percent-escaped; escapes in it stay."""
    return user if _plain(user) else _forbidden(_percent, user)


def user_named(name: str) -> str:
    """The user, as rules see it, whose ``name`` is as people write it: with blanks, an @ or accents."""
    return canonical_user(escape_user(name))


def _percent(match: re.Match[str]) -> str:
    char = match[0]
    # An octet that is no UTF-8 comes as half a surrogate pair; any other half stands for nothing.
    octet = 0xDC80 <= ord(char) <= 0xDCFF
    octets = char.encode("utf-8", "surrogateescape") if octet else char.encode("utf-8", "replace")
    return "".join([f"%{octet:02X}" for octet in octets])


def canonical_addresses(value: str) -> str:
    """A header's value with its sip, sips and tel URIs in canonical form, up to their parameters.

    Whatever stands in quotes stays. Linear in the length, whatever the value is.
    """
    if ":" not in value or not _scheme.search(value):
        return value
    if '"' not in value:
        return _in_addresses(value)
    done, at = [], 0
    for quoted in _quoted.finditer(value):
        done += [_in_addresses(value[at : quoted.start()]), quoted[0]]
        at = quoted.end()
    return "".join([*done, _in_addresses(value[at:])])


def header_reader(header: Lookup) -> Lookup:
    """A look-up of headers that gives what ``header`` does, the addresses in it in canonical form."""

    def find(name: str) -> str | None:
        value = header(name)
        return None if value is None else canonical_addresses(value)

    return find


def _in_addresses(text: str) -> str:
    pieces = _tel(_number, text).split("@")
    for at in range(len(pieces) - 1):
        before, scheme, user = _last_address(pieces[at])
        if scheme:
            name, colon, password = user.partition(":")
            pieces[at] = before + scheme + escape_user(canonical_user(name)) + colon + password
            pieces[at + 1] = _host(_small, pieces[at + 1])
    return "@".join(pieces)


def _number(match: re.Match[str]) -> str:
    return match[1].lower() + canonical_text(match[2]).translate(_NO_SEPARATORS)


def _small(match: re.Match[str]) -> str:
    return match[0].lower()


def _last_address(piece: str) -> tuple[str, str, str]:
    """The text before an ``@`` up to the URI, its scheme, and its user; no scheme where none begins."""
    start = piece.rfind("<") + 1
    if not start or ">" in piece[start:]:
        for blank in _blank.finditer(piece, start):
            start = blank.end()
    scheme = _scheme.match(piece, start)
    if scheme is None:
        return piece, "", ""
    return piece[:start], scheme[0].lower(), piece[scheme.end() :]
