"""Reading the configuration's directory: which files belong to it, and what is in them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from dsl.breath import breathe
from dsl.errors import Diagnostic
from sbc.config.yaml_reader import Document

SETTINGS_FILE = "sbc.yaml"
TRUNKS, ROUTES, HOOKS = "trunks.d", "routes.d", "hooks"


@dataclass(slots=True)
class Tree:
    """The text of every file of a configuration, by the path that the operator is shown."""

    settings: str | None = None
    trunks: dict[str, str] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    hooks: dict[str, str] = field(default_factory=dict)
    acl: dict[str, str] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def read_tree(directory: Path) -> Tree:
    """Read sbc.yaml, trunks.d, routes.d and hooks; what cannot be read is a diagnostic."""
    tree = Tree()
    if not os.path.isdir(directory):
        tree.diagnostics.append(
            Diagnostic(str(directory), 0, 0, "there is no such directory", "give it with -c DIR")
        )
        return tree
    tree.settings = _text(directory, directory / SETTINGS_FILE, tree)
    for name, ending, texts in (
        (TRUNKS, ".yaml", tree.trunks),
        (ROUTES, ".yaml", tree.routes),
        (HOOKS, ".py", tree.hooks),
    ):
        _read_members(directory, name, ending, tree, texts)
    _note_empty(tree)
    return tree


def read_acl(directory: Path, name: str, tree: Tree) -> None:
    """Read the files of the access list, which sbc.yaml says is in ``name``."""
    if not os.path.isdir(directory / name):
        hint = "make it, and a NAME.yaml there with `rules:`; its path is relative to sbc.yaml's"
        tree.diagnostics.append(Diagnostic(name, 0, 0, "there is no such directory", hint))
        return
    _read_members(directory, name, ".yaml", tree, tree.acl)
    if not tree.acl:
        hint = "without a rule nobody is barred: write NAME.yaml there, or leave `acl` out of sbc.yaml"
        tree.diagnostics.append(Diagnostic(name, 0, 0, "no *.yaml is here", hint, "", "warning"))


def _read_members(directory: Path, name: str, ending: str, tree: Tree, texts: dict[str, str]) -> None:
    for path in _members(directory, name, ending, tree):
        breathe()
        text = _text(directory, path, tree)
        if text is not None:
            texts[shown(directory, path)] = text


def _note_empty(tree: Tree) -> None:
    for name, texts, hint in (
        (TRUNKS, tree.trunks, "without a trunk nobody is admitted: write trunks.d/NAME.yaml"),
        (ROUTES, tree.routes, "without a rule every call gets 404: write routes.d/NAME.yaml"),
    ):
        if not texts:
            tree.diagnostics.append(Diagnostic(name, 0, 0, "no *.yaml is here", hint, "", "warning"))


def shown(directory: Path, path: Path) -> str:
    """``path`` as the operator is shown it: relative to the configuration's directory where it is inside."""
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)


def _members(directory: Path, name: str, ending: str, tree: Tree) -> list[Path]:
    """The files of one directory in name order; hidden ones and editors' leavings are passed over."""
    folder = directory / name
    try:
        entries = [folder / each for each in sorted(each.name for each in folder.iterdir())]
    except FileNotFoundError:
        return []
    except OSError as error:
        tree.diagnostics.append(
            Diagnostic(name, 0, 0, f"cannot be read: {_reason(error)}", _permission(error))
        )
        return []
    return [entry for entry in entries if _is_member(directory, entry, ending, tree)]


def _is_member(directory: Path, entry: Path, ending: str, tree: Tree) -> bool:
    """Whether a file is read; one that only seems to be is told."""
    breathe()
    if entry.name.startswith((".", "#")):
        return False
    name = entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    path = f"{shown(directory, entry.parent)}/{name}"
    if entry.suffix != ending:
        if _seems(entry.name, ending):
            hint = f"rename it to {name.partition('.')[0]}{ending}, or remove it"
            message = f"is ignored: only *{ending} is read"
            tree.diagnostics.append(Diagnostic(path, 0, 0, message, hint, "", "warning"))
        return False
    if name != entry.name:
        hint = "rename it: letters of other alphabets are written in UTF-8"
        tree.diagnostics.append(Diagnostic(path, 0, 0, "the name of this file is not UTF-8", hint))
        return False
    return True


def _seems(name: str, ending: str) -> bool:
    """Whether a name ends almost as those do that are read: ``.yml``, ``.YAML``, ``.yaml.txt``."""
    small = name.strip().lower().removesuffix(".txt")
    return small.endswith((".yaml", ".yml") if ending == ".yaml" else ending)


def _bytes(directory: Path, path: Path, tree: Tree) -> bytes | None:
    name = shown(directory, path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            tree.diagnostics.append(Diagnostic(name, 0, 0, "is not a file", "put a plain file there"))
            return None
        return path.read_bytes()
    except OSError as error:
        hint = "every configuration has one; see docs/configuration.md" if name == SETTINGS_FILE else ""
        hint = hint if isinstance(error, FileNotFoundError) else _permission(error)
        tree.diagnostics.append(Diagnostic(name, 0, 0, f"cannot be read: {_reason(error)}", hint))
        return None


def _text(directory: Path, path: Path, tree: Tree) -> str | None:
    data = _bytes(directory, path, tree)
    if data is None:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        document = Document(shown(directory, path), "")
        before = data[: error.start].decode("utf-8", "replace")
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        tree.diagnostics.append(document.problem_at(place, "the file is not UTF-8", "save it as UTF-8"))
        return None


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _permission(error: OSError) -> str:
    if not isinstance(error, PermissionError):
        return ""
    return "let the user that runs sbc read it: chown or chmod"
