"""What a REFER and its NOTIFYs say, and what of that may cross (RFC 3515, 3891, 3892, 4488).

The identifiers of a dialog, and the addresses, are those of one leg. What crosses is written for the other:
users stay, hosts are ours, and a dialog of ours is named as the far side knows it. Nobody is dialled by what
is read here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from dsl.addresses import escape_user
from dsl.decision import Route
from sbc.b2bua.dialogs import Dialogs, Fork
from sbc.b2bua.leg import Leg, Side, other
from sbc.b2bua.translate import Fields
from sbc.base import PeerError
from sbc.policy.privacy import hides_caller
from sbc.sip.dialog import Dialog
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request
from sbc.sip.uri import Uri, parse_name_addr

#: The methods of a transfer, which only trunks that take one are promised.
TRANSFER_METHODS: Final = frozenset(("REFER", "NOTIFY"))
_SCHEMES: Final = ("sip", "sips", "tel")
_OF_ITSELF: Final = ("Privacy", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")
# What a URI's header may hold unescaped (RFC 3261 25.1, hnv-unreserved).
_UNESCAPED: Final = "[]/?:+$-_.!~*'()"
_STATUS_LINE: Final = re.compile(rb"SIP/2\.0 [1-6][0-9]{2}(?: [ -~]{0,100}|(?=[\r\n]|\Z))").match
# What a Call-ID or tag may hold that was escaped in a URI: it goes on as part of a header.
_PRINTABLE: Final = re.compile("[!-~]+").fullmatch
_HELD: Final = re.compile(rb"^a=(?:sendonly|recvonly|inactive)(?=\r?$)", re.MULTILINE)
# A word of our own on an INVITE that is never sent: whoever referred would rather not be named (RFC 3323).
_WITHHELD: Final = ";withheld"
# Of one dialog so many REFERs are remembered whose NOTIFYs may still come.
MOST_REFERS: Final = 8
LONGEST_PARAM: Final = 400


class Replaces(NamedTuple):
    """A dialog, as the one sees it who is to be asked to replace it (RFC 3891 6.1)."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


class ReferTo(NamedTuple):
    """Whom a REFER names, without headers and passwords, and the dialog that the call there shall replace."""

    uri: Uri
    replaces: Replaces | None


class Replaced(NamedTuple):
    """A dialog of ours that is to be replaced: it is with the peer on ``side`` of that call."""

    call_id: str
    fork: Fork
    side: Side


def parse_replaces(text: str) -> Replaces:
    """Read the value of a Replaces header; PeerError 400."""
    call_id, tags = _value_and_parameters(text)
    to_tag, from_tag = tags.get("to-tag", ""), tags.get("from-tag", "")
    if not (_PRINTABLE(call_id) and _PRINTABLE(to_tag) and _PRINTABLE(from_tag)):
        raise PeerError("malformed Replaces")
    return Replaces(call_id, to_tag, from_tag, "early-only" in tags)


def _value_and_parameters(text: str) -> tuple[str, dict[str, str]]:
    """A Call-ID or an event, and the parameters behind it; PeerError 400 where one comes twice."""
    value, *parameters = text.split(";")
    found: dict[str, str] = {}
    for each in parameters:
        name, _, given = each.partition("=")
        name = name.strip(" \t").lower()
        if name in found:
            raise PeerError(f"more than one {name}")
        found[name] = given.strip(" \t")
    return value.strip(" \t"), found


def target_dialog(request: Request) -> tuple[str, str, str] | None:
    """Which dialog of ours a REFER outside of it is about: Call-ID, our tag, the peer's; PeerError 400.

    None where it says nothing of one. Its local tag is that of whoever wrote it (RFC 4538 4).
    """
    value = request.headers.get("Target-Dialog")
    if value is None:
        return None
    call_id, tags = _value_and_parameters(value)
    if not call_id or not tags.get("local-tag") or not tags.get("remote-tag"):
        raise PeerError("malformed Target-Dialog")
    return call_id, tags["remote-tag"], tags["local-tag"]


