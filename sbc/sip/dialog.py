"""A dialog: what two user agents must remember of each other between requests (RFC 3261 12).

It is made from the INVITE and the first response with a To tag (early), and again for each other
To tag that a forked INVITE brings. The 2xx confirms it, and gives an early one its route set anew.
From and To are kept as they were written, without the tag, because there are peers that compare
them as text. The route set is fixed for life; the remote target moves with each re-INVITE, UPDATE,
SUBSCRIBE and NOTIFY.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from sbc.base import PeerError
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response
from sbc.sip.uri import NameAddr, Uri, parse_name_addr, parse_uri

_TARGET_REFRESH: Final = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY"))
# Only where no blank stands before, or every blank of a long run would be a place to begin.
_TAG: Final = re.compile(r"(?<![ \t])[ \t]*+;[ \t]*+tag[ \t]*+(?:=[^;]*+|(?=;|$))", re.IGNORECASE)

DialogState = Literal["early", "confirmed", "ended"]


class Dialog:
    """One end of a dialog.

    ``local_uri`` and ``remote_uri`` are whole header values without the tag; ``remote_target`` is
    a URI; ``route_set`` holds Route values in the order in which they are sent; ``local_cseq`` is
    the number last used (0: none yet), ``remote_cseq`` the one last seen (None: none yet).
    """

    __slots__ = (
        "call_id", "local_cseq", "local_tag", "local_uri", "remote_cseq", "remote_tag",
        "remote_target", "remote_uri", "route_set", "secure", "state",
    )  # fmt: skip

    def __init__(
        self, call_id: str, local_tag: str, remote_tag: str, local_uri: str, remote_uri: str,
        remote_target: str, route_set: list[str], local_cseq: int, remote_cseq: int | None,
        secure: bool, state: DialogState,
    ) -> None:  # fmt: skip
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.local_uri = local_uri
        self.remote_uri = remote_uri
        self.remote_target = remote_target
        self.route_set = route_set
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.secure = secure
        self.state: DialogState = state

    @classmethod
    def as_uac(cls, request: Request, response: Response) -> Dialog:
        """Return the dialog that ``response`` (above 100, with a To tag) makes (RFC 3261 12.1.2).

        PeerError where a 2xx has no Contact; an early dialog without one targets the Request-URI.
        """
        target = _contact(response)
        if target is None and response.status >= 200:
            raise PeerError(f"the {response.status} to {request.method} has no Contact", 502)
        return cls(
            request.call_id, request.from_tag, response.to_tag,
            _untagged(request, "From", request.from_), _untagged(request, "To", request.to),
            target or request.uri, response.headers.values("Record-Route")[::-1],
            request.cseq.number, None, _is_sips(request.uri),
            "early" if response.status < 200 else "confirmed",
        )  # fmt: skip

    @classmethod
    def as_uas(cls, request: Request, local_tag: str) -> Dialog:
        """Return the early dialog of a received ``request``; ``confirm`` it with the 2xx (12.1.1).

        PeerError 400 where the request has no Contact.
        """
        target = _contact(request)
        if target is None:
            raise PeerError(f"the {request.method} has no Contact")
        return cls(
            request.call_id, local_tag, request.from_tag,
            _untagged(request, "To", request.to), _untagged(request, "From", request.from_),
            target, request.headers.values("Record-Route"),
            0, request.cseq.number, _is_sips(request.uri), "early",
        )  # fmt: skip

    def confirm(self, response: Response | None = None) -> None:
        """A 2xx to the INVITE was sent, or came as ``response``: early becomes confirmed.

        What came recomputes the route set and the target (RFC 3261 13.2.2.4).
        """
        if response is not None and self.state == "early":
            self.route_set = response.headers.values("Record-Route")[::-1]
        if response is not None:
            self.remote_target = _contact(response) or self.remote_target
        if self.state == "early":
            self.state = "confirmed"

    def end(self) -> None:
        """A BYE was sent or received, or the INVITE was refused."""
        self.state = "ended"

    def request(
        self, method: str, *, via: str, contact: str, max_forwards: int = 70, cseq: int | None = None
    ) -> Request:
        """Return a request within the dialog (RFC 3261 12.2.1.1).

        ``via`` and ``contact`` are header values; an empty contact is left out. An ACK has the
        number of its INVITE: ``cseq``, or by default the number last used. Any other method
        takes the next number.
        """
        if cseq is None:
            if method != "ACK":
                self.local_cseq += 1
            cseq = self.local_cseq
        uri, routes = self._route()
        fields = [
            ("Via", via),
            ("Max-Forwards", str(max_forwards)),
            ("From", _tagged(self.local_uri, self.local_tag)),
            ("To", _tagged(self.remote_uri, self.remote_tag)),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
        ]
        fields += [("Route", route) for route in routes]
        if contact:
            fields.append(("Contact", contact))
        return Request(method, uri, Headers(fields))

    @property
    def next_hop(self) -> Uri:
        """Where a request within the dialog goes (RFC 3261 12.2.1.1, 8.1.2): first Route, or target."""
        return parse_name_addr(self.route_set[0]).uri if self.route_set else parse_uri(self.remote_target)

    def matches(self, message: Message) -> bool:
        """Tell whether ``message``, just received, belongs to this dialog (RFC 3261 12.2.2)."""
        local, remote = message.to_tag, message.from_tag
        if not message.is_request:
            local, remote = remote, local
        return message.call_id == self.call_id and local == self.local_tag and remote == self.remote_tag

    def check_cseq(self, request: Request) -> None:
        """Take note of the number of a new ``request``; PeerError 500 where it is not above the last.

        RFC 3261 12.2.2. ACK and CANCEL carry the number of their INVITE and are not checked.
        """
        if request.method in ("ACK", "CANCEL"):
            return
        number = request.cseq.number
        if self.remote_cseq is not None and number <= self.remote_cseq:
            raise PeerError(f"CSeq {number} comes after {self.remote_cseq}", 500)
        self.remote_cseq = number

    def refresh(self, message: Message) -> None:
        """Move the remote target to the Contact of a target refresh request, or of its 2xx (12.2)."""
        if message.cseq.method not in _TARGET_REFRESH:
            return
        if isinstance(message, Response) and not 200 <= message.status < 300:
            return
        self.remote_target = _contact(message) or self.remote_target

    def _route(self) -> tuple[str, list[str]]:
        """Return the Request-URI and the Route values: the next hop may be a strict router."""
        if not self.route_set:
            return self.remote_target, []
        if self.route_set[0].endswith(";lr>"):
            return self.remote_target, self.route_set
        first = parse_name_addr(self.route_set[0])
        if first.uri.param("lr") is not None:
            return self.remote_target, self.route_set
        return _request_uri(first), [*self.route_set[1:], f"<{self.remote_target}>"]

    def __repr__(self) -> str:
        return f"<Dialog {self.state} {self.call_id} {self.local_tag} {self.remote_tag}>"


def _contact(message: Message) -> str | None:
    contact = message.contact
    return None if contact is None else _request_uri(contact)


def _request_uri(address: NameAddr) -> str:
    """Return the URI without what a Request-URI may not have: headers, method (RFC 3261 19.1.1)."""
    uri = address.uri
    if uri.headers or uri.param("method") is not None:
        params = tuple(each for each in uri.params if each[0].lower() != "method")
        uri = Uri(uri.scheme, uri.user, uri.password, uri.host, uri.port, params)
    return str(uri)


def _untagged(message: Message, name: str, address: NameAddr) -> str:
    value = message.headers.get(name) or ""
    bare = value.removesuffix(f">;tag={address.tag}")
    if bare != value:
        return bare + ">"
    if "tag" not in value.lower():
        return value
    head, bracket, tail = value.rpartition(">")
    if '"' in tail:
        params = tuple(each for each in address.params if each[0].lower() != "tag")
        return str(NameAddr(address.display, address.uri, params))
    return head + bracket + _TAG.sub("", tail)


def _tagged(value: str, tag: str) -> str:
    return f"{value};tag={tag}" if tag else value


def _is_sips(uri: str) -> bool:
    return uri[:5].lower() == "sips:"
