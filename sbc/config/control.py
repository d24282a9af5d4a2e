"""Where the control socket of a configuration is, even while the configuration is broken; may it be there."""

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
    default = str(Settings.model_fields["control"].default)
    try:
        data = Document(SETTINGS_FILE, (directory / SETTINGS_FILE).read_text("utf-8-sig")).data
    except (OSError, UnicodeDecodeError):
        return directory / default
    named = data.get("control") if isinstance(data, dict) else None
    return directory / (named if isinstance(named, str) else default)


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
