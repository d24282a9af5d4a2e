"""What a REGISTER asks for, and what comes of it: RFC 3261 10.3, steps 6 to 8, with RFC 3327 and RFC 5626.

By then a password has proved who it is (``sbc.b2bua.phones``). Nothing is changed here: what the user is to
have afterwards is worked out as a whole, from what it had, and either all of it holds or nothing does.

RFC 5626 is taken at its word over TCP and TLS, where a phone's connection is the way to it: a phone with an
instance and a reg-id replaces its own binding, whatever address it has meanwhile. Over UDP it would have to
be answered by STUN, so there a reg-id says nothing, and ``outbound`` is not promised.
"""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from hashlib import sha256
from typing import Final

from sbc.flow import Flow
from sbc.registrar.binding import Binding
from sbc.registrar.equal import same_contact
from sbc.sip.grammar import ParseError, decimal, unquote
from sbc.sip.message import Request
from sbc.sip.uri import NameAddr, Uri, parse_name_addr

Field = tuple[str, str]

OUTBOUND: Final = "outbound"
PATH: Final = "path"
#: Below this no registrar may refuse an expiry as too brief (RFC 3261 10.3 step 7).
HOUR: Final = 3600
#: Octets of a Contact's URI, of its instance, of a Call-ID, and of all Path values: what is kept of a user is
#: bounded.
LONGEST_CONTACT: Final = 1000
LONGEST_INSTANCE: Final = 200
LONGEST_CALL_ID: Final = 255
LONGEST_PATH: Final = 2000
#: How often a phone is asked to say something on its connection (RFC 5626 4.4.1), in seconds.
FLOW_TIMER: Final = 120


class Terms:
    """What phones may have: seconds of a binding (least, most, where none are asked for), and how many."""

    __slots__ = ("contacts", "default", "least", "most")

    def __init__(self, least: int, most: int, default: int, contacts: int) -> None:
        self.least = least
        self.most = most
        self.default = default
        self.contacts = contacts


class Refused(Exception):
    """A REGISTER that changes nothing: its answer, the headers that explain it, and ``why`` for the log."""

    def __init__(self, status: int, reason: str, why: str, headers: tuple[Field, ...] = ()) -> None:
        super().__init__(why)
        self.status = status
        self.reason = reason
        self.why = why
        self.headers = headers


class Change:
    """What a user has after a REGISTER, and what of it is new or gone; ``headers`` are those of the 200."""

    __slots__ = ("added", "bindings", "changed", "headers", "removed")

    def __init__(self, bindings: list[Binding]) -> None:
        self.bindings = bindings
        self.added: list[Binding] = []
        self.removed: list[Binding] = []
        self.changed = False
        self.headers: list[Field] = []


class Wish:
    """One Contact of a REGISTER; ``expires`` in seconds, 0 to be forgotten."""

    __slots__ = ("expires", "instance", "q", "reg_id", "uri")

    def __init__(self, uri: Uri, expires: int, q: float, instance: str, reg_id: int) -> None:
        self.uri = uri
        self.expires = expires
        self.q = q
        self.instance = instance
        self.reg_id = reg_id


def register(
    request: Request, user: str, known: list[Binding], flow: Flow, terms: Terms, now: float, trunk: str = ""
) -> Change:
    """What ``user``, who has ``known`` at ``now`` (POSIX), has after ``request``; Refused, ParseError.

    ``trunk`` is whose the request is, that of ``flow`` where none is named.
    """
    values = request.headers.values("contact")
    if not values:
        change = Change(known)
    elif "*" in values:
        change = _without_any(request, values, known)
    else:
        change = _with(request, user, values, known, flow, terms, now, trunk or flow.trunk or "")
    change.headers = told(change.bindings, now)
    if values and "*" not in values:
        change.headers += _extensions(request, flow)
    return change


def told(bindings: list[Binding], now: float) -> list[Field]:
    """What the 200 says of a user's bindings: all of them, with what is left of each (step 8)."""
    fields = [("Contact", _contact(each, now)) for each in bindings if each.expires_at > now]
    return [*fields, ("Date", _date(int(now)))]


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    # Many answers are of the same second, and the calendar is the dear part.
    return formatdate(second, usegmt=True)


def _contact(binding: Binding, now: float) -> str:
    text = f"<{binding.contact}>;expires={max(1, round(binding.expires_at - now))}"
    if binding.q != 1.0:
        text += f";q={binding.q:g}"
    if binding.instance:
        text += f';+sip.instance="{binding.instance}"'
    return f"{text};reg-id={binding.reg_id}" if binding.reg_id else text


# All of them: Contact: *


