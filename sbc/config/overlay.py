"""A configuration with some of its files replaced, without touching it: links beside the changed files.

What is tried is read by the same door as what runs. So the directory is mirrored by symbolic links,
as deep as the changed files lie, and these stand in the mirror in place of the originals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from sbc.base import LocalError
from sbc.config.files import SETTINGS_FILE, TRUNKS


def place_in(directory: Path, changed: Path) -> PurePosixPath:
    """Which file of the configuration a changed one stands for; LocalError where that cannot be told.

    sbc.yaml for itself, any other YAML for the trunk's file of its name, and anything else for the
    one file of that name under the directory, such as a CA's certificates.
    """
    if changed.name == SETTINGS_FILE:
        return PurePosixPath(SETTINGS_FILE)
    if changed.suffix == ".yaml":
        return PurePosixPath(TRUNKS, changed.name)
    alike = [path for path in directory.rglob(changed.name) if path.is_file()]
    alike = [path for path in alike if path.resolve() != changed.resolve()]
    if len(alike) != 1:
        found = "no file" if not alike else f"{len(alike)} files"
        hint = "give a changed sbc.yaml that names the new one"
        raise LocalError(f"{changed}: {found} of the configuration has this name; {hint}")
    return PurePosixPath(alike[0].relative_to(directory).as_posix())


def mirror(directory: Path, changes: Mapping[PurePosixPath, Path], into: Path) -> None:
    """Make ``into`` a mirror of ``directory`` in which ``changes``, by their place, stand for its files."""
    into.mkdir(exist_ok=True)
    below: dict[str, dict[PurePosixPath, Path]] = {}
    for place, changed in changes.items():
        below.setdefault(place.parts[0], {})[PurePosixPath(*place.parts[1:])] = changed
    for entry in directory.iterdir() if directory.is_dir() else ():
        if entry.name not in below:
            (into / entry.name).symlink_to(entry.resolve())
    for name, inner in below.items():
        whole = inner.pop(PurePosixPath(), None)
        if whole is not None:
            (into / name).symlink_to(whole.resolve())
        else:
            mirror(directory / name, inner, into / name)


def read_changes(directory: Path, files: Sequence[Path]) -> dict[PurePosixPath, Path]:
    """The changed files by their place; LocalError for one that is not there or whose place is unknown."""
    for each in files:
        if not each.is_file():
            raise LocalError(f"{each}: there is no such file; give the changed sbc.yaml or files of trunks.d")
    return {place_in(directory, each): each for each in files}
