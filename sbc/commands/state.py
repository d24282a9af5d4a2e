"""What the running SBC has written down, for commands that do without it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sbc.base import LocalError

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot


def saved(snapshot: Snapshot, name: str) -> Any:
    """What was saved last under ``name`` in the state directory, as JSON types; None where nothing was.

    LocalError where it cannot be read.
    """
    path = snapshot.directory / snapshot.settings.state / f"{name}.json"
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}; run this as its user") from None
    except (ValueError, RecursionError) as error:
        raise LocalError(f"{path} cannot be read ({error}); the running SBC writes it anew") from None
