"""Where alerts go: the files with the addresses of `alerts: {to: ...}`, read like keys.

An address of Slack or Teams is a password: whoever has it writes there. Nothing of it is ever shown, and
where it cannot be read the configuration is refused, for its operator counts on being told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dsl.errors import Diagnostic
from sbc.config.alerts import objection
from sbc.config.crosscheck import SettingsFile
from sbc.config.named_files import NamedFiles


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
    files = NamedFiles(settings, directory, found.digests, found.diagnostics)
    for name, sink in alerts.to.items():
        url = sink.url or _read(files, name, sink.url_file or "")
        if url:
            found.sinks[name] = Destination(name, url, sink.urgent_only)
    return found


def _read(files: NamedFiles, name: str, path: str) -> str:
    loc = ("alerts", "to", name, "url_file")
    data = files.private(loc, path)
    if data is None:
        return ""
    url = data.decode("utf-8-sig", "replace").strip()
    what, _, remedy = objection(url).partition(": ")
    if what:
        files.problem(loc, f"{path}: {what}", remedy)
        return ""
    return url
