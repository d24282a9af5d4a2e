"""What a running SBC writes to, opened; LocalError, one line with the remedy, where something cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

from sbc.base import LocalError
from sbc.net.system.log_writer import LogWriter
from sbc.net.system.record_writer import RecordFile
from sbc.observe.cdr import RECORDS


def open_journal(path: Path | None) -> LogWriter:
    """The journal in the file ``path``, or on standard output."""
    if path is None and sys.stdout is None:
        raise LocalError("standard output is closed: name the file of the journal with --log FILE")
    try:
        return LogWriter(path if path is not None else sys.stdout.fileno())
    except OSError as error:
        raise LocalError(
            f"cannot write the journal {path}: {error.strerror}; let our user write there, or correct --log"
        ) from None


def make_directory(path: Path) -> Path:
    """The directory of what survives a restart, made where it is not there yet."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "let our user make it there, or correct `state` in sbc.yaml"
        raise LocalError(f"cannot make the state directory {path}: {error.strerror}; {remedy}") from None
    return path


def open_records(state: Path) -> RecordFile:
    """The call records, in the directory ``state``."""
    path = state / RECORDS
    try:
        return RecordFile(path)
    except OSError as error:
        remedy = "let our user write there, or correct `state` in sbc.yaml"
        raise LocalError(f"cannot write the call records {path}: {error.strerror}; {remedy}") from None
