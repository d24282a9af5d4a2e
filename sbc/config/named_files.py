"""Files that sbc.yaml names beside certificates of its own: the CAs of a service, and what proves us to it.

A secret is read like a key: nothing of it is ever shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile
from sbc.config.schema import Loc
from sbc.tls.material.pem import read_certificates
from sbc.tls.material.problems import read_pem_file

_LONGEST_SECRET: Final = 64 << 10


class NamedFiles:
    """Reads them; ``digests`` gets that of each, ``diagnostics`` what is wrong with it."""

    __slots__ = ("_diagnostics", "_digests", "_directory", "settings")

    def __init__(
        self, settings: SettingsFile, directory: Path, digests: list[tuple[str, bytes]],
        diagnostics: list[Diagnostic],
    ) -> None:  # fmt: skip
        self.settings = settings
        self._directory = directory
        self._digests = digests
        self._diagnostics = diagnostics

    def problem(self, loc: Loc, text: str, hint: str, severity: str = "error") -> None:
        """Something is wrong at ``loc``."""
        self._diagnostics.append(self.settings.document.problem(loc, text, hint, severity=severity))

    def private(self, loc: Loc, path: str) -> bytes | None:
        """What is in a file that only we may read; None where it cannot be had."""
        data, problems = read_pem_file(path, self._directory, _LONGEST_SECRET)
        for each in problems:
            self.problem(loc, f"{path}: {each.message}", each.hint)
        if data is not None:
            self._digests.append((path, hashlib.sha256(data).digest()))
        return data

    def secret(self, loc: Loc, path: str, what: str, is_one: Callable[[str], object]) -> str:
        """The one line of a file that only we may read, if it ``is_one``; "" where it cannot be had."""
        data = self.private(loc, path)
        if data is None:
            return ""
        secret = data.decode("latin-1").strip()
        if not is_one(secret):
            hint = f"write the {what} alone: printf '%s' {what.upper()} > {path}"
            self.problem(loc, f"{path}: no {what} can be read here", hint)
        return secret

    def ca(self, loc: Loc, path: str) -> str:
        """The CAs of a file, as PEM; "" where there are none."""
        certificates, problems = read_certificates(path, self._directory, "ca")
        for each in problems:
            self.problem(loc, f"{path}: {each.message}", each.hint, "error" if each.fatal else "warning")
        pem = b"".join([each.public_bytes(Encoding.PEM) for each in certificates])
        self._digests.append((path, hashlib.sha256(pem).digest()))
        return pem.decode()