def _without_any(request: Request, values: list[str], known: list[Binding]) -> Change:
    if len(values) != 1 or decimal(request.headers.get("Expires") or "") != 0:
        raise Refused(400, "Bad Request", "Contact: * needs Expires: 0, and no other Contact beside it")
    for each in known:
        _in_order(request, each)
    change = Change([])
    change.removed, change.changed = known, bool(known)
    return change


def _in_order(request: Request, known: Binding) -> None:
    """Refuse what is older than what the same phone has said before (step 6 and 7)."""
    if known.call_id == _call_id(request) and request.cseq.number <= known.cseq:
        why = f"CSeq {request.cseq.number} of one Call-ID comes after {known.cseq}"
        raise Refused(500, "CSeq Out Of Order", why)


# Some of them


def _with(
    request: Request, user: str, values: list[str], known: list[Binding], flow: Flow, terms: Terms,
    now: float, trunk: str,
) -> Change:  # fmt: skip
    wishes = _wishes(request, values, flow, terms)
    path = _path(request)
    left = list(known)
    change = Change([])
    for wish in wishes:
        former = _found(wish, left)
        if former is not None:
            _in_order(request, former)
            left.remove(former)
        if wish.expires == 0:
            if former is not None:
                change.removed.append(former)
            continue
        made = _binding(request, user, wish, flow, path, now, trunk)
        change.bindings = [each for each in change.bindings if not _same(wish, each)]
        change.bindings.append(made)
        if former is None:
            change.added.append(made)
    fresh = change.bindings
    if len(fresh) > terms.contacts:
        raise Refused(403, "Too Many Contacts", f"{len(fresh)} contacts, and {terms.contacts} are the most")
    change.removed += _make_room(left, fresh, terms.contacts)
    change.bindings = [*left, *fresh]
    change.changed = bool(fresh or change.removed)
    return change


def _make_room(left: list[Binding], fresh: list[Binding], most: int) -> list[Binding]:
    """Take out of ``left`` what nobody can be reached by any more, the oldest first; Refused.

    Where that is not enough, what the same phone has said before: who comes back with another address, over
    UDP too, is known by its instance (RFC 5626 4.1), or by the Call-ID that it keeps until it starts anew
    (RFC 3261 10.2). A phone that numbers its flows says itself which it replaces.
    """
    many = len(fresh) + len(left) - most
    if many <= 0 or not fresh:
        return []
    lost = [each for each in left if each.transport != "udp" and (each.flow is None or not each.flow.alive)]
    gone = sorted(lost, key=_age)
    if len(gone) < many:
        former = [
            each for each in left if not each.reg_id and each not in gone and _is_same_phone(each, fresh)
        ]
        gone += sorted(former, key=_age)
    if len(gone) < many:
        why = "all the contacts that the user may have are there: raise `contacts`, or wait until one expires"
        raise Refused(403, "Too Many Contacts", why)
    for each in gone[:many]:
        left.remove(each)
    return gone[:many]


def _is_same_phone(binding: Binding, fresh: list[Binding]) -> bool:
    for each in fresh:
        if each.call_id == binding.call_id or (each.instance and each.instance == binding.instance):
            return True
    return False


def _age(binding: Binding) -> float:
    return binding.registered_at


def _found(wish: Wish, bindings: list[Binding]) -> Binding | None:
    for each in bindings:
        if _same(wish, each):
            return each
    return None


def _same(wish: Wish, binding: Binding) -> bool:
    """Whether it is about this binding: the same instance and reg-id (RFC 5626 6), or the same contact."""
    if wish.reg_id and binding.reg_id:
        return wish.instance == binding.instance and wish.reg_id == binding.reg_id
    return same_contact(wish.uri, binding.contact)


def _binding(
    request: Request, user: str, wish: Wish, flow: Flow, path: tuple[str, ...], now: float, trunk: str
) -> Binding:
    agent = request.headers.get("User-Agent") or ""
    return Binding(
        user, wish.uri, flow, flow.remote, flow.transport, trunk,
        expires_at=now + wish.expires, registered_at=now, call_id=_call_id(request), cseq=request.cseq.number,
        path=path, q=wish.q, instance=wish.instance, reg_id=wish.reg_id, user_agent=agent[:200],
    )  # fmt: skip


def _call_id(request: Request) -> str:
    """The Call-ID of ``request`` as it is kept: as long as phones make them, or else what tells it apart."""
    said = request.call_id
    if len(said) <= LONGEST_CALL_ID:
        return said
    return sha256(said.encode("utf-8", "surrogateescape")).hexdigest()


# What each Contact asks for


