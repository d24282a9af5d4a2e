"""Moving certificates in and out of place: stage, retire, roll back, and finish what a crash left.

Every file is written whole beside its place and renamed over it, with the owner and the permissions
of the file that it stands beside. What ``sbc.tls.lifetime.staged`` says of pairs holds here: the chain moves
first, the key after it, and between the two a loader finds the key where it still is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from sbc.base import LocalError
from sbc.config.model import Settings
from sbc.tls.lifetime.rotation import Key
from sbc.tls.lifetime.staged import NEXT, OLD, EntryFiles, PairFiles, unfinished
from sbc.tls.material.anchors import AnchorFiles, load_anchor
from sbc.tls.material.identity import IdentityFiles, load_identity
from sbc.tls.material.problems import Problem


def stage_pair(
    files: IdentityFiles, directory: Path, chain: Path, key: Path | None, now: float,
    roots: Collection[str] = (),
) -> list[str]:  # fmt: skip
    """Put a chain and its key beside those of an identity, checked as at load; warnings.

    Without ``key`` the chain must fit the key in use. LocalError, with nothing put in place, where
    it cannot be used.
    """
    given = PairFiles(str(chain.absolute()), files.key if key is None else str(key.absolute()), None)
    if key is None or _encrypted(key):
        given = PairFiles(given.chain, given.key, files.passphrase_file)
    material, problems = load_identity("given", given, directory, now, roots)
    if material is None:
        raise _refusal(problems)
    current, _ = load_identity("current", files, directory, now, roots)
    missing = [] if current is None else [san for san in current.sans if san not in material.sans]
    put_pair(files, directory, chain.read_bytes(), None if key is None else key.read_bytes())
    lost = [f"{', '.join(missing)}: named by the certificate in use, not by this one"] if missing else []
    return [*map(str, problems), *lost]


def put_pair(files: IdentityFiles, directory: Path, chain: bytes, key: bytes | None) -> None:
    """Write what is staged for an identity, unchecked: the key first, for the chain is what counts."""
    key_path = directory / files.key
    if key is None:
        beside(key_path, NEXT).unlink(missing_ok=True)
    else:
        _write(beside(key_path, NEXT), key, key_path)
    chain_path = directory / files.chain
    _write(beside(chain_path, NEXT), chain, chain_path)


def stage_entry(anchor: AnchorFiles, directory: Path, given: Path, now: float) -> list[str]:
    """Put a file beside that of a truststore entry, checked as at load; warnings.

    LocalError, with nothing put in place, where it cannot be used or the entry is not one file.
    """
    paths = EntryFiles(anchor.ca, tuple(anchor.leaf)).paths
    if len(paths) != 1:
        text = (
            "a pin is in sbc.yaml, not in a file: write the new one beside it, pin: [OLD, NEW]"
            if not paths
            else f"the entry has {len(paths)} files: put the new one beside its own, as FILE{NEXT}"
        )
        raise LocalError(text)
    name = str(given.absolute())
    ca, leaf = (name, ()) if anchor.ca is not None else (None, (name,))
    files = EntryFiles(ca, leaf, (), anchor.public)
    material, problems = load_anchor("given", files, directory, now)
    current, _ = load_anchor("current", anchor, directory, now)
    if material is not None and material.public and current is not None and not current.public:
        hint = "give the entry `public: true` and its trunks `names` first"
        problems.append(Problem(str(given), "this is a public root; the entry is a private one", hint))
    if material is None or any(each.fatal for each in problems):
        raise _refusal(problems)
    path = directory / paths[0]
    _write(beside(path, NEXT), given.read_bytes(), path)
    return list(map(str, problems))


def retire(paths: Iterable[Path]) -> None:
    """Let what is staged take the place of what is in use, which is kept as ``.old``; LocalError.

    ``paths`` are the files of one entry, a chain before its key.
    """
    paths = list(paths)
    moving = [path for path in paths if os.path.exists(beside(path, NEXT))]
    for path in paths:
        beside(path, OLD).unlink(missing_ok=True)
    _copy(moving, OLD)
    _move(moving, NEXT)


def roll_back(paths: Iterable[Path]) -> None:
    """Let the ``.old`` ones come back; what they come back for is staged again. LocalError."""
    moving = [path for path in paths if os.path.exists(beside(path, OLD))]
    _copy(moving, NEXT)
    _move(moving, OLD)


def paths_of(settings: Settings, directory: Path, key: Key) -> list[Path]:
    """The files of an entry, a chain before its key."""
    if key[0] == "trust":
        return [directory / path for path in settings.trust[key[1]].files]
    files = settings.identities[key[1]]
    return [directory / files.chain, directory / files.key]


def returnable(settings: Settings, directory: Path) -> list[Key]:
    """The entries that have an old one which could come back."""
    keys: list[Key] = [("identities", name) for name in settings.identities]
    keys += [("trust", name) for name, anchor in settings.trust.items() if anchor.files]
    return [
        key
        for key in keys
        if any(os.path.exists(beside(path, OLD)) for path in paths_of(settings, directory, key))
    ]


def finish(files: IdentityFiles, directory: Path, now: float) -> bool:
    """Finish the move of a pair that a crash interrupted; True where there was one."""
    key = unfinished(files, directory, now)
    if key is None:
        return False
    (directory / key).replace(directory / files.key)
    return True


def beside(path: Path, ending: str) -> Path:
    """The file beside ``path`` with ``ending``."""
    return path.with_name(path.name + ending)


def _copy(paths: list[Path], ending: str) -> None:
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LocalError(f"{path} cannot be read: {error.strerror}; nothing was moved") from None
        _write(beside(path, ending), data, path)


def _move(paths: list[Path], ending: str) -> None:
    for path in paths:
        try:
            beside(path, ending).replace(path)
        except OSError as error:
            what = f"{beside(path, ending)} cannot be moved to {path}: {error.strerror}"
            raise LocalError(f"{what}; mend that and say the same again") from None
        _sync(path.parent)


def _write(path: Path, data: bytes, like: Path) -> None:
    """Write ``path`` in one step, with the owner and permissions of ``like``; a new one is for us alone."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            if os.path.exists(like):
                status = like.stat()
                os.fchmod(fd, status.st_mode & 0o777)
                # Root stages for the user that runs sbc; whoever is not root keeps what is his.
                with contextlib.suppress(PermissionError):
                    os.fchown(fd, status.st_uid, status.st_gid)
            file.write(data)
            file.flush()
            os.fsync(fd)
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        remedy = "make room on its disk, or let this user write there"
        raise LocalError(f"{path} cannot be written: {error.strerror}; {remedy}") from None
    _sync(path.parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _encrypted(key: Path) -> bool:
    try:
        return b"ENCRYPTED" in key.read_bytes()
    except OSError:
        return False  # the load says why


def _refusal(problems: list[Problem]) -> LocalError:
    fatal = [str(each) for each in problems if each.fatal]
    return LocalError("; ".join([*fatal, "nothing was put in place"]))
