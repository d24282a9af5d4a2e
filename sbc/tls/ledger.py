"""What was observed of every trunk's TLS, in each direction: the trust that really holds.

The configuration says what we accept; only handshakes show what the peer presents, what it
accepts and when either last worked. Two things are kept:

- for a trunk and direction the last good handshake, the last failure, how many there were, and
  the CAs that the peer's CertificateRequest named;
- for a trunk the chains that peers presented, so that a changed truststore can be rehearsed against
  them and expiry be told of certificates that are in use. A bounded number, the ones not seen
  longest dropped first. Chains that were refused have places of their own: whoever connects with
  a thousand bad certificates cannot drive a good one out.

All of it survives a restart, entry by entry as JSON. Nothing here decides anything.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sbc.base import PeerError
from sbc.flow import TlsFacts
from sbc.tls.failure import Direction, Failure
from sbc.tls.material.certificate import CertificateCache, thumbprint_of
from sbc.typed import record

SHOWN_KEPT = 64
REFUSED_KEPT = 16
# Bytes of one chain: some ten times what anybody needs, and a bound to what a peer can make us keep.
MAX_CHAIN_KEPT = 32768
# Bytes of one certificate that nobody is surprised at.
_EVERYDAY = 4096
_Chain = tuple[Direction, bytes]  # by its leaf
_Place = tuple[str, Direction, bytes]  # a chain of a trunk, or without a leaf its side


@dataclass(frozen=True, slots=True)
class Good:
    """The last good handshake: when, with whom, what was agreed and who vouched for the peer.

    ``anchor`` is a truststore entry and ``thumbprint`` the leaf's, "" where the peer showed none.
    """

    at: float
    remote: str
    version: str
    cipher: str
    group: str
    anchor: str = ""
    thumbprint: str = ""


@dataclass(frozen=True, slots=True)
class Bad:
    """The last failed handshake; ``alert`` is such as ``sent 48 unknown_ca``, "" for none.

    ``sole`` is False where the address could have been another trunk's too, ``where`` the place in
    the configuration to look at.
    """

    at: float
    remote: str
    kind: str
    detail: str
    remedy: str
    alert: str = ""
    sole: bool = True
    where: str = ""


@dataclass(slots=True)
class Side:
    """One direction of one trunk; ``asked`` are the CAs that the peer names, None where it asks for none."""

    good: Good | None = None
    bad: Bad | None = None
    goods: int = 0
    bads: int = 0
    asked: tuple[str, ...] | None = None
    asked_at: float = 0.0


@dataclass(slots=True)
class Shown:
    """One chain that a peer presented, DER, leaf first; ``anchor`` vouched for it, "" where it was refused.

    ``host`` is the address (inbound) or the configured peer (outbound); times are POSIX seconds. Where the
    chain is seen again, it says so itself: that happens with every handshake.
    """

    direction: Direction
    chain: tuple[bytes, ...] = field(repr=False)
    subject: str
    issuer: str
    not_before: float
    not_after: float
    host: str
    listener: str
    sni: str
    first: float
    last: float
    anchor: str = ""

    @property
    def accepted(self) -> bool:
        """True where some truststore entry vouched for it."""
        return bool(self.anchor)

    @property
    def thumbprint(self) -> str:
        """SHA-256 of the leaf."""
        return thumbprint_of(self.chain[0])


class Ledger:
    """Observations by trunk and direction."""

    def __init__(self) -> None:
        self._changed: dict[_Place, None] = {}
        self._sides: dict[tuple[str, Direction], Side] = {}
        self._shown: dict[str, OrderedDict[_Chain, Shown]] = {}
        self._certificates = CertificateCache()

    def side(self, trunk: str, direction: Direction) -> Side:
        """What was observed of one direction; an empty Side where nothing was."""
        return self._sides.get((trunk, direction)) or Side()

    def shown(self, trunk: str) -> tuple[Shown, ...]:
        """The chains that peers of the trunk presented, the latest first."""
        return tuple(reversed(self._shown.get(trunk, {}).values()))

    def presented(self, trunk: str) -> tuple[Shown, ...]:
        """What the trunk's peers presented, the latest of each address; what that replaced is over."""
        latest: dict[tuple[str, str], Shown] = {}
        for each in self.shown(trunk):
            if each.accepted:
                latest.setdefault((each.direction, each.host), each)
        return tuple(latest.values())

    def succeeded(
        self, trunk: str, direction: Direction, facts: TlsFacts, at: float, *, remote: str, host: str,
        listener: str = "", chain: tuple[bytes, ...] = (), anchor: str = "",
        asked: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        """Write down a good handshake; ``host`` is the peer as configured, or its bare address."""
        side = self._side(trunk, direction)
        side.goods += 1
        thumbprint = facts.peer.thumbprint if facts.peer is not None else ""
        side.good = Good(at, remote, facts.version, facts.cipher, facts.group, anchor, thumbprint)
        if direction == "outbound":
            side.asked, side.asked_at = asked, at
        self._present(trunk, direction, chain, at, host=host, listener=listener, sni=facts.sni, anchor=anchor)

    def failed(
        self, trunks: Collection[str], direction: Direction, failure: Failure, at: float, *, remote: str,
        host: str, listener: str = "", sni: str = "", alert: str = "", chain: tuple[bytes, ...] = (),
        where: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Write down a failed handshake for each trunk that it could have been."""
        for trunk in trunks:
            side = self._side(trunk, direction)
            side.bads += 1
            side.bad = Bad(
                at, remote, failure.kind, failure.detail, failure.remedy, alert, len(trunks) == 1,
                (where or {}).get(trunk, ""),
            )  # fmt: skip
            self._present(trunk, direction, chain, at, host=host, listener=listener, sni=sni)

    def _side(self, trunk: str, direction: Direction) -> Side:
        self._note(trunk, direction, b"")
        return self._sides.setdefault((trunk, direction), Side())

    def _note(self, trunk: str, direction: Direction, leaf: bytes) -> None:
        self._changed.pop((trunk, direction, leaf), None)
        self._changed[trunk, direction, leaf] = None

    def _present(
        self, trunk: str, direction: Direction, chain: tuple[bytes, ...], at: float, *, host: str,
        listener: str, sni: str, anchor: str = "",
    ) -> None:  # fmt: skip
        if not chain or sum(map(len, chain)) > MAX_CHAIN_KEPT:
            return
        kept = self._shown.setdefault(trunk, OrderedDict())
        key = (direction, chain[0])
        known = kept.pop(key, None)
        if known is not None and known.chain == chain:
            known.last, known.host, known.listener, known.sni = at, host, listener, sni
            known.anchor = anchor or known.anchor
            kept[key] = known
            self._note(trunk, *key)
            return
        try:
            who = self._certificates.read(chain[0]).identity
        except PeerError:
            return  # nobody could be told about a certificate that cannot be read
        first = known.first if known is not None else at
        kept[key] = Shown(
            direction, chain, who.label, who.issuer, who.not_before, who.not_after,
            host, listener, sni, first, at, anchor,
        )  # fmt: skip
        self._note(trunk, *key)
        dropped = _bound(kept, kept[key].accepted)
        if dropped is not None:
            self._note(trunk, *dropped)

    # What survives a restart

    def whole(self) -> dict[str, Any]:
        """All that is known, entry by entry, as JSON types."""
        for trunk, direction in self._sides:
            self._changed[trunk, direction, b""] = None
        for trunk, kept in self._shown.items():
            self._changed.update({(trunk, *key): None for key in kept})
        return self.changes()

    def changes(self) -> dict[str, Any]:
        """The same of what has changed since this was asked last, in that order; None for what is dropped."""
        changed, self._changed = self._changed, {}
        return dict([self._entry(*place) for place in changed])

    def _entry(self, trunk: str, direction: Direction, leaf: bytes) -> tuple[str, Any]:
        where = {"trunk": trunk, "direction": direction}
        if not leaf:
            return f"side {direction} {trunk}", {**where, **_side_to_json(self._sides[trunk, direction])}
        shown = self._shown[trunk].get((direction, leaf))
        value = {**where, **_shown_to_json(shown)} if shown is not None else None
        return f"shown {direction} {thumbprint_of(leaf)} {trunk}", value

    def restore(self, key: str, saved: Any) -> None:
        """Take up an entry; ValueError, with nothing changed, where it is something else."""
        try:
            values = dict(saved)
            trunk, direction = values.pop("trunk"), values["direction"]
            if type(trunk) is not str or direction not in _DIRECTIONS:
                raise ValueError("no direction")
            if key.startswith("side "):
                del values["direction"]
                self._sides[trunk, direction] = _side_from_json(values)
                return
            shown = _shown_from_json(values)
            kept = self._shown.setdefault(trunk, OrderedDict())
            kept[direction, shown.chain[0]] = shown
            _bound(kept, shown.accepted)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it is no entry of a ledger ({type(error).__name__})") from None


_DIRECTIONS: tuple[Direction, ...] = ("inbound", "outbound")


def _bound(kept: OrderedDict[_Chain, Shown], accepted: bool) -> _Chain | None:
    """Drop the one of its kind that was not seen longest, where they are too many; which one."""
    alike = [key for key, each in kept.items() if each.accepted == accepted]
    if len(alike) <= (SHOWN_KEPT if accepted else REFUSED_KEPT):
        return None
    del kept[alike[0]]
    return alike[0]


def _side_to_json(side: Side) -> dict[str, Any]:
    good = _values(side.good) if side.good is not None else None
    bad = _values(side.bad) if side.bad is not None else None
    return {**_values(side), "good": good, "bad": bad}


def _shown_to_json(shown: Shown) -> dict[str, Any]:
    return {**_values(shown), "chain": [*map(_text, shown.chain)]}


def _values(record: Side | Good | Bad | Shown) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def _text(der: bytes) -> str:
    # The same certificates are written again and again; a stranger's huge one is not worth keeping.
    return _remembered(der) if len(der) <= _EVERYDAY else b64encode(der).decode()


@lru_cache(maxsize=8192)
def _remembered(der: bytes) -> str:
    return b64encode(der).decode()


def _shown_from_json(values: dict[str, Any]) -> Shown:
    chain = tuple(b64decode(each, validate=True) for each in values["chain"])
    return record(Shown, {**values, "chain": chain})


def _side_from_json(values: dict[str, Any]) -> Side:
    good, bad, asked = values["good"], values["bad"], values["asked"]
    return record(Side, {
        **values,
        "good": record(Good, good) if good is not None else None,
        "bad": record(Bad, bad) if bad is not None else None,
        "asked": tuple(asked) if isinstance(asked, list) else asked,
    })  # fmt: skip
