"""What is written on one leg from what was read on the other.

Nothing is copied but what an allow-list names (``sbc.policy.headers``): Via, Contact,
Call-ID, tags, Record-Route, User-Agent and every unknown header of one side stay on that
side. Our own headers are written fresh.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dsl.addresses import canonical_addresses, canonical_user, escape_user
from dsl.arrival import claimed
from dsl.asserted import ASSERTED, read_said
from dsl.decision import CopyHeader, Edit, RemoveHeader, Route, SetHeader, SetParam, SetPart
from dsl.ownership import copy_refusal, matches_glob
from sbc.b2bua.bodies import location, recording_feature, recording_tag, with_bodies, with_sdp
from sbc.b2bua.leg import Leg, between, format_target
from sbc.b2bua.uri_params import Side, params_after, placed, telephone
from sbc.base import Address, PeerError
from sbc.policy.diversions import converted, with_redirect
from sbc.policy.headers import PASSING, pass_headers
from sbc.policy.identity import SAYING_WHO, Boundary, Party, ours, taken, told
from sbc.policy.privacy import (
    ANONYMOUS,
    ANONYMOUS_DISPLAY,
    ANONYMOUS_HOST,
    check_critical,
    hides_caller,
)
from sbc.policy.standing import Transfers
from sbc.sip.grammar import LONGEST_KEPT, recent
from sbc.sip.headers import Headers
from sbc.sip.message import SDP, Message, Request, Response, serialize
from sbc.sip.parse import MAX_HEAD
from sbc.sip.uri import parse_uri

Fields = tuple[tuple[str, str], ...]

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO"
ACCEPT: Final = ("Accept", SDP)
METHODS: Final = frozenset(ALLOW.split(", "))
# What only the other side can serve. Where it does not say, UPDATE is not promised: it is sent only to those
# who allow it (RFC 3311 4).
_OF_THE_OTHER_SIDE: Final = frozenset(("UPDATE", "PRACK", "INFO"))
_ALLOW_OF_THE_SILENT: Final = ALLOW.replace(" UPDATE,", "")
# Extensions that we carry from end to end, and with them those that each leg has for itself; anything else
# that is required is refused (420).
CARRIED_EXTENSIONS: Final = frozenset(("100rel",))
EXTENSIONS: Final = ("100rel", "timer")
#: What trunks may require besides that take part in transfers (RFC 3891, RFC 4488, RFC 4538).
OF_TRANSFERS: Final = ("replaces", "norefersub", "tdialog")
_OF_TRANSFERS: Final = ", ".join(OF_TRANSFERS)

# Octets of the headers that may be carried across beside our own; more would not fit every peer's limits.
MAX_CARRIED: Final = 8192

_ANONYMOUS: Final = {
    "from.user": ANONYMOUS, "from.host": ANONYMOUS_HOST, "from.display": ANONYMOUS_DISPLAY, "from.scheme": "",
}  # fmt: skip
# User, host, type and scheme of each side, as ``SetPart`` names them.
_PARTS_OF: Final[dict[Side, tuple[str, str, str, str]]] = {
    "from": ("from.user", "from.host", "from.type", "from.scheme"),
    "to": ("to.user", "to.host", "to.type", "to.scheme"),
}
_PLAIN_DISPLAY: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ ]*").fullmatch
# How a number begins, also one of a service (*21#), as a URI writes it.
_DIALLED: Final = (*"+0123456789*", "%23")
_PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9\-.:\[\]]+").fullmatch

# Most messages have none of these: one look spares reading their names one by one.
_CROSSING: Final = PASSING | SAYING_WHO


def quote_display(display: str) -> str:
    """A display name as a From header writes it, with a blank behind; empty for none."""
    if not display:
        return ""
    if _PLAIN_DISPLAY(display):
        return f'"{display}" '
    clean = "".join(each for each in display if each >= " " and each != "\x7f")
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '" '


def parts_after(request: Request, edits: Iterable[Edit]) -> dict[str, str]:
    """All that ``SetPart`` names, as the rules leave it: users in the form in which they were judged.

    Hosts are empty unless a rule sets one: the caller's own never leave its leg, and no parameters do.
    """
    caller, called = request.from_.uri.party, request.target.party
    parts = {
        "from.user": caller.user,
        "from.host": "",
        "from.type": caller.type,
        "from.display": request.from_.display,
        "to.user": called.user,
        "to.host": "",
        "to.type": called.type,
    }
    for edit in edits:
        if isinstance(edit, SetPart):
            user = edit.part in ("from.user", "to.user")
            parts[edit.part] = canonical_user(edit.value) if user else edit.value
    return parts


def _crossing(message: Message, boundary: Boundary, party: Party) -> list[tuple[str, str]]:
    """The headers of a message that may leave its leg, with who its sender is, where that is believed."""
    headers, believed = message.headers, boundary.believed
    if _CROSSING.isdisjoint(headers.first):
        return []
    within = boundary.told == "trusted"
    fields = pass_headers(headers.fields, believed == "trusted", within, boundary.masked)
    return fields + taken(headers, believed, party)


def _edited(
    fields: list[tuple[str, str]], request: Request, boundary: Boundary, edits: Iterable[Edit]
) -> list[tuple[str, str]]:
    """The caller's headers that may leave, as the rules leave them."""
    display: str | None = None
    for edit in edits:
        if isinstance(edit, SetParam):
            continue
        if isinstance(edit, SetPart):
            if edit.part == "asserted.display":
                display = edit.value
            if edit.part in ("asserted.user", "asserted.display"):
                fields = _asserting(fields, request, boundary, edit, display)
        elif isinstance(edit, RemoveHeader):
            fields = [field for field in fields if not matches_glob(field[0], edit.glob)]
        elif isinstance(edit, SetHeader):
            name = edit.name.lower()
            fields = [field for field in fields if field[0].lower() != name]
            fields.append((edit.name, edit.value))
        elif isinstance(edit, CopyHeader):
            fields = _with_copies(fields, request, edit)
    return fields