def _wishes(request: Request, values: list[str], flow: Flow, terms: Terms) -> list[Wish]:
    if len(values) > 10 * terms.contacts:
        raise Refused(403, "Too Many Contacts", f"{len(values)} contacts in one REGISTER")
    outbound = asks_for_outbound(request, flow)
    asked = decimal(request.headers.get("Expires") or "")
    wishes = [_wish(parse_name_addr(value), asked, outbound, flow, terms) for value in values]
    kept = [each for each in wishes if each.expires]
    if len(kept) > 1 and any([each.reg_id for each in kept]):
        raise Refused(400, "Bad Request", "more than one Contact beside a reg-id (RFC 5626 6)")
    if any([each.reg_id for each in kept]):
        _check_first_hop(request)
    return wishes


def _wish(address: NameAddr, asked: int | None, outbound: bool, flow: Flow, terms: Terms) -> Wish:
    uri = address.uri
    if uri.scheme not in ("sip", "sips") or not uri.host:
        raise Refused(403, "Contact Not Allowed", f"a {uri.scheme}: Contact: no call can be sent there")
    if uri.scheme == "sips" and not flow.secure:
        raise Refused(403, "Contact Not Allowed", "a sips: Contact over a connection without TLS (RFC 5630)")
    if len(str(uri)) > LONGEST_CONTACT:
        raise Refused(403, "Contact Too Long", f"a Contact of over {LONGEST_CONTACT} octets")
    expires = _seconds(address, asked, terms)
    instance = unquote(address.param("+sip.instance") or "")
    plain = instance.isascii() and instance.isprintable() and '"' not in instance and "\\" not in instance
    if len(instance) > LONGEST_INSTANCE or not plain:
        raise Refused(400, "Bad Request", "an instance that is no URN of usual length")
    reg_id = decimal(address.param("reg-id") or "") or 0
    if not (outbound and instance):
        reg_id = 0
    return Wish(uri, expires, _priority(address), instance, reg_id)


def _seconds(address: NameAddr, asked: int | None, terms: Terms) -> int:
    """How long a Contact is to be kept: its own word, else that of all, else ours; not over the most."""
    said = address.param("expires")
    own = decimal(said) if said is not None else None
    if own is None:
        own = asked if said is None else HOUR  # what is malformed reads as an hour (RFC 3261 20.10)
    if own is None:
        own = terms.default
    if 0 < own < min(terms.least, HOUR):
        why = f"{own} s, and {terms.least} s are the least"
        raise Refused(423, "Interval Too Brief", why, (("Min-Expires", str(terms.least)),))
    return min(own, terms.most)


def _priority(address: NameAddr) -> float:
    """The q of a Contact, 1 without one (RFC 3261 20.10: up to three decimals, at most 1)."""
    said = address.param("q")
    if said is None:
        return 1.0
    whole, _, part = said.partition(".")
    if whole in ("0", "1") and len(part) <= 3 and (not part or (part.isdigit() and part.isascii())):
        value = float(f"{whole}.{part or 0}")
        if value <= 1.0:
            return value
    raise ParseError("malformed q of a Contact")


# RFC 5626 and RFC 3327


def asks_for_outbound(request: Request, flow: Flow) -> bool:
    """Whether the phone means its connection to be the way to it, and we can do that over this one."""
    if not flow.reliable:
        return False
    headers = request.headers
    tags = [*headers.values("Supported"), *headers.values("Require")]
    return any([each.lower() == OUTBOUND for each in tags])


def _check_first_hop(request: Request) -> None:
    """A proxy in between has to know RFC 5626 too, or the connection is not the phone's (RFC 5626 6)."""
    if len(request.headers.values("via")) < 2:
        return
    path = request.headers.values("path")
    if not path or parse_name_addr(path[-1]).uri.param("ob") is None:
        why = "it came by a proxy whose Path has no `ob` (RFC 5626 6)"
        raise Refused(439, "First Hop Lacks Outbound Support", why)


def _path(request: Request) -> tuple[str, ...]:
    values = request.headers.values("path")
    for each in values:
        parse_name_addr(each)
    if sum([len(each) for each in values]) > LONGEST_PATH:
        raise Refused(403, "Path Too Long", f"Path values of over {LONGEST_PATH} octets")
    return tuple(values)


def _extensions(request: Request, flow: Flow) -> list[Field]:
    """What of the phone's wishes we do: its Path again (RFC 3327 5.3), and whether its flow is kept."""
    fields = [("Path", each) for each in request.headers.values("path")]
    if not flow.reliable:
        return [*fields, ("Supported", PATH)]
    fields.append(("Supported", f"{PATH}, {OUTBOUND}"))
    if asks_for_outbound(request, flow) and _has_reg_id(request):
        fields += [("Require", OUTBOUND), ("Flow-Timer", str(FLOW_TIMER))]
    return fields


def _has_reg_id(request: Request) -> bool:
    for value in request.headers.values("contact"):
        address = parse_name_addr(value)
        if address.param("+sip.instance") and decimal(address.param("reg-id") or ""):
            return True
    return False
