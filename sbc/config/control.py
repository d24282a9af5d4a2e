"""Where the control socket of a configuration is, even while the configuration is broken."""

from __future__ import annotations

from pathlib import Path

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
