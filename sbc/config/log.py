"""How the journal is written, and to whom else: ``log`` of sbc.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sbc.config.collect import ToSyslog
from sbc.config.values import Strict


class Log(Strict):
    """The lines of the journal: ``format`` is ``keyvalue`` for grep, or ``json``, one object a line.

    ``mask_numbers`` is how many digits of each number are left out, ``syslog`` who gets each event beside.
    """

    format: Literal["keyvalue", "json"] = "keyvalue"
    mask_numbers: int | None = Field(default=None, ge=1, le=15)
    syslog: ToSyslog = None
