"""The blocklist of a running SBC: what it is told, what it tells, and what it keeps over a restart.

It is the gate of every listener. TCP and TLS connections of a blocked address are reset at accept, and those
that it has are closed, but for what has proved itself: a connection with a verified certificate, one that a
call is on, one at which a phone is registered. Over UDP it is the same: nothing new is heard of a blocked
address, and a phone that is registered there, or a call, goes on. So an address that many share loses nobody
who was there before.

A failed handshake counts where the peer has caused it. What may be ours does not: a certificate of ours that
the peer refuses, a file or a revocation source of ours that is broken, a hook; and whatever was under way
when the process stood still, as that of a machine which was paused does: then all run out of time at once,
or have gone, and the telephones of an office would be blocked together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sbc.b2bua.located import Located
from sbc.base import LocalError
from sbc.config.blocklist import BlocklistSettings
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.net.transport.named import Named
from sbc.observe.edge_views import BlocklistView
from sbc.observe.text import iso_time
from sbc.observe.throttle import Throttle
from sbc.policy.blocklist import Blocklist, never_blocked
from sbc.policy.blocks import Block
from sbc.policy.shares import source_of
from sbc.policy.suspicion import Kind
from sbc.tls.events import HandshakeFailed
from sbc.tls.sources import parse_network

STATE: Final = "blocklist"
#: Failures that a peer has not caused, or not for certain.
OURS: Final = frozenset(
    ("no-identity", "quarantined", "stale-revocation", "refused-by-hook", "rejected-by-peer", "unresolved",
     "unreachable")
)  # fmt: skip
LONGEST: Final = 366 * 86400.0
_REFUSED_EVERY: Final = 10.0
_LINES: Final = (5, 60)  # a minute, of what becomes of one address in one way, and of all
_MOST_NOTE: Final = 200
# Seconds without a beat, of which there are ten a second; a loop that has much to do is late by parts of one.
_STOOD_STILL: Final = 2.0

Say = Callable[[str, str, dict[str, Any]], object]


class Blocking:
    """One for the process; ``close`` ends what the listeners have of an address, as it counts."""

    def __init__(
        self, store: SnapshotStore, saved: Store, clock: Clock, say: Say, located: Located,
        close: Callable[[str], object],
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._say = say
        self._close = close
        self._named = Named(store, clock, located)
        self._throttle = Throttle(*_LINES)
        self._list = Blocklist(None, self._named.by)
        self._beat, self._stood_until = float("inf"), float("-inf")
        self._follow(store.current)
        self._shelf = saved.shelf(STATE, self._take, self._whole, self._changes)
        self._refused, self._refused_due = self._list.blocks.refused, 0.0
        self._lift_named()

    # What it is asked and told

    def blocked(self, host: str) -> bool:
        """Whether ``host`` is refused now; counts that."""
        return self._list.blocks.refuses(host, self._clock.monotonic())

    def handshake_failed(self, event: HandshakeFailed) -> None:
        """A TLS handshake failed: it counts where it is inbound and the peer's doing."""
        if event.direction != "inbound" or event.failure.kind in OURS:
            return
        at, listener = self._clock.monotonic(), self._store.current.settings.listeners.get(event.listener)
        self._see_whether_we_stood_still(at)
        if listener is None or at - self._stood_until > listener.handshake_timeout:
            self.suspect(event.remote.host, "handshake")

    def beat(self) -> None:
        """The loop has come round; to be told several times a second, so that it shows when it does not."""
        at = self._clock.monotonic()
        self._see_whether_we_stood_still(at)
        self._beat = at

    def _see_whether_we_stood_still(self, at: float) -> None:
        if at - self._beat > _STOOD_STILL:
            self._stood_until = at

    def suspect(self, host: str, kind: Kind, user: str = "", why: str = "") -> None:
        """Something speaks against ``host``, whose address is known not to be forged."""
        at, source = self._clock.monotonic(), source_of(host)
        known = self._list.blocks.of(source)
        if known is not None and known.ends > at:
            self._close(source)  # what was on its way when it was blocked
            return
        found = self._list.note(host, kind, at, user, why)
        if found is None:
            return
        if isinstance(found, Block):
            self._begun(found)
            self._close(source)
            return
        fields = {
            "by": found.by, "why": found.why,
            "remedy": f"it is never blocked, for {found.by} names it: see why it fails (sbc trust)",
        }  # fmt: skip
        self._tell("WRN", "spared", found.source, fields)

    def _begun(self, block: Block) -> None:
        now, at = self._clock.now(), self._clock.monotonic()
        fields = {"why": block.why, "until": iso_time(now + block.ends - at), "note": block.note or None}
        self._tell("WRN", "blocked", block.source, fields)

    def _over(self, block: Block, why: str) -> None:
        self._tell("INF", "unblocked", block.source, {"why": why, "refused": block.refused})

    def _tell(self, level: str, event: str, source: str, fields: dict[str, Any]) -> None:
        """Say it when it is on the disk: what a line has said of an address holds after a crash too."""
        more = self._throttle.note(f"{event} {source}", self._clock.monotonic())
        if more is not None:
            said = {"event": event, "address": source, **fields, "why": f"{fields['why']}{more}"}
            self._shelf.after(lambda: self._say(level, "[blocklist]", said))

    # Who is named

    def named(self, source: str) -> str:
        """Who names ``source``, an address as it counts, and so wants it here; "" for nobody."""
        return self._named.by(source)

    def apply(self, snapshot: Snapshot) -> None:
        """Another configuration is in force."""
        self._follow(snapshot)

    def _follow(self, snapshot: Snapshot) -> None:
        self._named.apply(snapshot)
        settings = snapshot.settings.blocklist
        terms = settings.terms if settings is not None else None
        for block in self._list.apply(terms, self._clock.monotonic()):
            self._over(
                block, f"{self._named.by(block.source)} names it" if terms else "there is no blocklist"
            )

    # Time

    def tick(self, at: float) -> None:
        """Let come back whose time is over; about every second."""
        for block in self._list.blocks.ended(at):
            self._over(block, "its time is over")
        if len(self._list.blocks) and self._named.is_due(at):
            self._lift_named()

    # What survives a restart

    def stop(self) -> None:
        """We stop: what was turned away since is written down too."""
        self._refused_due = 0.0

    def _take(self, source: str, saved: Any) -> bool:
        terms = self._list.terms
        if terms is None:
            return True  # it stays as it is, for the day when somebody is blocked again
        now, at = self._clock.now(), self._clock.monotonic()
        return self._list.blocks.restore(source, saved, terms.lasts, now, at)

    def _whole(self) -> dict[str, Any]:
        return self._list.blocks.whole(self._clock.now(), self._clock.monotonic())

    def _changes(self) -> dict[str, Any]:
        """What has changed; of what was turned away now and then, for that changes with every packet."""
        blocks, now, at = self._list.blocks, self._clock.now(), self._clock.monotonic()
        if at < self._refused_due:
            return blocks.changes(now, at)
        self._refused_due = at + _REFUSED_EVERY
        before, self._refused = self._refused, blocks.refused
        return blocks.whole(now, at) if before != blocks.refused else blocks.changes(now, at)

    def _lift_named(self) -> None:
        for block in self._list.lift_named():
            self._over(block, f"{self._named.by(block.source)} names it")

    # What an operator asks of it

    def view(self) -> BlocklistView:
        """How many there are and were, and the policy in words."""
        blocks = self._list.blocks
        return BlocklistView(
            len(blocks), blocks.lifetime, blocks.refused, tuple(sorted(blocks.counts.items())),
            policy(self._store.current.settings.blocklist),
        )  # fmt: skip

    def table(self) -> dict[str, Any]:
        """Who is blocked, since when, until when and why."""
        now, view = self._clock.now(), self.view()
        rows = self._list.blocks.rows(now, self._clock.monotonic())
        return {
            "now": now, "lifetime": view.lifetime, "refused": view.refused, "policy": view.policy,
            "blocked": sorted(rows, key=lambda row: str(row["address"])),
        }  # fmt: skip

    def add(self, address: str, seconds: float = 0.0, note: str = "", by: str = "") -> dict[str, Any]:
        """Block ``address`` for ``seconds``, or as long as what is found; LocalError."""
        terms, source = self._list.terms, read_source(address)
        if terms is None:
            raise LocalError("nobody is blocked: sbc.yaml says `blocklist: false`; take that out and reload")
        if never_blocked(source):
            raise LocalError(f"{source} is private, loopback or link-local: such an address is never blocked")
        by = self._named.by(source)
        if by:
            remedy = f", or `sbc trunks disable {by[6:]}`" if by.startswith("trunk ") else ""
            raise LocalError(f"{by} names {source}: take it out there{remedy}")
        lasts = min(seconds or terms.lasts, LONGEST)
        at = self._clock.monotonic()
        block = self._list.add(source, lasts, at, by or "an operator", note[:_MOST_NOTE])
        if block is None:
            raise LocalError("operators have blocked as many addresses as there may be: remove some of them")
        self._begun(block)
        self._close(source)
        self._shelf.wait()
        return {"address": source, "until": self._clock.now() + block.ends - at}

    def remove(self, address: str, by: str = "") -> dict[str, Any]:
        """Let ``address`` come back; LocalError where it is not blocked."""
        source = read_source(address)
        block = self._list.blocks.lift(source)
        if block is None:
            raise LocalError(f"{source} is not blocked; `sbc blocklist` shows who is")
        self._list.suspicions.forget(source)
        self._over(block, f"removed by {by or 'an operator'}")
        self._shelf.wait()
        return {"address": source, "refused": block.refused}


def read_source(text: str) -> str:
    """An address, or a /64 as it is shown, as it counts; LocalError."""
    try:
        network = parse_network(text)
    except ValueError:
        raise LocalError(f"{text!r} is no address: write one such as 198.51.100.7 or 2001:db8::7") from None
    if network.prefixlen != network.max_prefixlen and (network.version, network.prefixlen) != (6, 64):
        raise LocalError(f"{text} is a network: what is blocked are single addresses, and a /64 of IPv6")
    return source_of(str(network.network_address))


def policy(settings: BlocklistSettings | None) -> str:
    """The policy in one sentence."""
    if settings is None:
        return "off"
    within, lasts = _short(settings.within), _short(settings.lasts)
    return (
        f"more than {settings.failures} failed TLS handshakes of one address within {within}: refused at"
        f" accept for {lasts}; private, loopback and link-local addresses never"
    )


def _short(seconds: float) -> str:
    """A duration as the configuration has it, in its largest unit that is whole."""
    for size, unit in ((3600, "h"), (60, "m"), (1, "s")):
        if seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
