"""Keeps the certificates of the ``acme`` identities: orders what is missing, renews in time, tries again.

One greenlet, one order at a time: a directory's limits are counted by account, and nothing is in a
hurry. What must survive a restart is in the store: the account's key, and since when an identity has
failed, so that a machine that restarts in a loop does not use up the directory's patience.

The library is imported when the first order is made, in the thread pool: most installations never
need it, and importing it takes longer than a call may wait.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult, Event

from sbc.base import LocalError
from sbc.config.acme import acme_names, ordered
from sbc.config.model import Acme
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.net.acme.challenges import Challenges
from sbc.net.acme.install import Installer
from sbc.net.acme.state import Account, AcmeState, Failed
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.observe.text import iso_time
from sbc.tls.lifetime.renewal import RenewalFailed, renew_at, retry_after
from sbc.tls.material.problems import day

if TYPE_CHECKING:
    from sbc.net.acme.order import Issued

_LOOK_EVERY = 60.0
_ORDER_LIMIT = 300.0
_ANSWER_WITHIN = 25.0
_LIBRARY = "sbc.net.acme.order"

Say = Callable[[str, str, dict[str, Any]], object]


class AcmeKeeper:
    """Orders and renews; ``say`` is the journal."""

    def __init__(
        self, snapshots: SnapshotStore, saved: Store, clock: Clock, say: Say, installer: Installer
    ) -> None:
        self._snapshots = snapshots
        self._state = AcmeState(saved)
        self._clock = clock
        self._say = say
        self._installer = installer
        self._wake = Event()
        self._waiting: dict[str, str] = {}
        self._forced: dict[str, AsyncResult[str | LocalError]] = {}
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin to look after the certificates."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Give up what is under way; the directory forgets an order by itself."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def apply(self, snapshot: Snapshot) -> None:
        """Look again: the configuration has changed."""
        self._wake.set()

    def renew(self, name: str) -> dict[str, Any]:
        """Renew the certificate of identity ``name`` now; LocalError where that fails or makes no sense."""
        known = ordered(self._snapshots.current.settings)
        if name not in known:
            there = ", ".join(known) or "none"
            raise LocalError(f"identity {name} is not ordered by ACME; those that are: {there}")
        result = self._forced.setdefault(name, AsyncResult())
        self._wake.set()
        try:
            with gevent.Timeout(_ANSWER_WITHIN):
                outcome = result.get()
        except gevent.Timeout:
            outcome = f"the order for {name} is under way; the journal says how it ends"
        if isinstance(outcome, LocalError):
            raise outcome
        return {"lines": [outcome]}

    def _run(self) -> None:
        while True:
            self._wake.clear()
            for name in ordered(self._snapshots.current.settings):
                self._look_after(name)
            # A look now and then all the same: the clock may be set, and peers come by.
            until = self._next() - self._clock.now()
            self._wake.wait(min(_LOOK_EVERY, max(1.0, until)))

    def _look_after(self, name: str) -> None:
        # In a greenlet of its own, so that a fault of ours ends this look and not the keeper.
        look = gevent.spawn(self._look, name)
        try:
            look.join()
        finally:
            look.kill()
        if not look.successful():
            self._done(name, RenewalFailed("a fault of our own", "report it with what stands in the log"))

    def _look(self, name: str) -> None:
        self._hand_over(name)
        if name not in self._forced and self._due(name) > self._clock.now():
            return
        try:
            self._done(name, self._order(name))
        except LocalError as error:
            self._done(name, error)

    def _done(self, name: str, outcome: str | LocalError) -> None:
        """An order came to its end: write it down, and answer whoever asked for it."""
        if isinstance(outcome, LocalError):
            self._failed(name, outcome)
        else:
            self._state.put(self._state.failed, name, None)
        asked = self._forced.pop(name, None)
        if asked is not None:
            asked.set(outcome)

    def _next(self) -> float:
        """When something falls due; POSIX seconds."""
        names = ordered(self._snapshots.current.settings)
        retiring = (self._installer.retires(name) for name in names)
        moments = [*map(self._due, names), *(each for each in retiring if each is not None)]
        return min(moments, default=float("inf"))

    def _hand_over(self, name: str) -> None:
        unbound = self._state.unbound.get(name)
        try:
            if unbound is not None and unbound in self._installer.staged(name):
                self._installer.bind(name)
                self._state.put(self._state.unbound, name, None)
            self._installer.retire_when_due(name)
        except LocalError as error:
            if self._waiting.get(name) != str(error):
                self._say("WRN", "[acme]", {"identity": name, "waiting": str(error)})
            self._waiting[name] = str(error)
        else:
            self._waiting.pop(name, None)

    # When

    def _due(self, name: str) -> float:
        """When to order for ``name`` next; POSIX seconds."""
        snapshot = self._snapshots.current
        failed = self._state.failed.get(name)
        if failed is not None and failed.wanted == self._wanted(name):
            # A clock that was ahead when it failed, and has been put back, must not leave it waiting.
            late = self._clock.now() + retry_after(failed.count)
            return failed.again if failed.again <= late else 0.0
        material = self._installer.newest(name)
        if material is None:
            return 0.0
        has = {each.removeprefix("dns:") for each in material.sans}
        if not has.issuperset(acme_names(snapshot.settings, name)):
            return 0.0
        return renew_at(material.not_before, material.not_after, material.thumbprint)

    def _wanted(self, name: str) -> str:
        """What is asked for, of whom: another configuration need not wait for the last one's failure."""
        settings = self._snapshots.current.settings
        return hashlib.sha256(repr((settings.acme, acme_names(settings, name))).encode()).hexdigest()

    # An order

    def _order(self, name: str) -> str:
        """Order for ``name`` and put it in force; what came of it. LocalError."""
        snapshot = self._snapshots.current
        directory, names = snapshot.settings.acme, acme_names(snapshot.settings, name)
        assert directory is not None, "an identity is ordered only where there is a directory"
        self._say("INF", "[acme]", {"identity": name, "ordering": ",".join(names), "of": directory.directory})
        try:
            with gevent.Timeout(_ORDER_LIMIT):
                library = gevent.get_hub().threadpool.apply(importlib.import_module, (_LIBRARY,))
                issued = self._issue(library, snapshot.directory, directory, names)
        except gevent.Timeout:
            raise RenewalFailed(
                "it was not done in five minutes", "the next attempt is made by itself"
            ) from None
        until = day(self._put_in_force(name, issued))
        self._say("INF", "[acme]", {"identity": name, "issued": ",".join(names), "until": until})
        return f"identity {name}: a certificate for {', '.join(names)}, good until {until}"

    def _put_in_force(self, name: str, issued: Issued) -> float:
        """Install what was issued; when it ends. LocalError where it is not even on disk, or no good."""
        waiting: LocalError | None = None
        self._state.put(self._state.unbound, name, issued.thumbprint)
        try:
            self._installer.install(name, issued.key_pem, issued.chain_pem)
            self._state.put(self._state.unbound, name, None)
        except LocalError as error:
            waiting = error
        fresh = self._installer.newest(name)
        if fresh is None or fresh.thumbprint != issued.thumbprint:
            remedy = "`sbc check` says why; compare the clocks"
            raise waiting or RenewalFailed("what was issued cannot be used", remedy)
        if waiting is not None:
            # Ordering it again would not help: it is on disk, and in force when that is mended.
            self._say("WRN", "[acme]", {"identity": name, "waiting": str(waiting)})
        return fresh.not_after

    def _issue(self, library: Any, base: Path, directory: Acme, names: tuple[str, ...]) -> Issued:
        issued: Issued
        with Challenges(directory.listen) as challenges:
            account = self._account(library, base, directory)
            try:
                issued = library.order(directory, base, account, names, challenges.expect)
            except RenewalFailed as error:
                if error.kind != "accountDoesNotExist":
                    raise
                self._state.put(self._state.accounts, _account_name(directory), None)
                account = self._account(library, base, directory)
                issued = library.order(directory, base, account, names, challenges.expect)
        return issued

    def _account(self, library: Any, base: Path, directory: Acme) -> Account:
        name = _account_name(directory)
        kept = self._state.accounts.get(name)
        if kept is not None:
            return kept
        account: Account = library.register(directory, base)
        self._state.put(self._state.accounts, name, account)
        self._state.flush()
        return account

    def _failed(self, name: str, error: LocalError) -> None:
        before = self._state.failed.get(name)
        count = 1 if before is None else before.count + 1
        again = self._clock.now() + retry_after(count)
        self._state.put(self._state.failed, name, Failed(count, again, self._wanted(name)))
        fields = {"identity": name, "failed": str(error), "times": count, "again": iso_time(again)}
        self._say("ERR", "[acme]", fields)


def _account_name(directory: Acme) -> str:
    """Under what an account is kept: another directory, address or customer is another account."""
    customer = directory.external_account.id if directory.external_account is not None else ""
    return " ".join((directory.directory, directory.email or "", customer)).rstrip()
