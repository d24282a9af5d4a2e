"""What lies beside a certificate's files: the next one, staged, and the old one, kept for a step back.

A file ``sbc.pem`` of the keystore or the truststore may have a ``sbc.pem.next`` beside it, the
material that is to take its place, and a ``sbc.pem.old``, whose place it took. A staged identity
is loaded and checked like any other, under the name ``NAME+next``, and presented by nobody until a
trunk is bound to it. A staged trust entry is trusted beside the old one from the moment that it
is read. What is staged and cannot be used is only said; it stops nothing.

A chain and its key are two files, and no file system renames two at once. They are moved one
after the other, the chain first, and whoever reads a chain whose key does not fit looks for the
key beside it: so the pair is whole at every moment, whenever a crash comes, and no note of
what was under way needs to survive.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from sbc.tls.material.anchors import AnchorFiles, AnchorMaterial, load_anchor
from sbc.tls.material.identity import IdentityFiles, IdentityMaterial, load_identity
from sbc.tls.material.problems import Problem

NEXT, OLD = ".next", ".old"
# No name of the configuration holds a plus.
STAGED = "+next"


def staged_name(name: str) -> str:
    """The name of what is staged for the identity ``name``."""
    return name + STAGED


@dataclass(frozen=True, slots=True)
class PairFiles:
    """Where the chain and the key of an identity lie."""

    chain: str
    key: str
    passphrase_file: str | None = None


@dataclass(frozen=True, slots=True)
class EntryFiles:
    """A truststore entry as its files."""

    ca: str | None = None
    leaf: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()
    public: bool = False
    permitted: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file of the entry; a pin has none."""
        return self.leaf if self.ca is None else (self.ca,)


def next_pair(files: IdentityFiles, directory: Path) -> PairFiles | None:
    """The staged files of an identity; a renewed chain may keep the key. None where nothing is staged."""
    chain, key = files.chain + NEXT, files.key + NEXT
    if not os.path.exists(directory / chain):
        return None
    return PairFiles(chain, key if os.path.exists(directory / key) else files.key, files.passphrase_file)


def load_whole(
    name: str, files: IdentityFiles, directory: Path, now: float, roots: Collection[str] = ()
) -> tuple[IdentityMaterial | None, list[Problem]]:
    """``load_identity``; of a pair whose move was interrupted, with the key that has not moved yet."""
    material, problems = load_identity(name, files, directory, now, roots)
    if material is not None:
        return material, problems
    moving = _with_moving_key(name, files, directory, now, roots)
    return (None, problems) if moving is None else moving[:2]


def unfinished(files: IdentityFiles, directory: Path, now: float) -> str | None:
    """Where the key still lies of a pair whose move was interrupted; None for a pair that is in place."""
    if not any(os.path.exists(directory / (files.key + ending)) for ending in (NEXT, OLD)):
        return None
    if load_identity("", files, directory, now)[0] is not None:
        return None
    found = _with_moving_key("", files, directory, now, ())
    return None if found is None else found[2]


def _with_moving_key(
    name: str, files: IdentityFiles, directory: Path, now: float, roots: Collection[str]
) -> tuple[IdentityMaterial, list[Problem], str] | None:
    for ending in (NEXT, OLD):
        moving = PairFiles(files.chain, files.key + ending, files.passphrase_file)
        if os.path.exists(directory / moving.key):
            material, problems = load_identity(name, moving, directory, now, roots)
            if material is not None:
                return material, problems, moving.key
    return None


def load_staged(
    name: str, files: IdentityFiles, directory: Path, now: float, roots: Collection[str] = ()
) -> tuple[IdentityMaterial | None, list[Problem]]:
    """What is staged for the identity ``name``; its mistakes are warnings. None where there is nothing."""
    pair = next_pair(files, directory)
    if pair is None:
        return None, []
    material, problems = load_identity(staged_name(name), pair, directory, now, roots)
    return material, [_harmless(each) for each in problems]


def next_entry(anchor: AnchorFiles, directory: Path) -> EntryFiles | None:
    """The files of a truststore entry once what is staged has taken its place; None where nothing is."""

    def coming(path: str) -> str:
        return path + NEXT if os.path.exists(directory / (path + NEXT)) else path

    leaf = tuple(map(coming, anchor.leaf))
    ca = coming(anchor.ca) if anchor.ca is not None else None
    if (ca, leaf) == (anchor.ca, tuple(anchor.leaf)):
        return None
    return EntryFiles(ca, leaf, (), anchor.public, tuple(anchor.permitted))


def load_dual(
    name: str, anchor: AnchorFiles, directory: Path, now: float
) -> tuple[AnchorMaterial | None, list[Problem]]:
    """``load_anchor``, and what is staged for the entry trusted beside it."""
    current, problems = load_anchor(name, anchor, directory, now)
    files = next_entry(anchor, directory)
    if current is None or files is None:
        return current, problems
    coming, more = load_anchor(name, files, directory, now)
    if coming is not None and coming.public and not current.public:
        # Whoever is trusted without a name today would be asked for one at once.
        hint = "give the entry `public: true` and its trunks `names` first"
        more.append(Problem(files.paths[0], "this is a public root; the entry is a private one", hint))
        coming = None
    problems += [_harmless(each) for each in more if each not in problems]
    return (current if coming is None else beside(current, coming)), problems


def beside(current: AnchorMaterial, coming: AnchorMaterial) -> AnchorMaterial:
    """``current`` with the certificates of ``coming`` trusted too."""
    new = [at for at, der in enumerate(coming.certificates) if der not in current.certificates]
    facts = current.facts + tuple(coming.facts[at] for at in new)
    return replace(
        current,
        certificates=current.certificates + tuple(coming.certificates[at] for at in new),
        facts=facts,
        subjects=tuple(each.identity.subject for each in facts),
        coming=coming,
        old=current.thumbprints,
    )


def _harmless(problem: Problem) -> Problem:
    how = "staged, and not used as it is" if problem.fatal else "staged"
    return replace(problem, message=f"{how}: {problem.message}", fatal=False)
