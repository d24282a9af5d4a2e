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
from dsl.asserted import claimed
from dsl.facts import Facts, canonical, no_calls

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
    calls: Callable[[str], int] = no_calls,
) -> Facts:
    """The facts of a call; ``to`` is of the To header, ``header`` looks one up, ``login``: name and realm."""
    believed = arrival.believed or ("trusted" if arrival.peer_verified else "none")
    asserted = claimed(header, believed)
    return Facts(
        trunk=arrival.trunk, tenant=arrival.tenant, listener=arrival.listener,
        source=arrival.source, transport=arrival.transport, method=method,
        ruri_user=called.user, ruri_host=called.host, ruri_scheme=called.scheme,
        ruri_port=called.port, ruri_type=called.type, ruri_param=called.param,
        from_user=caller.user, from_host=caller.host, from_scheme=caller.scheme,
        from_port=caller.port, from_type=caller.type, from_param=caller.param,
        from_display=from_display,
        to_header_user=to.user, to_header_host=to.host, to_header_display=to_display,
        call_id=call_id,
        user_agent=header("User-Agent") or "",
        header=header_reader(header),
        sips=arrival.transport == "tls" and called.scheme == "sips",
        tls_version=arrival.tls_version, tls_group=arrival.tls_group, tls_cipher=arrival.tls_cipher,
        peer_verified=arrival.peer_verified, peer_sans=arrival.peer_sans, peer_issuer=arrival.peer_issuer,
        peer_subject=arrival.peer_subject, peer_pin=arrival.peer_pin,
        sdp_codecs=codecs, sdp_srtp=srtp,
        auth_user=login[0], auth_realm=login[1],
        now=now, calls=calls, asserted_user=asserted[0], asserted_display=asserted[1],
    )
# fmt: on


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
