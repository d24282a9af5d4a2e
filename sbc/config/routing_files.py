"""The files that rules need beside their own: tables of number prefixes, and the users who have a password.

A table of a million rows takes seconds to read. Where its bytes are those of one that is still in use, that
one is taken, so that a reload of something else does not read it again.
"""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from weakref import WeakValueDictionary

from dsl.errors import Diagnostic
from dsl.table import Table, read_table
from sbc.config.crosscheck import SettingsFile
from sbc.config.schema import Loc
from sbc.config.users import NOBODY_KNOWN, Users, read_users

State = tuple[int, int, int] | None
_IN_USE: WeakValueDictionary[tuple[str, str, bytes], Table] = WeakValueDictionary()


@dataclass(slots=True)
class RoutingFiles:
    """What could be read, and what was wrong; ``digests`` has the hash of every file's bytes.

    ``phones`` are the users of the registrar, who may have a file of their own.
    ``states`` are the files' as they were before they were read.
    """

    users: Users = NOBODY_KNOWN
    phones: Users = NOBODY_KNOWN
    tables: dict[str, Table] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    digests: list[tuple[str, bytes]] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def load_routing_files(settings: SettingsFile, directory: Path) -> RoutingFiles:
    """Read the users file and every table that ``settings`` names."""
    files = RoutingFiles()
    for name, path in settings.value.tables.items():
        data = _bytes(settings, directory, ("tables", name), path, files)
        table = _table(name, path, data, files) if data is not None else None
        if table is None:
            files.broken.add(name)
        else:
            files.tables[name] = table
    files.users = _users(settings, directory, ("users",), settings.value.users or "", files)
    registrar = settings.value.registrar
    if registrar is not None:
        own = registrar.users or ""
        shared = not own or own == settings.value.users
        loc = ("registrar", "users")
        files.phones = files.users if shared else _users(settings, directory, loc, own, files)
    for path, _ in files.digests:
        if _state(directory / path) != files.states[path]:
            hint = "write it beside and rename it; what is whole is read at the next change"
            files.diagnostics.append(Diagnostic(path, 0, 0, "it was written while it was read", hint))
    return files


def _users(settings: SettingsFile, directory: Path, loc: Loc, path: str, files: RoutingFiles) -> Users:
    data = _bytes(settings, directory, loc, path, files) if path else None
    text = _text(path, data, files) if data is not None else None
    if text is None:
        return NOBODY_KNOWN
    users, problems = read_users(path, text)
    files.diagnostics += problems
    return users


def _table(name: str, path: str, data: bytes, files: RoutingFiles) -> Table | None:
    key = (name, path, sha256(data).digest())
    known = _IN_USE.get(key)
    if known is not None:
        return known
    text = _text(path, data, files)
    if text is None:
        return None
    table, problems = read_table(name, path, text)
    files.diagnostics += problems
    if table is not None:
        _IN_USE[key] = table
    return table


def _bytes(settings: SettingsFile, directory: Path, loc: Loc, path: str, files: RoutingFiles) -> bytes | None:
    files.states[path] = _state(directory / path)
    try:
        if not stat.S_ISREG((directory / path).stat().st_mode):
            raise OSError(errno.EINVAL, "is not a file")
        data = (directory / path).read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        hint = "its path is relative to the directory of sbc.yaml"
        files.diagnostics.append(settings.document.problem(loc, f"{path}: cannot be read: {reason}", hint))
        return None
    files.digests.append((path, sha256(data).digest()))
    return data


def _state(path: Path) -> State:
    """What changes when somebody writes a file, or puts another in its place; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _text(path: str, data: bytes, files: RoutingFiles) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        files.diagnostics.append(Diagnostic(path, line, 1, "the file is not UTF-8", "save it as UTF-8"))
        return None
