"""How a REGISTER of ours is written, and what its answer says (RFC 3261 10.2, RFC 5626 4.2, RFC 6140 5.2)."""

from __future__ import annotations

from typing import Final
from uuid import NAMESPACE_URL, uuid5

from dsl.addresses import escape_user
from sbc.b2bua.leg import Leg, format_host
from sbc.b2bua.translate import ALLOW
from sbc.config.model import Registration, Trunk
from sbc.sip.grammar import ParseError
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response
from sbc.sip.uri import NameAddr, parse_name_addr

# How many values of Service-Route and P-Associated-URI are kept, and how long one may be.
MOST_KEPT: Final = 10
LONGEST_KEPT: Final = 512
# Seconds that a registrar is believed to keep a binding, if it was asked for less.
_BELIEVED: Final = 3600


def address_of_record(trunk: Trunk, terms: Registration) -> str:
    """Whose calls we want: the user at the carrier's domain."""
    return f"{trunk.scheme}:{escape_user(terms.user)}@{_domain(trunk, terms)}"


def _domain(trunk: Trunk, terms: Registration) -> str:
    return format_host(terms.domain or trunk.peers[0].host)


def contact(leg: Leg, terms: Registration, outbound: bool) -> str:
    """Where calls to us go; one for all numbers of the account has no user (RFC 6140 5.2).

    Over a connection it says by an instance and a number that it replaces our binding of an earlier
    connection, and that calls are wanted on this one (RFC 5626 4.2). The instance is the same after a
    restart, since it is made of what does not change. Not so where ``outbound`` says that the carrier's first
    hop does not know of that.
    """
    leg.contact = leg.address_of("" if terms.bulk else escape_user(terms.user))
    bare = leg.contact
    found = f"{bare[:-1]};bnc>" if terms.bulk else bare
    if not (outbound and leg.flow.reliable):
        return found
    instance = uuid5(NAMESPACE_URL, f"{address_of_record(leg.trunk, terms)} {bare}")
    return f'{found};reg-id=1;+sip.instance="<urn:uuid:{instance}>"'


def register(
    leg: Leg, terms: Registration, trunk: Trunk, fields: list[tuple[str, str]], outbound: bool
) -> Request:
    """The REGISTER with ``fields``, and what is supported and required (RFC 3327, 5626, 6140)."""
    transport = leg.flow.transport
    suffix = "" if transport == "udp" else f";transport={transport}"
    fields.append(("Supported", "path, outbound" if outbound and leg.flow.reliable else "path"))
    fields.append(("Allow", ALLOW))
    if terms.bulk:
        fields += [("Require", "gin"), ("Proxy-Require", "gin")]
    return Request("REGISTER", f"{leg.scheme}:{_domain(trunk, terms)}{suffix}", Headers(fields))


def granted_by(response: Response, request: Request) -> int:
    """For how many seconds the registrar keeps the binding of ``request`` (RFC 3261 10.2.4).

    That is in its Contact, which is found by its address; a carrier that writes another there has one alone.
    The others are of other devices of the account, however these have written theirs. A registrar may grant
    less than was asked for (10.3 step 7), and some grant more, as a least time of their own: that is believed
    up to an hour, for what is longer still may be milliseconds or another's.
    """
    own = request.contact
    values = response.headers.values("Contact")
    contacts = [each for value in values if (each := _read(value)) is not None]
    found = [each for each in contacts if own is not None and _same_place(each, own)]
    if not found and len(values) == 1:
        found = contacts
    asked = seconds(request.headers.get("Expires")) or 0
    said = seconds(found[0].param("expires")) if found else None
    if said is None:
        said = seconds(response.headers.get("Expires"))
    return asked if said is None else min(said, max(asked, _BELIEVED))


def _read(value: str) -> NameAddr | None:
    try:
        return parse_name_addr(value)
    except ParseError:
        return None


def _same_place(one: NameAddr, other: NameAddr) -> bool:
    """Whether two Contacts are one binding, as far as we write it (RFC 3261 10.2.4, 19.1.4)."""
    a, b = one.uri, other.uri
    return (a.user, a.host.lower(), a.port) == (b.user, b.host.lower(), b.port)


def retry_after(response: Response) -> float:
    """How many seconds the server wants to be left alone (RFC 3261 20.33), 0 for none."""
    value = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0]
    return float(seconds(value.strip()) or 0)


def seconds(text: str | None) -> int | None:
    """A number of seconds as a header has it; None for anything else."""
    return int(text) if text and len(text) <= 10 and text.isascii() and text.isdigit() else None


def kept(response: Response, name: str) -> tuple[str, ...]:
    """The values of a list that the registrar gives us to keep, such as Service-Route."""
    return tuple([each for each in response.headers.values(name) if len(each) <= LONGEST_KEPT][:MOST_KEPT])


def service_route(response: Response) -> tuple[str, ...]:
    """The route that the registrar wants calls to take (RFC 3608 6.1).

    None where a place of it cannot be read: every call would be refused for it. One that lacks its brackets
    gets them, for behind those its parameters are of the URI, as they are meant.
    """
    values = [each if "<" in each else f"<{each}>" for each in kept(response, "Service-Route")]
    for each in values:
        found = _read(each)
        if found is None or found.uri.scheme not in ("sip", "sips"):
            return ()
    return tuple(values)