def _asserting(
    fields: list[tuple[str, str]], request: Request, boundary: Boundary, edit: SetPart, display: str | None
) -> list[tuple[str, str]]:
    """``fields`` with one part of the identity set: what is asserted from here on is our own word.

    A name (``display``, where a rule has set one) alone asserts nobody, and no number takes it back.
    """
    said = next((read_said(value) for name, value in fields if name == ASSERTED), None)
    user = canonical_user(edit.value) if edit.part == "asserted.user" else said.party.user if said else ""
    if display is None:
        display = said.display if said else claimed(request.headers.get, boundary.believed)[1]
    rest = [field for field in fields if field[0] != ASSERTED]
    if not user:
        return rest
    return [*rest, (ASSERTED, ours(escape_user(user), display, boundary.place, user.startswith("+")))]


def _with_copies(fields: list[tuple[str, str]], request: Request, edit: CopyHeader) -> list[tuple[str, str]]:
    """``fields`` and those of the caller's that a rule lets cross, whatever the allow-list says.

    None crosses twice, and a header that gets another name takes the place of those that had it.
    """
    found = [
        (edit.name or name, canonical_addresses(value))
        for name, value in request.headers.fields
        if matches_glob(name, edit.glob) and copy_refusal(name, bool(edit.name)) is None
    ]
    if not edit.name:
        there = {name.lower() for name, _ in fields}
        return fields + [field for field in found if field[0].lower() not in there]
    taken = edit.name.lower()
    return [field for field in fields if field[0].lower() != taken] + found if found else fields


def extensions(message: Message, name: str, leg: Leg | None = None) -> str:
    """The option tags of Supported or Require that we carry, comma-separated; empty for none.

    ``leg`` is the one that they are written to: a peer that may transfer is told what of that we support.
    """
    transfers = leg is not None and name == "Supported" and leg.standing.transfers != "refuse"
    own = _OF_TRANSFERS if transfers else ""
    if name.lower() not in message.headers.first:
        return own
    tags = [tag for tag in message.headers.values(name) if tag.lower() in CARRIED_EXTENSIONS]
    return joined(", ".join(tags), own)


def joined(tags: str, more: str) -> str:
    """Two lists of option tags as one."""
    return f"{tags}, {more}" if tags and more else tags or more


