"""Where the control socket and the state of a configuration are, even while it is broken; may it be there."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile
from sbc.config.files import SETTINGS_FILE
from sbc.config.model import Settings
from sbc.config.yaml_reader import Document


def control_path(directory: Path) -> Path:
    """The path of the control socket; the default where sbc.yaml does not say or cannot be read."""
    return directory / _named(directory, "control")


def state_path(directory: Path) -> Path:
    """The directory of what is written down; the default where sbc.yaml does not say or cannot be read."""
    return directory / _named(directory, "state")


def _named(directory: Path, key: str) -> str:
    default = str(Settings.model_fields[key].default)
    try:
        data = Document(SETTINGS_FILE, (directory / SETTINGS_FILE).read_text("utf-8-sig")).data
    except (OSError, UnicodeDecodeError):
        return default
    named = data.get(key) if isinstance(data, dict) else None
    return named if isinstance(named, str) else default


def check_control(settings: SettingsFile, directory: Path) -> Iterator[Diagnostic]:
    """A file in the place of the socket, which would have to go for it."""
    path = settings.value.control
    try:
        mode = (directory / path).lstat().st_mode
    except OSError:
        return  # there is none yet; what else is wrong the start says
    if not stat.S_ISSOCK(mode):
        hint = "write the path of a socket that Portcullis makes, such as run/sbc.sock"
        yield settings.document.problem(("control",), f"{path} is no socket", hint)
