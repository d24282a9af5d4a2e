"""Whose a request is where several trunks share the address that it came from.

The connection has one trunk, the first that its address and certificate may mean. A call that arrives is
given to the trunk that ``sbc.policy.customers`` finds in its request, if the address may speak for that one
too; all that follows in the call stays with it. Where no trunk shares its address with others, none of this
is asked.
"""

from __future__ import annotations

from typing import NamedTuple

from dsl.addresses import Party
from sbc.b2bua.commands import Note
from sbc.b2bua.screening import Refusal
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.policy.customers import Customers
from sbc.sip.message import Request


class Unfit(NamedTuple):
    """A request that is nobody's of those who share its address: the answer, why, and the remedy."""

    refusal: Refusal
    reason: str
    remedy: str


def customer_of(snapshot: Snapshot, flow: Flow, own: Trunk, request: Request) -> str | Unfit:
    """Whose a request is that begins something; ``own`` is the trunk of its connection.

    PeerError where its addresses cannot be read.
    """
    customers = snapshot.customers[own.trunk]
    among = _meant_by(snapshot, flow, customers, own)
    called, caller = request.target.party, request.from_.uri.party.host
    found = claimed(customers, own, among, flow.outbound and flow.reliable, called, caller)
    if isinstance(found, str) and found in snapshot.quarantined and found not in snapshot.disabled:
        why = f"trunk {found} is quarantined: {snapshot.why_quarantined(found)}"
        return Unfit(Refusal(503, "Service Unavailable"), why, "sbc check names the file and what to do")
    return found


def told_of(unfit: Unfit, flow: Flow) -> Note:
    """The line of the journal about a request that is nobody's."""
    fields = {"trunk": flow.trunk, "remote": str(flow.remote), "reason": unfit.reason, "remedy": unfit.remedy}
    return Note("call-refused", "", fields)


def claimed(
    customers: Customers, own: Trunk, among: tuple[str, ...], kept: bool, called: Party, caller: str
) -> str | Unfit:
    """Whose a call to ``called`` is, of the trunks ``among`` that its address may speak for.

    ``own`` is the trunk of its connection, which ``kept`` says that we have opened.
    """
    name = customers.choose(called, caller, own.trunk, among, kept)
    if name is not None:
        return name
    other = customers.choose(called, None, own.trunk, among, kept) if customers.asks_callers else None
    return _nobodys(called, customers, among) if other is None else _not_from(caller, other, customers)


def written_customer(snapshot: Snapshot, own: Trunk, source: str, called: Party, caller: str) -> str | Unfit:
    """Whose a call is that somebody has written down as coming from ``own``, and from ``source`` if any."""
    customers = snapshot.customers.get(own.trunk)
    if customers is None:
        return own.trunk
    listener = snapshot.settings.listeners[own.listener]
    among: tuple[str, ...] = (own.trunk,)
    if listener.transport != "tls" or not own.sources:
        among += tuple(customers.fellows(own.trunk))
    among = (*snapshot.sources[own.listener].lookup(source), *among) if source else among
    kept = own.registration is not None and listener.transport != "udp"
    return claimed(customers, own, among, kept, called, caller)


def speaks_for(snapshot: Snapshot, flow: Flow, trunk: str) -> bool:
    """Whether what comes over ``flow``, of another trunk, may be ``trunk``'s as well."""
    own = snapshot.trunks.get(flow.trunk or "")
    customers = snapshot.customers.get(trunk)
    if own is None or customers is None or snapshot.customers.get(own.trunk) is not customers:
        return False
    return trunk in _meant_by(snapshot, flow, customers, own)


def _meant_by(snapshot: Snapshot, flow: Flow, customers: Customers, own: Trunk) -> tuple[str, ...]:
    """The trunks that the peer at the other end of ``flow`` may speak for, the narrowest network first.

    A certificate that it has shown is good for all of ``customers``. Whom we dialled speaks for those of the
    same peers; without TLS so does whoever has that address.
    """
    sources = snapshot.sources.get(own.listener)
    near = sources.lookup(flow.remote.host) if sources is not None else ()
    if flow.secure and not flow.outbound:
        return near
    return (*near, own.trunk, *customers.fellows(own.trunk))


def _nobodys(called: Party, customers: Customers, among: tuple[str, ...]) -> Unfit:
    told = [f"{name} has {customers.members[name].says()}" for name in _known(customers, among)]
    more = f"; and {len(told) - 4} more" if len(told) > 4 else ""
    where = f" at {called.host}" if called.host else ""
    reason = f"{called.user or 'no user'}{where} is none of the trunks' that share this address"
    remedy = (
        f"add it to the `match` of its trunk, or give one trunk there no `match`: {'; '.join(told[:4])}{more}"
    )
    return Unfit(Refusal(404, "Not Found"), reason, remedy)


def _known(customers: Customers, among: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys([name for name in among if name in customers.members]))


def _not_from(caller: str, trunk: str, customers: Customers) -> Unfit:
    hosts = ", ".join(customers.members[trunk].from_hosts)
    reason = f"its From has the host {caller}, and trunk {trunk} takes {hosts}"
    return Unfit(Refusal(403, "Forbidden"), reason, f"add {caller} to `match` from.host of trunk {trunk}")
