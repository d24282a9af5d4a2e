"""What is kept of SIP messages for a trace afterwards: ``trace`` of sbc.yaml."""

from __future__ import annotations

from pydantic import Field

from sbc.config.values import Strict


class Trace(Strict):
    """How many of the last messages of each trunk are kept in memory; with 0 none are."""

    ring: int = Field(default=200, ge=0, le=10_000)