def refer_to(request: Request) -> ReferTo:
    """Whom a REFER names; PeerError 400, 416 or 501 where that is nobody whom an INVITE could be for."""
    value = request.headers.get("Refer-To") or ""
    if not value:
        raise PeerError("a REFER without Refer-To")
    uri = parse_name_addr(value).uri
    if uri.scheme not in _SCHEMES:
        raise PeerError("Unsupported URI Scheme", 416)
    if (uri.param("method") or "INVITE").upper() != "INVITE":
        raise PeerError("Not Implemented", 501)
    replaces = None
    for each in uri.headers.split("&"):
        name, _, text = each.partition("=")
        if name.lower() == "replaces":
            replaces = parse_replaces(unquote(text))
    params = tuple([each for each in uri.params if each[0].lower() != "method"])
    return ReferTo(Uri(uri.scheme, uri.user, None, uri.host, uri.port, params), replaces)


def find_replaced(dialogs: Dialogs, replaces: Replaces) -> Replaced | None:
    """The dialog of ours that is named, by the ids of either end of it; None where it is none of ours.

    Who names it as we see it wants our peer in it replaced. As our peer sees it, it is that peer who goes on
    with another, and the one on the call's other leg is replaced.
    """
    found = dialogs.of(replaces.call_id, replaces.to_tag, replaces.from_tag)
    if found is not None:
        return Replaced(*found)
    found = dialogs.of(replaces.call_id, replaces.from_tag, replaces.to_tag)
    return Replaced(found[0], found[1], other(found[2])) if found is not None else None


def as_seen_by(dialog: Dialog) -> Replaces:
    """The dialog, as the peer that it is with has to be asked to replace it."""
    return Replaces(dialog.call_id, dialog.remote_tag, dialog.local_tag)


def _address(leg: Leg, uri: Uri) -> str:
    """An address of ours, as the peer on ``leg`` knows us, at which it finds whom ``uri`` names."""
    party = uri.party
    return leg.address_of(escape_user(party.user), ";user=phone" if party.type == "phone" else "")


def refer_across(request: Request, dialogs: Dialogs, leg: Leg) -> list[tuple[str, str]]:
    """The headers of a REFER for the peer on ``leg``; PeerError as ``refer_to``.

    The one whom it names is to be called through us. A dialog that is none of ours is nobody's there.
    """
    to = refer_to(request)
    address = _address(leg, to.uri)
    if to.replaces is not None:
        replaced = find_replaced(dialogs, to.replaces)
        if replaced is None:
            raise PeerError("Replaces names no dialog of ours", 404)
        named = str(as_seen_by(replaced.fork.dialog(other(replaced.side))))
        address = f"{address[:-1]}?Replaces={quote(named, safe=_UNESCAPED)}>"
    fields = [("Refer-To", address)]
    by = referrer(request)
    if by is not None and not hides_caller(request.headers.fields, leg.told == "trusted"):
        fields.append(("Referred-By", _address(leg, by)))
    return fields + refer_sub(request)


def referrer(request: Request) -> Uri | None:
    """Whom Referred-By names; None where it is missing, or cannot be read."""
    value = request.headers.get("Referred-By")
    if value is None:
        return None
    try:
        uri = parse_name_addr(value).uri
    except PeerError:
        return None
    return uri if uri.scheme in _SCHEMES else None


def refer_sub(message: Message) -> list[tuple[str, str]]:
    """What a REFER, or its 202, says of the NOTIFYs, that there be none for instance (RFC 4488)."""
    value = (message.headers.get("Refer-Sub") or "").partition(";")[0].strip(" \t").lower()
    return [("Refer-Sub", value)] if value in ("true", "false") else []


def wants_no_notify(request: Request) -> bool:
    """Whether a REFER asks for no NOTIFY (RFC 4488 4)."""
    return refer_sub(request) == [("Refer-Sub", "false")]


#: The REFERs that crossed a call: the side of who referred, and their numbers there and on the far side.
Refers = tuple[tuple[Side, int, int], ...]


def refer_crossed(refers: Refers, side: Side, near: int, far: int) -> Refers:
    """``refers`` with one more, or with one of them that went on again, with credentials."""
    known = [each for each in refers if each[:2] != (side, near)]
    return tuple([*known, (side, near, far)][-MOST_REFERS:])


def event_across(refers: Refers, side: Side, notify: Request) -> str | None:
    """The Event of a NOTIFY from ``side`` for the one who referred (RFC 3515 2.4.6); None: nobody did."""
    package, parameters = _value_and_parameters(notify.headers.get("Event") or "")
    if package.lower() != "refer":
        return None
    number = parameters.get("id", "")
    for whose, near, far in refers:
        if whose == other(side) and number in ("", str(far)):
            return f"refer;id={near}" if number else "refer"
    return None


