"""SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966); other schemes are carried opaquely.

One pattern reads a whole SIP URI. It is a little wider than the grammar where devices are known to
be (``#`` in a user, ``_`` in a host), and strict wherever two readers could disagree about where
the user ends and the host begins: one ``@``, no blanks, no quotes, no angle brackets.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final

from dsl.addresses import Party, escape_user, party
from sbc.sip.grammar import LONGEST_KEPT, Params, ParseError, find_param, format_params, recent

USER: Final = r"A-Za-z0-9\-_.!~*'()&=+$,;?/%#\[\]^`{|}"
_PASSWORD: Final = r"A-Za-z0-9\-_.!~*'()&=+$,%"
_PARAM: Final = r"A-Za-z0-9\-_.!~*'()\[\]/:&+$%#^`{|}"
PARAMS: Final = rf"(;[{_PARAM}][{_PARAM}=]*+(?:;[{_PARAM}][{_PARAM}=]*+)*|)"
HOST: Final = r"(?:\[([0-9A-Fa-f:.]++)\]|([A-Za-z0-9][A-Za-z0-9._\-]*+))"

_sip: Final = re.compile(
    rf"([sS][iI][pP][sS]?):(?:([{USER}]++)(?::([{_PASSWORD}]*+)|)@|){HOST}(?::([0-9]{{1,5}}+)|)"
    rf"{PARAMS}(?:\?([!#-;=?-~]++)|)"
).fullmatch
_tel: Final = re.compile(rf"[tT][eE][lL]:([0-9A-Fa-f*#+\-.()]++){PARAMS}").fullmatch
_other: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):([!#-;=?-~]++)").fullmatch
_bad_escape: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").search


class Uri:
    """A URI, never changed; ``host`` without brackets, escapes left as they were written.

    For a scheme other than sip and sips ``host`` is "" and ``user`` holds the number (tel) or
    everything after the colon.
    """

    __slots__ = ("_party", "headers", "host", "params", "password", "port", "scheme", "user")

    def __init__(
        self, scheme: str, user: str = "", password: str | None = None, host: str = "",
        port: int | None = None, params: Params = (), headers: str = "",
    ) -> None:  # fmt: skip
        self.scheme: Final = scheme
        self.user: Final = user
        self.password: Final = password
        self.host: Final = host
        self.port: Final = port
        self.params: Final = params
        self.headers: Final = headers
        self._party: Party | None = None

    def parts(self) -> dict[str, Any]:
        """All that it is made of, by the names of the attributes."""
        return {
            "scheme": self.scheme, "user": self.user, "password": self.password, "host": self.host,
            "port": self.port, "params": self.params, "headers": self.headers,
        }  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uri) and self.parts() == other.parts()

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def party(self) -> Party:
        """Who or what it names, in the one form of all its spellings: what rules see and what is sent on."""
        read = self._party
        if read is None:
            read = self._party = party(self.scheme, self.user, self.host, self.port or 0, self.params)
        return read

    def param(self, name: str) -> str | None:
        """The value of a URI parameter (lower-case name): "" without a value, None if absent."""
        return find_param(self.params, name) if self.params else None

    def with_(self, **changes: Any) -> Uri:
        """A copy with other parts, ``user`` escaped where it must be; raises ValueError if that is no URI."""
        if "user" in changes and self.scheme in ("sip", "sips"):
            changes["user"] = escape_user(changes["user"])
        uri = Uri(**{**self.parts(), **changes})
        try:
            same = parse_uri(str(uri)) == uri
        except ParseError:
            same = False
        if not same:
            raise ValueError(f"these parts do not make a {self.scheme} URI: {', '.join(sorted(changes))}")
        return uri

    def __str__(self) -> str:
        host = self.host
        text = f"{self.scheme}:{self.user}"
        if self.password is not None:
            text += f":{self.password}"
        if host:
            if self.user:
                text += "@"
            text += f"[{host}]" if ":" in host else host
        if self.port is not None:
            text += f":{self.port}"
        if self.params:
            text += format_params(self.params)
        return f"{text}?{self.headers}" if self.headers else text

    def __repr__(self) -> str:
        hidden = self if self.password is None else Uri(**{**self.parts(), "password": "***"})
        return f"<Uri {hidden}>"


def parse_uri(text: str) -> Uri:
    """Read a URI of any scheme; raises ParseError (a PeerError, status 400)."""
    return _recent(text) if len(text) <= LONGEST_KEPT else _parse(text)


def _parse(text: str) -> Uri:
    match = _sip(text)
    if match is None:
        return _parse_other(text)
    scheme, user, password, ipv6, host, port, params, headers = match.groups()
    if "%" in text and _bad_escape(text):
        raise ParseError("malformed escape in a URI")
    if ipv6 is not None:
        host = check_ipv6(ipv6)
    if user is None and headers and "@" in headers:
        raise ParseError("malformed URI")  # whoever looks for an @ would find another host
    number = None
    if port is not None:
        number = int(port)
        if number > 65535:
            raise ParseError("port out of range in a URI")
    return Uri(scheme.lower(), user or "", password, host, number, split_params(params), headers or "")


# The ACK and the BYE of a dialog have the same Request-URI.
_recent: Final = recent(_parse)


def _parse_other(text: str) -> Uri:
    if match := _tel(text):
        return Uri("tel", match[1], params=split_params(match[2]))
    match = _other(text)
    if match is None or match[1].lower() in ("sip", "sips", "tel"):
        raise ParseError("malformed URI")
    return Uri(match[1].lower(), match[2])


def split_params(text: str) -> Params:
    """Split URI parameters that a pattern has already accepted."""
    if not text:
        return ()
    pairs = [each.partition("=") for each in text[1:].split(";")]
    return tuple([(name, value if equals else None) for name, equals, value in pairs])


def check_ipv6(text: str) -> str:
    """Return an IPv6 address as it was written; raises ParseError if it is none."""
    try:
        IPv6Address(text)
    except AddressValueError:
        raise ParseError("malformed IPv6 address") from None
    return text
