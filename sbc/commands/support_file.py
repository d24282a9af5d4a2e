"""The file that ``sbc support`` writes: a gzipped tar of bounded size, for its owner's eyes alone."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from sbc.base import LocalError

# Octets of one part, and of all of them, before they are compressed.
MOST_OF_A_PART, MOST = 1 << 20, 16 << 20


def write_pack(path: Path, name: str, texts: Mapping[str, str], now: float) -> list[str]:
    """Write ``texts`` into a directory ``name`` of a tar; returns what was cut or left out. LocalError."""
    left: list[str] = []
    members: list[tuple[str, bytes]] = []
    room = MOST
    for each, text in texts.items():
        data = text.encode("utf-8", "backslashreplace")
        if len(data) > MOST_OF_A_PART:
            left.append(f"{each}: only its last {MOST_OF_A_PART >> 10} KiB are in the pack")
            data = data[-MOST_OF_A_PART:]
        if len(data) > room:
            left.append(f"{each}: left out, for the pack is full")
            continue
        room -= len(data)
        members.append((f"{name}/{each}", data))
    if left:
        members.append((f"{name}/cut.txt", "".join(f"{each}\n" for each in left).encode()))
    _write(path, _tar(members, now))
    return left


def _tar(members: list[tuple[str, bytes]], now: float) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), 0o600, int(now)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never over what is there: it may be something else, or lead elsewhere."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise LocalError(f"{path} is there already: name another file with -o") from None
    except OSError as error:
        raise LocalError(f"{path} cannot be written: {error.strerror}; name another file with -o") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        path.unlink()
        raise LocalError(f"{path} cannot be written: {error.strerror}; name another file with -o") from None
