"""What a rule may ask about a call: one flat, frozen record, and the table of its names.

``Facts`` is filled by whoever receives a call; the language reads it and nothing else. The
table ``FACTS`` is the whole vocabulary: the checker types expressions with it, the reference
in docs/routing.md lists it, and a name that is not in it cannot be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, NamedTuple

from dsl.addresses import canonical_host, header_reader, read_user

FactType = Literal["text", "host", "address", "list", "truth", "number", "clock", "day", "date"]


def no_header(name: str) -> str | None:
    """Answer for a call without headers: every lookup gives None."""
    return None


def nobody_registered(user: str) -> bool:
    """Answer for a system that no phone is registered with."""
    return False


def nothing_remembered(text: str) -> bool:
    """Answer for a system that nothing was ever remembered by."""
    return False


def no_calls(trunk: str) -> int:
    """Answer for a quiet system: no trunk has a call."""
    return 0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that routing may know about one request; empty text where a thing is absent.

    ``ruri_*`` is the request target (``to.user`` in the language), ``to_header_*`` the To
    header; what is of a URI, and URIs in headers, are in canonical form (``dsl.addresses``).
    ``sips`` is true when the call arrived over TLS for a ``sips:`` URI. ``peer_*``
    are of the certificate that TLS verified, SANs written ``dns:NAME``, ``uri:URI`` or
    ``ip:ADDRESS``, the pin ``sha256/HEX``. ``now`` is in POSIX seconds. ``header`` gives
    the first field of a name in any case, or None; ``ruri_param`` and ``from_param`` do so for the
    parameters of the URIs, in small letters. ``calls`` gives the calls that a trunk holds now, and for
    an empty name all calls, ``registered`` says whether a user's phone is, ``remembered`` whether a rule has
    remembered a text of a former call; ``tags`` are what hooks have said of the call. ``auth_user`` has
    proved its password for ``auth_realm``. ``redirected_from`` is whom the call was for before its callee
    redirected it, ``referred_by`` who transferred the caller to whom it is for.
    ``emergency``: it is for an emergency service. Of an ``unchallenged`` call no rule asks for a password.
    ``asserted_*`` is whom the caller's network says that it is, where the trunk is listened to.
    """

    trunk: str = ""
    tenant: str = ""
    listener: str = ""
    source: str = ""
    transport: str = ""
    method: str = "INVITE"
    ruri_user: str = ""
    ruri_host: str = ""
    ruri_scheme: str = "sip"
    from_user: str = ""
    from_host: str = ""
    from_display: str = ""
    to_header_user: str = ""
    to_header_host: str = ""
    call_id: str = ""
    user_agent: str = ""
    sips: bool = False
    tls_version: str = ""
    tls_group: str = ""
    tls_cipher: str = ""
    peer_verified: bool = False
    peer_sans: tuple[str, ...] = ()
    peer_issuer: str = ""
    peer_subject: str = ""
    peer_pin: str = ""
    sdp_codecs: tuple[str, ...] = ()
    sdp_srtp: str = "none"
    now: float = 0.0
    tags: tuple[str, ...] = ()
    header: Callable[[str], str | None] = no_header
    ruri_port: int = 0
    ruri_param: Callable[[str], str | None] = no_header
    from_scheme: str = "sip"
    from_port: int = 0
    from_param: Callable[[str], str | None] = no_header
    to_header_display: str = ""
    auth_user: str = ""
    auth_realm: str = ""
    ruri_type: str = ""
    from_type: str = ""
    calls: Callable[[str], int] = no_calls
    asserted_user: str = ""
    asserted_display: str = ""
    redirected_from: str = ""
    referred_by: str = ""
    emergency: bool = False
    unchallenged: bool = False
    registered: Callable[[str], bool] = nobody_registered
    remembered: Callable[[str], bool] = nothing_remembered

    def __copy__(self) -> Facts:
        """A copy; without this, one build could make it and the other not."""
        return replace(self)

    def __deepcopy__(self, memo: object) -> Facts:
        """The same: what is in it never changes."""
        return replace(self)


# What a frozen class does to fill itself, name by name, takes five times as long.
FILL: Final = tuple([vars(Facts)[each.name].__set__ for each in fields(Facts)])


def canonical(given: Mapping[str, Any]) -> dict[str, Any]:
    """Facts by their attributes, each in the one form that rules compare."""
    return {name: _CANONICAL[name](value) if name in _CANONICAL else value for name, value in given.items()}


class Fact(NamedTuple):
    """One name of the language: the attribute of Facts it reads, its type, a line of reference.

    ``values`` are all the values there can be, where that is known; ``prefixes`` are what every
    value starts with, ``span`` is the least number and the greatest. They let the checker refuse a
    comparison that could never be true.
    """

    attribute: str
    type: FactType
    doc: str
    values: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    span: tuple[int, int] | None = None


