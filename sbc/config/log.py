"""How the journal is written: ``log`` of sbc.yaml."""

from __future__ import annotations

from typing import Literal

from sbc.config.values import Strict


class Log(Strict):
    """The lines of the journal: ``format`` is ``keyvalue`` for grep, or ``json``, one object a line."""

    format: Literal["keyvalue", "json"] = "keyvalue"
