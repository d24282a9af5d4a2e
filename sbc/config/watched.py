"""Which files a configuration consists of, for whoever wants to know when one of them changes.

sbc.yaml is read leniently here: while it has a mistake, the certificates that it names are still
watched, so that the missing file that makes it wrong is noticed when it arrives.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from sbc.config.files import HOOKS, ROUTES, SETTINGS_FILE, TRUNKS
from sbc.config.yaml_reader import Document
from sbc.tls.lifetime.staged import NEXT

# Read as text: YAML is slow, and a trunk that has a mistake is watched too.
_PASSWORD = re.compile(r"""\bpassword_file[ \t]*:[ \t]*["']?([^"'\s,}#]+)""")
_FILE_KEYS = {
    "identities": ("chain", "key", "passphrase_file"), "trust": ("ca", "leaf", "crl"),
    "lookups": ("ca", "token_file"),
}  # fmt: skip


class Watched(NamedTuple):
    """The files of ``directory`` whose names match the glob ``pattern``."""

    directory: Path
    pattern: str


def watched(directory: Path | str) -> tuple[Watched, ...]:
    """What to watch for the configuration in ``directory``, as its sbc.yaml stands now."""
    directory = Path(directory)
    fixed: tuple[Watched, ...] = (
        Watched(directory, SETTINGS_FILE),
        Watched(directory / TRUNKS, "*.yaml"),
        Watched(directory / ROUTES, "*.yaml"),
        Watched(directory / HOOKS, "*.py"),
    )
    data = _settings(directory)
    acl = _names(data.get("acl")) if isinstance(data, dict) else []
    fixed = (*fixed, *(Watched(directory / name, "*.yaml") for name in acl))
    files = [directory / (name + end) for name in _named_files(data) for end in ("", NEXT)]
    files += [directory / name for name in _passwords(directory)]
    return tuple(dict.fromkeys((*fixed, *(Watched(path.parent, _literal(path.name)) for path in files))))


def _settings(directory: Path) -> Any:
    """The data of sbc.yaml, whatever is wrong with it; None where it cannot be read."""
    try:
        return Document(SETTINGS_FILE, (directory / SETTINGS_FILE).read_text("utf-8-sig")).data
    except (OSError, UnicodeDecodeError):
        return None


def _passwords(directory: Path) -> list[str]:
    found: list[str] = []
    paths: list[Path] = []
    with contextlib.suppress(OSError):  # nobody may be let in there for a moment
        paths = sorted((directory / TRUNKS).glob("*.yaml"))
    for path in paths:
        with contextlib.suppress(OSError):
            found += _PASSWORD.findall(path.read_text("utf-8", "replace"))
    return found


def _named_files(data: Any) -> list[str]:
    tables = data.get("tables") if isinstance(data, dict) else None
    users = data.get("users") if isinstance(data, dict) else None
    registrar = data.get("registrar") if isinstance(data, dict) else None
    phones = registrar.get("users") if isinstance(registrar, dict) else None
    alerts = data.get("alerts") if isinstance(data, dict) else None
    sinks = [each.get("url_file") for each in _entries(alerts, "to")]
    collectors = _of_collectors(data)
    routing = [*sinks, *collectors, users, phones, *(tables.values() if isinstance(tables, dict) else ())]
    return [name for value in routing for name in _names(value)] + [
        name
        for section, keys in _FILE_KEYS.items()
        for entry in _entries(data, section)
        for key in keys
        for name in _names(entry.get(key))
    ]


def _of_collectors(data: Any) -> list[Any]:
    """The files of who is told what happens."""
    hep = data.get("hep") if isinstance(data, dict) else None
    log = data.get("log") if isinstance(data, dict) else None
    syslog = log.get("syslog") if isinstance(log, dict) else None
    found = [each for each in (hep, syslog) if isinstance(each, dict)]
    return [each.get(key) for each in found for key in ("ca", "password_file")]


def _names(value: Any) -> list[str]:
    names = value if isinstance(value, list) else [value]
    return [each for each in names if isinstance(each, str) and each and "://" not in each]


def _entries(data: Any, section: str) -> list[dict[str, Any]]:
    entries = data.get(section) if isinstance(data, dict) else None
    return [each for each in entries.values() if isinstance(each, dict)] if isinstance(entries, dict) else []


def _literal(name: str) -> str:
    """``name`` as a glob that matches nothing else."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)
