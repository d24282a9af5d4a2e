"""Where the control socket and the state of a configuration are, even while it is broken.

Whoever asks a running SBC needs these alone, and does not wait until the model of all settings is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sbc.config.files import SETTINGS_FILE
from sbc.config.yaml_reader import Document

CONTROL: Final = "run/sbc.sock"
STATE: Final = "run"


def control_path(directory: Path) -> Path:
    """The path of the control socket; the default where sbc.yaml does not say or cannot be read."""
    return directory / _named(directory, "control", CONTROL)


def state_path(directory: Path) -> Path:
    """The directory of what is written down; the default where sbc.yaml does not say or cannot be read."""
    return directory / _named(directory, "state", STATE)


def _named(directory: Path, key: str, default: str) -> str:
    try:
        data = Document(SETTINGS_FILE, (directory / SETTINGS_FILE).read_text("utf-8-sig")).data
    except (OSError, UnicodeDecodeError):
        return default
    named = data.get(key) if isinstance(data, dict) else None
    return named if isinstance(named, str) else default
