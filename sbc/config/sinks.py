"""Where alerts go: the files with the addresses of `alerts: {to: ...}`, read like keys.

An address of Slack or Teams is a password: whoever has it writes there. Nothing of it is ever shown, and
where it cannot be read the configuration is refused, for its operator counts on being told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from dsl.errors import Diagnostic
from sbc.config.alerts import objection
from sbc.config.crosscheck import SettingsFile
from sbc.tls.material.problems import read_pem_file

_LONGEST: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Destination:
    """Where alerts go: ``url`` is an address of apprise, a secret; ``urgent_only`` nothing less goes."""

    name: str
    url: str = field(repr=False)
    urgent_only: bool = False


@dataclass(slots=True)
class Sinks:
    """What could be read, by name, and what was wrong; ``digests`` has the hash of every file's bytes."""

    sinks: dict[str, Destination] = field(default_factory=dict)
    digests: list[tuple[str, bytes]] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def load_sinks(settings: SettingsFile | None, directory: Path) -> Sinks:
    """Read the address of every sink."""
    found = Sinks()
    alerts = settings.value.alerts if settings is not None else None
    if settings is None or alerts is None:
        return found
    for name, sink in alerts.to.items():
        url = sink.url or _read(settings, name, sink.url_file or "", directory, found)
        if url:
            found.sinks[name] = Destination(name, url, sink.urgent_only)
    return found


def _read(settings: SettingsFile, name: str, path: str, directory: Path, found: Sinks) -> str:
    loc = ("alerts", "to", name, "url_file")
    data, problems = read_pem_file(path, directory, _LONGEST)
    wrong = [(each.message, each.hint) for each in problems]
    url = ""
    if data is not None:
        found.digests.append((path, sha256(data).digest()))
        url = data.decode("utf-8-sig", "replace").strip()
        what, _, remedy = objection(url).partition(": ")
        if what:
            wrong.append((what, remedy))
    for what, hint in wrong:
        found.diagnostics.append(settings.document.problem(loc, f"{path}: {what}", hint))
    return url if not wrong else ""