def address_invite(leg: Leg, request: Request, route: Route, target: Address, hidden: bool = False) -> str:
    """Fix the leg's local and remote URIs and Contact for this call; return the request URI.

    ``hidden``: the caller is not to be told, whatever the rules made of its number (RFC 3323 4.1.1.3).
    """
    edits, caller, parts = route.edits, request.from_.uri.party, parts_after(request, route.edits)
    if hidden:
        parts |= _ANONYMOUS
    elif not parts["from.host"] and caller.host == ANONYMOUS_HOST and caller.user == parts["from.user"]:
        parts["from.host"] = ANONYMOUS_HOST  # it withholds itself, and no rule has given it another number
    user, uri = _side(leg.scheme, parts, "from", () if hidden else edits, leg.host)
    leg.local_uri = f"{quote_display(parts['from.display'])}<{uri}>"
    leg.contact = leg.address_of(user)
    transport = leg.flow.transport
    if request.target.scheme == "urn" and parts["to.user"] == request.target.party.user:
        uri = parts["to.user"]  # a service, wherever it is (RFC 5031): no rule made it a number
        leg.remote_uri = f"<{uri}>"
        return uri
    _, uri = _side(leg.scheme, parts, "to", edits, format_target(target, transport))
    leg.remote_uri = f"<{uri}>"
    return uri if transport == "udp" or uri.startswith("tel:") else f"{uri};transport={transport}"


def _side(
    scheme: str, parts: dict[str, str], side: Side, edits: tuple[Edit, ...], place: str
) -> tuple[str, str]:
    """User and URI of one side as the rules leave them; it is at ``place`` unless they have set a host."""
    user_part, host_part, type_part, scheme_part = _PARTS_OF[side]
    user, host, params = escape_user(parts[user_part]), parts[host_part], ""
    if edits:
        user, params = placed(parts[user_part], params_after(edits, side))
        number = telephone(parts.get(scheme_part, ""), user, params)
        if number:
            return user, number
    if host:
        place = _host(host) or place
    # The user is a telephone number, where it can be one (RFC 3261 19.1.6).
    phone = ";user=phone" if parts[type_part] == "phone" and user.startswith(_DIALLED) else ""
    return user, f"{scheme}:{user}{'@' if user else ''}{place}{phone}{params}"


def _host(text: str) -> str:
    """A host, with a port or without, that a rule has set; empty where a URI cannot have it."""
    if not _PLAIN_HOST(text):
        return ""
    try:
        parse_uri(f"sip:{text}")
    except PeerError:
        return ""
    return text


def redirect_contact(target: str) -> str | None:
    """A redirect's target as a Contact writes it; None where it is no URI of a call (RFC 3261 25.1)."""
    try:
        uri = parse_uri(target)
    except PeerError:
        return None
    if uri.scheme == "tel":
        return f"<{uri}>"
    if uri.scheme not in ("sip", "sips") or ("@" in target and not uri.user):
        return None
    return f"<{uri.with_(user=uri.user)}>"


def is_secure(target: str) -> bool:
    """Whether a redirect's target is reached over TLS: a sips: URI, or one with ``transport=tls``."""
    try:
        uri = parse_uri(target)
    except PeerError:
        return False
    return uri.scheme == "sips" or (uri.scheme == "sip" and (uri.param("transport") or "").lower() == "tls")


def invite(
    leg: Leg, request: Request, route: Route, target: Address, branch: str, sdp: bytes, near: Leg,
    redirected: str = "",
) -> Request:  # fmt: skip
    """The INVITE for the other leg (RFC 3261 8.1.1), from the caller's and the decision.

    ``near`` is the leg that the caller's came by, ``redirected`` whom it was for, if that one's redirect is
    followed.

    PeerError 500 where the caller insists on privacy that we cannot give (RFC 3323 5).
    """
    uri, crossing = address(leg, request, route, target, near)
    both = near.standing.bodies and leg.standing.bodies  # without them nothing beside SDP crosses
    if both:
        leg.contact += recording_feature(request, near.trunk, leg.trunk)
    fields = leg.opening(request, branch)
    fields += [("Contact", leg.contact), ("Allow", allow(request, leg.standing.transfers))]
    for name in ("Supported", "Require"):
        tags = extensions(request, name, leg)
        if both:
            tags = joined(tags, recording_tag(request, name, near.trunk, leg.trunk))
        if tags:
            fields.append((name, tags))
    wanted = leg.standing.diversion
    if wanted != "pass":
        crossing = with_redirect(crossing, wanted, escape_user(redirected), leg.host)
        crossing = converted(crossing, wanted, leg.remote_uri[1:-1])
    fields += crossing
    if both:
        return with_bodies(Request("INVITE", uri, Headers(fields)), request, sdp, near.trunk, leg.trunk)
    if sdp:
        fields.append(("Content-Type", SDP))
    return Request("INVITE", uri, Headers(fields), sdp)


