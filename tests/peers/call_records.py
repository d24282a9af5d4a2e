"""What an SBC has written of its calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sbc.demo.process import whole_lines


def calls_in(directory: Path) -> list[dict[str, Any]]:
    """The records of calls that the SBC of ``directory`` has written; not of what began none."""
    path = directory / "run" / "calls.jsonl"
    lines = whole_lines(path).splitlines() if path.exists() else []
    return [each for each in map(json.loads, lines) if not each["refused"]]
