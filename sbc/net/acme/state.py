"""What ACME must not forget over a restart: accounts, failed orders, and what is issued and not yet shown.

An account's key is a secret: it is in the store's file, which is for this user only, and in no repr.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sbc.net.system.store import Store
from sbc.typed import record

_STATE = "acme"


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a directory: its private key, PEM, and the URL that names it."""

    key_pem: str = field(repr=False)
    url: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Failures in a row: how many, when to try again (POSIX seconds), and a digest of what was wanted."""

    count: int
    again: float
    wanted: str


class AcmeState:
    """Accounts by name, failures by identity, and by identity the thumbprint of what waits to be bound.

    Change what they hold through ``put`` alone.
    """

    def __init__(self, saved: Store) -> None:
        self._saved = saved
        self.accounts: dict[str, Account] = {}
        self.failed: dict[str, Failed] = {}
        self.unbound: dict[str, str] = {}
        try:
            self._take_up(saved.load(_STATE) or {})
        except (AttributeError, KeyError, TypeError, ValueError):
            # Written by something else; an account and a few minutes are soon had again.
            self.accounts, self.failed, self.unbound = {}, {}, {}

    def _take_up(self, kept: dict[str, Any]) -> None:
        for name, each in kept.get("accounts", {}).items():
            self.accounts[name] = record(Account, each)
        for name, each in kept.get("failed", {}).items():
            self.failed[name] = record(Failed, each)
        self.unbound = {name: str(each) for name, each in kept.get("unbound", {}).items()}

    def put(self, part: dict[str, Any], name: str, value: Account | Failed | str | None) -> None:
        """Keep ``value`` under ``name`` in one of the three; None forgets what is there."""
        if part.get(name) == value:
            return
        if value is None:
            del part[name]
        else:
            part[name] = value
        accounts = {name: asdict(each) for name, each in self.accounts.items()}
        failed = {name: asdict(each) for name, each in self.failed.items()}
        self._saved.save(_STATE, {"accounts": accounts, "failed": failed, "unbound": dict(self.unbound)})

    def flush(self) -> None:
        """Write it now: an account that is not on disk would be another one after a crash."""
        self._saved.flush()
