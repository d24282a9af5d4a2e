"""What is wrong with a file of the keystore or the truststore, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_MAX_FILE = 16 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in one file; ``fatal`` where the material cannot be used at all.

    ``dated`` is the moment, POSIX seconds, on the other side of which it is none; 0 for no such moment.
    """

    path: str
    message: str
    hint: str
    fatal: bool = True
    dated: float = 0.0

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.message}; {self.hint}"


def day(when: float) -> str:
    """POSIX seconds as a UTC date."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d")


def read_pem_file(path: str, directory: Path, most: int = _MAX_FILE) -> tuple[bytes | None, list[Problem]]:
    """The bytes of a file relative to the configuration, or the problem that prevents reading it."""
    where = directory / path
    try:
        if where.stat().st_size > most:
            return None, [Problem(path, f"the file is over {most >> 20} MiB", "no such file is that long")]
        return where.read_bytes(), []
    except FileNotFoundError:
        return None, [Problem(path, "there is no such file", f"looked for {where}")]
    except PermissionError:
        hint = "let the user that runs sbc read it (chown, chmod 640)"
        return None, [Problem(path, "the file is not readable", hint)]
    except OSError as error:
        return None, [Problem(path, f"the file cannot be read: {error.strerror}", "check the path")]
