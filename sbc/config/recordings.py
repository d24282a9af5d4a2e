"""Where calls are recorded to: ``recordings`` of sbc.yaml."""

from __future__ import annotations

from pydantic import Field

from sbc.config.values import Duration, Size, Strict


class Recordings(Strict):
    """The directory of recordings, what they may take of its disk together, and for how long they are kept.

    Without ``keep`` nothing is ever removed; where ``max_size`` is reached, recordings end.
    """

    directory: str = Field(min_length=1)
    max_size: Size = 10 << 30
    keep: Duration | None = None
