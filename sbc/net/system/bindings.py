"""Who is registered, as entries of the store: by user, written before the phone is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from sbc.base import Address
from sbc.flow import Transport
from sbc.net.system.store import Store
from sbc.registrar.binding import Binding
from sbc.sip.grammar import ParseError
from sbc.sip.uri import parse_uri

SHELF: Final = "bindings"
_TRANSPORTS: Final[dict[str, Transport]] = {"udp": "udp", "tcp": "tcp", "tls": "tls"}
Done = Callable[[], object]


class BindingStore:
    """The bindings in ``store``; ``everybody`` gives those of all users, what ended by ``now`` is over."""

    def __init__(self, store: Store, now: float, everybody: Callable[[], Iterable[Binding]]) -> None:
        self._found: dict[str, list[Binding]] = {}
        self._now = now
        self._everybody = everybody
        self._shelf = store.shelf(SHELF, self._take, self._whole, dict)  # what changes is put by ``keep``

    @property
    def found(self) -> list[Binding]:
        """Those that were there and had not expired."""
        return [each for some in self._found.values() for each in some]

    def keep(self, user: str, bindings: tuple[Binding, ...], then: Done) -> None:
        """Write what ``user`` has, and call ``then`` when it is on the disk, or was said not to be."""
        self._shelf.put(user, [_row(each) for each in bindings] or None)
        self._shelf.after(then)

    def _take(self, user: str, rows: Any) -> bool:
        read = [_binding(user, row) for row in rows]
        good = [_by_the_clock(each, self._now) for each in read if each.expires_at > self._now]
        self._found[user] = good  # of a user who is taken over from elsewhere too, that holds
        return bool(good)

    def _whole(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for each in self._everybody():
            found.setdefault(each.user, []).append(_row(each))
        return found


def _by_the_clock(binding: Binding, now: float) -> Binding:
    """``binding``, which has no more left than it was told: a clock may say less now than it did then.

    A machine without a battery begins in the past, and when its clock is set all dates move with it.
    """
    ahead = binding.registered_at - now
    if ahead > 0:
        binding.registered_at -= ahead
        binding.expires_at -= ahead
    return binding


def _row(each: Binding) -> list[Any]:
    return [
        each.user, str(each.contact), each.remote.host, each.remote.port, each.transport, each.trunk,
        each.expires_at, each.registered_at, each.call_id, each.cseq, list(each.path), each.q,
        each.instance, each.reg_id, each.user_agent,
    ]  # fmt: skip


def _binding(owner: str, row: Any) -> Binding:
    """What a row says; ValueError, LookupError or TypeError for one that nobody of us has written."""
    user, contact, host, port, transport, trunk, expires_at, registered_at = row[:8]
    call_id, cseq, path, q, instance, reg_id, user_agent = row[8:]
    if user != owner:
        raise ValueError("it is another user's")
    try:
        return Binding(
            str(user), parse_uri(str(contact)), None, Address(str(host), int(port)), _TRANSPORTS[transport],
            str(trunk), expires_at=float(expires_at), registered_at=float(registered_at),
            call_id=str(call_id), cseq=int(cseq), path=tuple([str(each) for each in path]), q=float(q),
            instance=str(instance), reg_id=int(reg_id), user_agent=str(user_agent),
        )  # fmt: skip
    except ParseError as error:
        raise ValueError(str(error)) from None
