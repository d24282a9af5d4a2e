"""How a call comes, and the one place where the facts of a call are made of that and of its INVITE.

A call that arrives, one that a test beside the rules or ``sbc route test`` describes, and one that is on
record are all made into facts here, so that rules see the same of each. What follows from something else
(``sips`` from transport and scheme, ``user_agent`` from the headers) is worked out in ``call_facts`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from dsl.addresses import Lookup, Party, header_reader, no_param
from dsl.asserted import REMOTE_PARTY, SAYING, Said, is_screened, party_of, read_said
from dsl.facts import FILL, Facts, canonical, no_calls, nobody_registered, nothing_remembered

NOBODY: Final = Party("", "", "sip", 0, no_param, "")


class Arrival(NamedTuple):
    """What its trunk and its connection settle of a call, by the attributes of ``Facts``.

    ``believed`` is how far its trunk is when it says who its callers are; empty: if the peer is verified.
    """

    trunk: str = ""
    tenant: str = ""
    listener: str = ""
    source: str = ""
    transport: str = ""
    tls_version: str = ""
    tls_group: str = ""
    tls_cipher: str = ""
    peer_verified: bool = False
    peer_sans: tuple[str, ...] = ()
    peer_issuer: str = ""
    peer_subject: str = ""
    peer_pin: str = ""
    believed: str = ""


NOWHERE: Final = Arrival()


# fmt: off
def call_facts(
    arrival: Arrival, called: Party, caller: Party, to: Party, header: Lookup, from_display: str = "",
    to_display: str = "", method: str = "INVITE", call_id: str = "", codecs: tuple[str, ...] = (),
    srtp: str = "none", login: tuple[str, str] = ("", ""), now: float = 0.0,
    calls: Callable[[str], int] = no_calls, registered: Callable[[str], bool] = nobody_registered,
) -> Facts:
    """The facts of a call; ``to`` is of the To header, ``header`` looks one up, ``login``: name and realm."""
    believed = arrival.believed or ("trusted" if arrival.peer_verified else "none")
    asserted = claimed(header, believed)
    values: tuple[Any, ...] = (
        arrival.trunk, arrival.tenant, arrival.listener, arrival.source, arrival.transport, method,
        called.user, called.host, called.scheme, caller.user, caller.host, from_display,
        to.user, to.host, call_id, header("User-Agent") or "",
        arrival.transport == "tls" and called.scheme == "sips",
        arrival.tls_version, arrival.tls_group, arrival.tls_cipher, arrival.peer_verified,
        arrival.peer_sans, arrival.peer_issuer, arrival.peer_subject, arrival.peer_pin, codecs, srtp, now,
        (), header_reader(header), called.port, called.param, caller.scheme, caller.port, caller.param,
        to_display, login[0], login[1], called.type, caller.type, calls, asserted[0], asserted[1],
        "", "", False, False, registered, nothing_remembered,
    )
    facts = Facts.__new__(Facts)
    for index, fill in enumerate(FILL):  # zip takes twice as long, compiled
        fill(facts, values[index])
    return facts
# fmt: on


def claimed(header: Lookup, believed: str) -> tuple[str, str]:
    """User and display name that an INVITE says of its caller, where anybody listens (``believed``: how far).

    Of whom is ``trusted``, what it does not vouch for itself is left out; of ``none`` everything is.
    """
    if believed == "none":
        return "", ""
    for name in SAYING:
        value = header(name)
        if value is None:
            continue
        said = read_said(value)
        if said is None or (name == REMOTE_PARTY and not _counts(said, believed)):
            continue
        return said.party.user, said.display
    return "", ""


def _counts(said: Said, believed: str) -> bool:
    return party_of(said, "calling") == "calling" and (believed != "trusted" or is_screened(said))


def written(
    arrival: Arrival,
    called: Party = NOBODY,
    caller: Party = NOBODY,
    headers: Mapping[str, str] | None = None,
    **given: Any,
) -> Facts:
    """The facts of a call that somebody has written down; ``given`` are those that were named, by attribute.

    They are read as those of a call are, and come before what ``arrival`` and the URIs say. The To header
    names whom the request does.
    """
    fields = canonical(given)
    arrival = arrival._replace(**{name: fields.pop(name) for name in Arrival._fields if name in fields})
    called = called._replace(**_of_party("ruri", fields))
    caller = caller._replace(**_of_party("from", fields))
    known = {name.lower(): value for name, value in (headers or {}).items()}
    for name, fact in _HEADERS:
        if fact in fields:
            known.setdefault(name, fields[fact])
    facts = call_facts(
        arrival,
        called,
        caller,
        called,
        lambda name: known.get(name.lower()),
        call_id=known.get("call-id", ""),
    )
    return replace(facts, **fields)


_HEADERS: Final = (("user-agent", "user_agent"), ("call-id", "call_id"))


def _of_party(side: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The parts of a URI that were given as facts, taken out of ``fields``."""
    names = {name: f"{side}_{name}" for name in Party._fields}
    return {name: fields.pop(fact) for name, fact in names.items() if fact in fields}
