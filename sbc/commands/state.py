"""What the running SBC has written down, for commands that do without it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from sbc.base import LocalError

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot


def saved(snapshot: Snapshot, shelf: str) -> dict[str, Any]:
    """What was written down last on ``shelf``, entry by entry; changes nothing in the state directory.

    LocalError where it cannot be read.
    """
    from sbc.net.system.database import FILE, look_in
    from sbc.net.system.former import former
    from sbc.net.system.store import entries

    directory = snapshot.directory / snapshot.settings.state
    path = directory / f"{shelf}.json"
    try:
        if path.is_file():  # of a release before, whose successor has not been started yet
            return dict(former(path, shelf))
        path = directory / FILE
        return entries(look_in(path, shelf))
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}; run this as its user") from None
    except sqlite3.OperationalError as error:
        raise LocalError(f"{path} cannot be read: {error}; run this as its user") from None
    except (sqlite3.Error, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
            ValueError) as error:  # fmt: skip
        raise LocalError(f"{path} cannot be read ({error}); the running SBC begins it anew") from None
