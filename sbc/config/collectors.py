"""Who is told what happens: the files of ``hep`` and ``log`` read, and every mistake in them.

Without its password, or without the CAs, the configuration is refused, for nothing would arrive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dsl.errors import Diagnostic
from sbc.config.collect import FACILITIES, Collecting, Collector, Hep
from sbc.config.crosscheck import SettingsFile
from sbc.config.named_files import NamedFiles
from sbc.config.schema import Loc, suggest
from sbc.tls.material.identity import IdentityMaterial

_PASSWORD: Final = re.compile(r"[!-~]{1,255}").fullmatch


@dataclass(slots=True)
class Collectors:
    """What could be read, and what was wrong."""

    hep: Collector | None = None
    syslog: Collector | None = None
    digests: list[tuple[str, bytes]] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def load_collectors(
    settings: SettingsFile | None, directory: Path, identities: Mapping[str, IdentityMaterial]
) -> Collectors:
    """Check `hep` and `log.syslog`, and read their files."""
    found = Collectors()
    if settings is None:
        return found
    files = NamedFiles(settings, directory, found.digests, found.diagnostics)
    hep, syslog = settings.value.hep, settings.value.log.syslog
    if hep is not None:
        found.hep = _collector(files, ("hep",), hep, hep.id, identities)
        if hep.to.way != "tls" and not _is_here(hep.to.address.host):
            hint = "write to: tls:HOST:PORT, or send it through a tunnel"
            text = "what TLS protected goes on in the clear: whoever listens there reads every message"
            files.problem(("hep",), text, hint, severity="warning")
    if syslog is not None:
        number = FACILITIES[syslog.facility]
        found.syslog = _collector(files, ("log", "syslog"), syslog, number, identities)
    return found


def _is_here(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")


def _collector(
    files: NamedFiles, loc: Loc, config: Collecting, number: int, identities: Mapping[str, IdentityMaterial]
) -> Collector:
    known = files.settings.names("identities")
    if config.identity is not None and config.identity not in known:
        hint = suggest(config.identity, known, "define it under `identities:`")
        files.problem((*loc, "identity"), f"unknown identity {config.identity!r}", hint)
    identity = identities.get(config.identity) if config.identity else None
    broken = "" if identity or not config.identity else f"identity {config.identity} cannot be used"
    ca = files.ca((*loc, "ca"), config.ca) if config.ca else ""
    password = ""
    if isinstance(config, Hep) and config.password_file:
        password = files.secret((*loc, "password_file"), config.password_file, "password", _PASSWORD)
    return Collector(config.to, number, ca, identity, password.encode(), broken)