FACTS: dict[str, Fact] = {
    "trunk": Fact("trunk", "text", "the trunk the call came from; empty when none matched"),
    "tenant": Fact("tenant", "text", "the tenant of that trunk"),
    "listener": Fact("listener", "text", "the listener the call arrived on"),
    "source": Fact("source", "address", "the address the call came from"),
    "transport": Fact("transport", "text", "how it arrived", ("udp", "tcp", "tls")),
    "method": Fact("method", "text", "the request's method", ("INVITE", "MESSAGE", "NOTIFY")),
    "to.user": Fact("ruri_user", "text", "the number or name called (of the request URI)"),
    "to.host": Fact("ruri_host", "host", "the host of the request URI"),
    "to.scheme": Fact("ruri_scheme", "text", "the scheme of the request URI", ("sip", "sips", "tel", "urn")),
    "to.type": Fact(
        "ruri_type",
        "text",
        "`phone` where the request URI says `user=phone`, and of a tel URI; else empty",
        ("phone", ""),
    ),
    "to.port": Fact(
        "ruri_port", "number", "the port in the request URI; 0 when there is none", span=(0, 65535)
    ),
    "to_header.user": Fact("to_header_user", "text", "the user in the To header"),
    "to_header.host": Fact("to_header_host", "host", "the host in the To header"),
    "to_header.display": Fact("to_header_display", "text", "the display name in the To header"),
    "from.user": Fact("from_user", "text", "the number or name of the caller"),
    "from.host": Fact("from_host", "host", "the host in the From header"),
    "from.display": Fact("from_display", "text", "the display name in the From header"),
    "from.scheme": Fact("from_scheme", "text", "the scheme of the URI in the From header"),
    "from.type": Fact("from_type", "text", "the same of the URI in the From header", ("phone", "")),
    "from.port": Fact(
        "from_port", "number", "the port in the From header; 0 when there is none", span=(0, 65535)
    ),
    "asserted.user": Fact(
        "asserted_user",
        "text",
        "whom the caller's network says that it is (P-Asserted-Identity), if it is listened to",
    ),
    "asserted.display": Fact("asserted_display", "text", "the display name beside it"),
    "auth.user": Fact("auth_user", "text", "who has proved a password (`challenge`); empty for nobody"),
    "redirected_from": Fact(
        "redirected_from",
        "text",
        "of a redirect that is followed: whom the call was for; `trunk` is then the callee's",
    ),
    "referred_by": Fact(
        "referred_by",
        "text",
        "of a transfer that we carry out: who transfers the caller; `trunk` is then that one's",
    ),
    "emergency": Fact(
        "emergency",
        "truth",
        "an emergency call: `emergency` in sbc.yaml names its number, or it is a URN of sos",
    ),
    "call.id": Fact("call_id", "text", "the Call-ID"),
    "user_agent": Fact("user_agent", "text", "the User-Agent header"),
    "sips": Fact("sips", "truth", "arrived over TLS for a sips: URI"),
    "peer.verified": Fact("peer_verified", "truth", "the peer's certificate was verified"),
    "peer.san": Fact(
        "peer_sans",
        "list",
        "the names in the peer's certificate, as dns:NAME, uri:URI or ip:ADDRESS",
        prefixes=("dns:", "uri:", "ip:"),
    ),
    "peer.issuer": Fact("peer_issuer", "text", "who issued the peer's certificate"),
    "peer.subject": Fact("peer_subject", "text", "the subject of the peer's certificate"),
    "peer.pin": Fact(
        "peer_pin", "text", "the peer's public-key pin, sha256/ and hexadecimal", prefixes=("sha256/",)
    ),
    "tls.version": Fact(
        "tls_version", "text", "the TLS version, empty without TLS", ("TLSv1.2", "TLSv1.3", "")
    ),
    "tls.cipher": Fact("tls_cipher", "text", "the TLS cipher suite"),
    "tls.group": Fact("tls_group", "text", "the key-exchange group, such as X25519MLKEM768"),
    "sdp.codecs": Fact("sdp_codecs", "list", "the codecs offered, such as PCMA"),
    "sdp.srtp": Fact("sdp_srtp", "text", "what the offer says about SRTP", ("none", "offered", "required")),
    "call.tags": Fact("tags", "list", "what hooks and rules have said of the call"),
    "calls": Fact("calls", "number", "how many calls there are now, on all trunks"),
    "time": Fact("now", "clock", "the time of day, such as 08:30, in the file's zone"),
    "day": Fact("now", "day", "the day of the week: mon, tue, wed, thu, fri, sat, sun"),
    "date": Fact("now", "date", "the date, such as 2026-12-24"),
    "time.hour": Fact("now", "number", "the hour, 0 to 23", span=(0, 23)),
    "time.minute": Fact("now", "number", "the minute, 0 to 59", span=(0, 59)),
    "time.weekday": Fact("now", "number", "the day of the week, 1 is Monday and 7 is Sunday", span=(1, 7)),
}
USERS = frozenset(
    ("ruri_user", "from_user", "to_header_user", "redirected_from", "referred_by", "asserted_user")
)
_CANONICAL: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(USERS, lambda user: read_user("sip", user)[0]),
    **dict.fromkeys(("ruri_host", "from_host", "to_header_host"), canonical_host),
    "header": header_reader,
}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
