"""Trunks that differ from another in whom they call."""

from __future__ import annotations

from typing import Any

from sbc.base import Address
from sbc.config.model import Trunk


def with_peers(trunk: Trunk, *peers: Address | dict[str, Any]) -> Trunk:
    """``trunk`` with these peers, each an address or the keys and values that a file would have."""
    written = [str(each) if isinstance(each, Address) else each for each in peers]
    return Trunk.model_validate({**trunk.model_dump(by_alias=True), "peers": written})
