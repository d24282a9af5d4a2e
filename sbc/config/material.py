"""The keystore and the truststore: loaded by ``sbc.tls``, their mistakes shown where they are configured."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from dsl.breath import breathe
from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile
from sbc.config.model import Identity
from sbc.config.quarantine import Entry, Said, former_anchor, former_identity, still_dual, still_staged
from sbc.config.schema import Loc
from sbc.config.snapshot import Snapshot
from sbc.tls.lifetime.staged import load_dual, load_staged, load_whole
from sbc.tls.match import AnchorMaterial
from sbc.tls.material.identity import IdentityMaterial
from sbc.tls.material.problems import Problem
from sbc.tls.revocation.files import FileList, load_lists


@dataclass(slots=True)
class Material:
    """What could be loaded, by the names of sbc.yaml, and what was wrong; what is staged is ``NAME+next``."""

    identities: dict[str, IdentityMaterial] = field(default_factory=dict)
    anchors: dict[str, AnchorMaterial] = field(default_factory=dict)
    lists: dict[str, tuple[FileList, ...]] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    # When what cannot be used for its dates alone could be, POSIX seconds.
    dated: set[float] = field(default_factory=set)
    early: set[Diagnostic] = field(default_factory=set)  # of the errors those that pass with time
    # Entries that cannot be used, and entries whose former material stays in force; each with why.
    broken: dict[Entry, Said] = field(default_factory=dict)
    held: dict[Entry, Said] = field(default_factory=dict)

    def date(self, problems: list[Problem], found: list[Diagnostic], now: float) -> None:
        """Keep the dates on which ``problems`` hang, of which ``found`` is what is shown."""
        self.dated.update(each.dated for each in problems if each.dated)
        self.early.update(
            shown for each, shown in zip(problems, found, strict=True) if each.fatal and each.dated > now
        )

    def note(self, entry: Entry, found: list[Diagnostic], fresh: object, former: object) -> None:
        """Keep what was found wrong with ``entry``, of which ``fresh`` was loaded and ``former`` is kept."""
        self.diagnostics += found
        errors = tuple(each for each in found if each.severity == "error")
        if fresh is None:
            (self.broken if former is None else self.held)[entry] = errors or tuple(found[:1])


def load_material(
    settings: SettingsFile, directory: Path, now: float, former: Snapshot | None = None
) -> Material:
    """Load every identity and trust anchor of ``settings``; ``now`` (POSIX seconds) judges their dates.

    Where one cannot be loaded, what ``former`` had under its name stays in force.
    """
    material = Material()
    for name, anchor in settings.value.trust.items():
        breathe()
        trusted, problems = load_dual(name, anchor, directory, now)
        trusted = trusted and still_dual(former, name, anchor, trusted, directory, now)
        lists: tuple[FileList, ...] = ()
        if trusted is not None:
            certificates = trusted.certificates if trusted.kind == "ca" else ()
            lists, more = load_lists(name, anchor.crl, certificates, directory, now)
            problems += more
            if any(each.fatal for each in more):
                trusted = None  # without its lists it would accept who is revoked
        kept = former_anchor(former, name, anchor, now) if trusted is None else None
        if (usable := trusted or kept) is not None:
            material.anchors[name] = usable
            material.lists[name] = (
                lists if former is None or trusted is not None else former.lists.get(name, ())
            )
        found = _place(settings, ("trust", name), problems, directory)
        material.date(problems, found, now)
        material.note(("trust", name), found, trusted, kept)
    # A leaf straight under a root that we trust ourselves needs no intermediate beside it.
    roots = {subject for anchor in material.anchors.values() for subject in anchor.subjects}
    for name, identity in settings.value.identities.items():
        breathe()
        loaded, problems = load_whole(name, identity, directory, now, roots)
        if identity.acme and loaded is None:
            problems = _ordered_anew(name, identity, directory, problems)
        staged, more = load_staged(name, identity, directory, now, roots)
        problems += more
        staged = staged or still_staged(former, name, identity, directory, now)
        held = former_identity(former, name, now) if loaded is None else None
        usable_ones = (loaded or held, staged)
        material.identities.update((each.name, each) for each in usable_ones if each is not None)
        found = _place(settings, ("identities", name), problems, directory)
        material.date(problems, found, now)
        material.note(("identities", name), found, loaded, held)
    return material


def _ordered_anew(name: str, identity: Identity, directory: Path, problems: list[Problem]) -> list[Problem]:
    """What is wrong with a certificate that ACME orders is mended by an order, and that needs us running."""
    if all(os.path.exists(directory / each) for each in (identity.chain, identity.key)):
        return [replace(each, hint="another is ordered", fatal=False) for each in problems if each.fatal]
    text = f"identity {name} has no certificate yet: it is ordered from the ACME directory"
    hint = "until it is there, who asks for it is refused; the journal says what becomes of the order"
    return [Problem("", text, hint, fatal=False)]


def _place(settings: SettingsFile, loc: Loc, problems: list[Problem], directory: Path) -> list[Diagnostic]:
    return [_diagnostic(settings, loc, problem, directory) for problem in problems]


def _diagnostic(settings: SettingsFile, loc: Loc, problem: Problem, directory: Path) -> Diagnostic:
    """At the value that names the problem's file, else at the entry's own key."""
    entry = settings.document.data[loc[0]][loc[1]]
    lists = ((key, value if isinstance(value, list) else [value]) for key, value in entry.items())
    key = next((key for key, values in lists if problem.path in values), None)
    path, hint = problem.path, problem.hint
    if path and (made := _lab_hint(directory, directory / path)):
        hint = f"{hint}; {made}"
    where = f"{path}: " if path else ""
    severity = "error" if problem.fatal else "warning"
    place: Loc = loc if key is None else (*loc, key)
    return settings.document.problem(
        place, f"{where}{problem.message}", hint, key=key is None, severity=severity
    )


def _lab_hint(directory: Path, path: Path) -> str:
    """In a fresh checkout the lab's certificates are not there yet; say how they come."""
    fresh = (
        directory / "tls" in path.parents
        and not os.path.exists(path)
        and os.path.isfile(directory / "Makefile")
    )
    return "`make demo` or `make run` makes the lab's certificates" if fresh else ""
