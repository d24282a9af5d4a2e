"""What the flooder's process is told, as the one argument of its command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """What to send where; ``rate`` 0 is as fast as possible. Without ``cert`` it speaks plain TCP."""

    kind: str
    port: int
    source: str = "127.0.0.2"
    rate: float = 0.0
    cert: str = ""
    key: str = ""
    ca: str = ""
    name: str = "server.lab.example"

    def words(self) -> str:
        """The order as one argument."""
        return json.dumps(asdict(self))