def address(
    leg: Leg, request: Request, route: Route, target: Address, near: Leg
) -> tuple[str, list[tuple[str, str]]]:
    """Fix the leg's URIs for what is begun there; its request URI, and the headers that cross from ``near``.

    PeerError 500 where its sender insists on privacy that we cannot give.
    """
    boundary = between(near, leg)
    crossing = _crossing(request, boundary, "calling")
    if near.standing.bodies and leg.standing.bodies:
        crossing += location(request, near.trunk, leg.trunk)
    if route.edits:
        crossing = _edited(crossing, request, boundary, route.edits)
    hidden = False
    if crossing and boundary.told != "trusted":
        check_critical(crossing)
        hidden = hides_caller(crossing, False)
    uri = address_invite(leg, request, route, target, hidden)
    return uri, told(crossing, boundary, "calling", True) if crossing else crossing


def allow(message: Message, transfers: Transfers = "refuse") -> str:
    """The methods to promise one side, of which the other has sent ``message`` (RFC 3261 20.5).

    ``transfers`` is what becomes of a REFER of that side: one that is passed on the other has to allow.
    """
    if transfers != "refuse":
        told = ",".join(message.headers.get_all("Allow")).split(",")
        if transfers == "perform" or "REFER" in [each.strip(" \t") for each in told]:
            return f"{allow(message)}, REFER, NOTIFY"
    lines = message.headers.get_all("Allow")
    if not lines:
        return _ALLOW_OF_THE_SILENT
    value = ",".join(lines)
    return _recent_allow(value) if len(value) <= LONGEST_KEPT else _allow(value)


def _allow(value: str) -> str:
    said = {each.strip(" \t") for each in value.split(",")}
    return ", ".join([each for each in ALLOW.split(", ") if each in said or each not in _OF_THE_OTHER_SIDE])


_recent_allow: Final = recent(_allow)


def answer(base: Response, received: Response, leg: Leg, far: Leg | None, sdp: bytes) -> Response:
    """Complete ``base``, made from our side's request, with what the response of ``far`` may tell."""
    headers = base.headers
    # Whether anything beside SDP may cross at all.
    both = far if far is not None and far.standing.bodies and leg.standing.bodies else None
    if base.status < 300:
        if "contact" not in headers.first:
            feature = recording_feature(received, both.trunk, leg.trunk) if both is not None else ""
            headers.add("Contact", leg.contact + feature)
        if "allow" in received.headers.first or received.cseq.method == "INVITE":
            headers.add("Allow", allow(received, leg.standing.transfers))
    for name in ("Supported", "Require", "Unsupported"):
        tags = extensions(received, name, leg)
        if both is not None:
            tags = joined(tags, recording_tag(received, name, both.trunk, leg.trunk))
        if tags:
            headers.add(name, tags)
    rseq = received.headers.get("RSeq")
    if rseq is not None and base.status < 200:
        headers.add("RSeq", rseq)
    headers.extend(carried(received, far, leg))
    if both is None:
        return with_sdp(base, sdp)
    headers.extend(location(received, both.trunk, leg.trunk))
    try:
        return with_bodies(base, received, sdp, both.trunk, leg.trunk)
    except PeerError:
        if base.status < 300:
            raise
        return base  # a refusal says what it has to say without one


def carried(message: Message, near: Leg | None, far: Leg) -> list[tuple[str, str]]:
    """The headers of a response or of a request within a dialog that cross; none where they are too long."""
    boundary = between(near, far)
    # Who answers is the called one; what a re-INVITE or UPDATE asserts is of who sends it (RFC 5876 4).
    party: Party = "calling" if far.side == "b" else "called"
    fields = told(_crossing(message, boundary, party), boundary, party, message.is_request)
    return fields if not fields or octets(fields) <= MAX_CARRIED else []


def reasons(message: Message) -> Fields:
    """Why a request is given up (RFC 3326): all of a CANCEL that crosses."""
    fields = [("Reason", value) for value in message.headers.get_all("Reason")]
    return tuple(fields) if octets(fields) <= MAX_CARRIED else ()


def octets(fields: list[tuple[str, str]]) -> int:
    """How long ``fields`` are on the wire, as long as they are ASCII."""
    return sum([len(name) + len(value) + 4 for name, value in fields])


def too_long(request: Request) -> bool:
    """Whether the head would cost the connection to a peer with limits like our own (``MAX_HEAD``)."""
    if octets(request.headers.fields) + len(request.uri) < MAX_HEAD // 5:
        return False  # however many octets its characters need in UTF-8
    return len(serialize(request)) - len(request.body) > MAX_HEAD
