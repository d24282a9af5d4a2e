"""The contacts of one user: who is tried together, which of several refusals counts, how one is addressed."""

from __future__ import annotations

from typing import Final

from dsl.decision import Failure
from sbc.b2bua.desk import Desk
from sbc.b2bua.leg import Leg
from sbc.config.snapshot import Snapshot
from sbc.registrar.binding import Binding
from sbc.registrar.equal import same_contact
from sbc.sip.message import Request, Response

#: What tells the caller how to try again stands before other refusals of its class (RFC 3261 16.7 6).
_TELLING: Final = (401, 407, 415, 420, 484)


def contacts_of(desk: Desk, user: str, caller: Leg, request: Request, at: float) -> list[Binding]:
    """Where ``user`` is registered, by q, for the ``request`` of ``caller``.

    Who means its own number means its other phones.
    """
    contacts = desk.registrar.contacts(user, desk.date(at))
    if caller.login[0] == user:
        own = _of_the_caller(contacts, caller, request)
        phones = [each.instance for each in own if each.instance]
        contacts = [each for each in contacts if each not in own and each.instance not in phones]
    off = desk.store.current.disabled
    return [each for each in contacts if each.trunk not in off] if off else contacts


def _of_the_caller(contacts: list[Binding], caller: Leg, request: Request) -> list[Binding]:
    """Those of the calling phone: on its connection; of several behind a proxy, that of its Contact."""
    near = [each for each in contacts if each.flow is caller.flow]
    contact = request.contact
    if len(near) < 2 or contact is None:
        return near
    return [each for each in near if same_contact(contact.uri, each.contact)] or near


def absence(snapshot: Snapshot, user: str) -> tuple[int, str]:
    """As what a hop to a ``user`` fails who has no contact, and why."""
    settings = snapshot.settings.registrar
    if settings is not None and snapshot.phones.name_of(settings.realm, user) is not None:
        return 480, "the user is not registered"
    return 404, "there is no such user"


def send_to(request: Request, contact: Binding) -> None:
    """Send a request to a contact: by the path that it was registered on (RFC 3327, RFC 3261 16.6)."""
    uri = contact.contact
    request.uri = str(uri.with_(headers="")) if uri.headers else str(uri)
    request.headers.extend([("Route", each) for each in contact.path])


class Failed:
    """What became of one contact: its refusal, or why there is none."""

    __slots__ = ("failure", "leg", "response", "status")

    def __init__(self, failure: Failure, response: Response | None, leg: Leg | None) -> None:
        self.failure = failure
        self.response = response
        self.leg = leg
        #: As which response it counts (RFC 3261 16.8, 16.9; RFC 5626 5.3 of a flow that has failed).
        self.status = _status_of(failure) if response is None else response.status


def groups_of(contacts: list[Binding], one_by_one: bool) -> list[list[list[Binding]]]:
    """Who is tried together, group after group: phones, each with those of its flows that can be had.

    ``contacts`` are in their order, by q. Never two flows of one phone at once (RFC 5626 5.3).
    """
    phones: list[list[Binding]] = []
    known: dict[str, list[Binding]] = {}
    for each in contacts:
        flows = known.get(each.instance) if each.instance and each.reg_id else None
        if flows is not None:
            flows.append(each)
            continue
        phones.append([each])
        if each.instance and each.reg_id:
            known[each.instance] = phones[-1]
    groups: list[list[list[Binding]]] = []
    for phone in phones:
        if groups and not one_by_one and groups[-1][0][0].q == phone[0].q:
            groups[-1].append(phone)
        else:
            groups.append([phone])
    return groups


def rank(status: int) -> tuple[int, int, int]:
    """Which of several refusals counts: that of the least rank (RFC 3261 16.7 6).

    6xx before all; then those of the lowest class, first what tells the caller how to try again, last 503.
    """
    if status >= 600:
        return 0, 0, status
    return status // 100, 0 if status in _TELLING else 2 if status == 503 else 1, status


def better(best: Failed | None, failed: Failed) -> Failed:
    """Which of two refusals counts."""
    return failed if best is None or rank(failed.status) < rank(best.status) else best


def _status_of(failure: Failure) -> int:
    if isinstance(failure, int):
        return failure
    return 408 if failure == "timeout" else 480


def is_reachable(contact: Binding) -> bool:
    """Whether there is a way to it: its flow, or the address that its datagrams came from."""
    return (contact.flow is not None and contact.flow.alive) or contact.transport == "udp"
