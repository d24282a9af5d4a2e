"""What ACME must not forget over a restart: accounts, failed orders, and what is issued and not yet shown.

An account's key is a secret: it is in the store's file, which is for this user only, and in no repr.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sbc.net.system.store import Store
from sbc.typed import record

_SHELF = "acme"


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
        self.accounts: dict[str, Account] = {}
        self.failed: dict[str, Failed] = {}
        self.unbound: dict[str, str] = {}
        self._shelf = saved.shelf(_SHELF, self._take, self._whole)

    def _take(self, key: str, kept: Any) -> None:
        part, name = key.split(" ", 1)
        if part == "account":
            self.accounts[name] = record(Account, kept)
        elif part == "failed":
            self.failed[name] = record(Failed, kept)
        elif part == "unbound" and isinstance(kept, str):
            self.unbound[name] = kept
        else:
            raise ValueError("it is nothing of ACME")

    def _whole(self) -> dict[str, Any]:
        accounts = {f"account {name}": asdict(each) for name, each in self.accounts.items()}
        failed = {f"failed {name}": asdict(each) for name, each in self.failed.items()}
        return {**accounts, **failed, **{f"unbound {name}": each for name, each in self.unbound.items()}}

    def put(self, part: dict[str, Any], name: str, value: Account | Failed | str | None) -> None:
        """Keep ``value`` under ``name`` in one of the three; None forgets what is there."""
        if part.get(name) == value:
            return
        if value is None:
            del part[name]
        else:
            part[name] = value
        self._shelf.changed()

    def flush(self) -> None:
        """Write it now: an account that is not on disk would be another one after a crash."""
        self._shelf.wait()