def fragment(body: bytes) -> bytes:
    """Of a message/sipfrag the status line: the rest would tell of the other side; b"" where it is none."""
    found = _STATUS_LINE(body)
    return found[0].rstrip() + b"\r\n" if found is not None else b""


def notify_across(notify: Request, event: str) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and the body of a NOTIFY for the one who referred."""
    fields = [("Event", event)]
    state = notify.headers.get("Subscription-State")
    if state is not None:
        fields.append(("Subscription-State", state))
    body = fragment(notify.body)
    if body:
        fields.append(("Content-Type", "message/sipfrag;version=2.0"))
    return fields, body


class Referrer(NamedTuple):
    """Why a call is one that somebody was referred to: by ``who``, on the leg ``by`` of another call.

    What that call demanded stays demanded: SRTP, no leg without TLS, that it is recorded, and with a tone.
    """

    by: Leg
    who: str
    demands: tuple[bool, bool, bool, bool]


def still_demanding(route: Route, srtp: bool, tls: bool, record: bool, tone: bool) -> Route:
    """``route``, no laxer than what came before it demanded."""
    if not (srtp or tls or record):
        return route
    return replace(
        route, srtp="required" if srtp else route.srtp, downgrade="forbid" if tls else route.downgrade,
        record=record or route.record, tone=tone or route.tone,
    )  # fmt: skip


def name_of(value: str) -> str:
    """Who a From or To value names: the user, or where there is none the host."""
    party = parse_name_addr(value).uri.party
    return party.user or party.host


def introduction(invite: Request) -> Fields:
    """What a caller says of itself beside From, or that nothing be said, for whom it is connected with."""
    headers = invite.headers
    return tuple([(name, value) for name in _OF_ITSELF for value in headers.get_all(name)])


def referred_invite(
    refer: Request, to: Uri, party: Dialog, leg: Leg, tag: str, branch: str, offer: bytes, of_itself: Fields
) -> Request:
    """The INVITE that the ``party`` of ``leg`` would send, had it been passed the REFER; it is never sent.

    Its offer is what the party has said last, but that nothing is on hold; ``of_itself`` is its introduction.
    """
    hops = refer.max_forwards
    fields = [
        ("Via", leg.via(branch)),
        ("Max-Forwards", str(70 if hops is None else hops)),
        ("From", f"{party.remote_uri};tag={tag}"),
        ("To", f"<{to}>"),
        ("Call-ID", leg.call_id),
        ("CSeq", "1 INVITE"),
        ("Contact", f"<{party.remote_target}>"),
    ]
    by = referrer(refer)
    if by is not None:
        hidden = _WITHHELD if hides_caller(refer.headers.fields, False) else ""
        fields.append(("Referred-By", f"<{by}>{hidden}"))
    fields += of_itself
    if offer:
        fields.append(("Content-Type", "application/sdp"))
    return Request("INVITE", str(to), Headers(fields), _HELD.sub(b"a=sendrecv", offer))


def refer_on(invite: Request, said: Request, leg: Leg, own: bool) -> None:
    """Tell the one who is called who referred, as the peer on ``leg`` may know it (RFC 3892).

    ``own``: the trunk is that of the one who referred. What it wrote for itself into its URIs, it gets back.
    """
    by = referrer(said)
    marks = _marks(said.target) if own else ""
    invite.uri += marks
    hidden = (said.headers.get("Referred-By") or "").endswith(_WITHHELD) and leg.told != "trusted"
    if by is not None and leg.standing.transfers != "refuse" and (own or not hidden):
        invite.headers.add("Referred-By", f"<{by}>" if own else _address(leg, by))


def replace_on(invite: Request, leg: Leg, replaces: str, trunk: str) -> bool:
    """Demand that a dialog be replaced (RFC 3891 4); False where ``leg`` is not of the trunk that has it."""
    if leg.name != trunk:
        return False
    headers = invite.headers
    headers.add("Replaces", replaces)
    required = headers.get("Require")
    headers.set("Require", f"{required}, replaces" if required else "replaces")
    return True


def _marks(uri: Uri) -> str:
    kept = [f";{name}={value}" for name, value in uri.params if name.lower().startswith("x-") and value]
    return "".join([each for each in kept if len(each) <= LONGEST_PARAM + 8])
