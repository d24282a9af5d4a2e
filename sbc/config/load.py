"""From a directory to a Snapshot, or to every mistake in it: the one door to a configuration.

Starting, reloading and ``sbc check`` are all this one function, so that what was checked is what
runs. It reads files and nothing else, keeps no state between calls, and may be run in a thread:
reading the YAML of a few hundred trunks for the first time takes about a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePath

from dsl.errors import Diagnostic
from dsl.load import load as load_rules
from dsl.names import Known
from dsl.ruleset import RuleSet
from sbc.base import ConfigError
from sbc.config.accounts import load_accounts
from sbc.config.acl import AccessList, load_acl
from sbc.config.acme import check_acme
from sbc.config.arrivals import arrival
from sbc.config.collectors import load_collectors
from sbc.config.crosscheck import SettingsFile, TrunkFile, check_control, check_routing, check_trunks
from sbc.config.curves import check_curves
from sbc.config.files import ROUTES, SETTINGS_FILE, Tree, read_tree
from sbc.config.hook_set import HookSet
from sbc.config.hooks import check_calls, load_hooks
from sbc.config.listeners import check_settings
from sbc.config.lookups import Lookups, check_asked, load_lookups
from sbc.config.material import Material, load_material
from sbc.config.model import HookSettings, Settings, Trunk
from sbc.config.phones import check_registrar
from sbc.config.places import all_places
from sbc.config.premium_tables import check_premium
from sbc.config.profile_needs import check_profiles
from sbc.config.public_trust import check_public
from sbc.config.quarantine import quarantine
from sbc.config.read_files import ReadTrunk, read_files
from sbc.config.routing_files import RoutingFiles, load_routing_files
from sbc.config.schema import read
from sbc.config.shared import check_shared
from sbc.config.sinks import load_sinks
from sbc.config.snapshot import Snapshot, feed
from sbc.config.unreached import check_emergency
from sbc.config.yaml_reader import Document

_ENTRY_SECTIONS = {"listeners": 2, "identities": 2, "trust": 2, "tenants": 2, "lookups": 2}


def build_snapshot(directory: Path | str, now: float, former: Snapshot | None = None) -> Snapshot:
    """Read, check and assemble the configuration in ``directory``; ``now`` is in POSIX seconds.

    Raises ConfigError with every diagnostic of every file, warnings included, in the order of
    the files and lines. Without an error the warnings are in the snapshot. Broken certificate
    files alone are no reason to refuse, unless no trunk is left for good: they quarantine the trunks that
    need them, or leave in force what ``former``, the snapshot that runs, has.
    """
    tree = read_tree(directory := Path(directory))
    found = list(tree.diagnostics)
    settings = _settings(tree, found)
    trunk_files = read_files(tree.trunks, former.trunk_files if former is not None else {}, Trunk)
    trunks, named = _trunks(trunk_files, found)
    material = _material(settings, trunks, directory, now, former, found)
    files = _files(settings, trunks, directory, found)
    accounts = load_accounts(trunks, directory)
    lookups = load_lookups(settings, directory, material.identities, trunks)
    collectors = load_collectors(settings, directory, material.identities)
    sinks = load_sinks(settings, directory)
    acl = _acl(settings, tree, directory, now, former, found)
    known = _known(tree, settings, trunks, named, files, lookups)
    secret = (accounts, lookups, sinks, collectors)
    found += [each for kind in secret for each in kind.diagnostics]
    digests = [*files.digests, *(each for kind in secret for each in kind.digests)]
    rules = _rules(tree, settings, trunks, known, found)
    hooks = _hooks(tree, settings, rules, found)
    ordered = tuple(sorted(set(found), key=_reading_order))
    # A file of certificates or keys stops no more than the trunks that need it.
    others = set(ordered).difference(material.diagnostics)
    if settings is None or rules is None or any(map(_fatal, others)):
        raise ConfigError(ordered)
    by_name = {each.value.trunk: each.value for each in trunks}
    stopped = quarantine(settings.value, by_name, material.broken, material.held, former)
    # What is not valid yet will be: a machine may begin with a clock that is behind.
    if by_name and len(stopped.trunks) == len(by_name) and any(map(_fatal, set(ordered) - material.early)):
        raise ConfigError(ordered)
    return Snapshot(
        version=_version(tree, material, digests),
        directory=directory, settings=settings.value, trunks=by_name, rules=rules, hooks=hooks,
        identities=material.identities, anchors=material.anchors, lists=material.lists, warnings=ordered,
        places=all_places(settings, trunks), held=stopped.held, quarantined=stopped.trunks,
        quarantined_tenants=stopped.tenants, logins=files.users, phones=files.phones,
        accounts=accounts.accounts, lookups=lookups.lookups, hep=collectors.hep, syslog=collectors.syslog,
        sinks=sinks.sinks, trunk_files=trunk_files, acl=acl.acl, acl_files=acl.files,
        dated=tuple(sorted(material.dated)),
    )  # fmt: skip


def _fatal(diagnostic: Diagnostic) -> bool:
    return diagnostic.severity == "error"


def _settings(tree: Tree, found: list[Diagnostic]) -> SettingsFile | None:
    if tree.settings is None:
        return None
    document = Document(SETTINGS_FILE, tree.settings)
    reading = read(document, Settings, _ENTRY_SECTIONS)
    found += document.diagnostics
    found += reading.diagnostics
    return None if reading.value is None else SettingsFile(reading.value, document, reading.broken)


def _trunks(
    files: Mapping[str, ReadTrunk], found: list[Diagnostic]
) -> tuple[list[TrunkFile], frozenset[str] | None]:
    """The trunks that can be checked further, and every file's trunk; None where a name cannot be read."""
    trunks, names = [], list[object]()
    for file in files.values():
        document, reading = file.document, file.reading
        found += document.diagnostics
        found += reading.diagnostics
        names.append(document.data.get("trunk") if isinstance(document.data, dict) else None)
        if reading.value is not None:
            trunks.append(TrunkFile(reading.value, document, reading.broken))
    known = frozenset(name for name in names if isinstance(name, str))
    return trunks, known if all(isinstance(name, str) for name in names) else None


def _material(
    settings: SettingsFile | None,
    trunks: list[TrunkFile],
    directory: Path,
    now: float,
    former: Snapshot | None,
    found: list[Diagnostic],
) -> Material:
    """The certificates and keys, when what names them has been checked."""
    if settings is None:
        return Material()
    found += check_settings(settings)
    found += check_acme(settings, directory)
    found += check_control(settings, directory)
    found += check_trunks(settings, trunks)
    found += check_profiles(trunks)
    found += check_shared(settings, trunks)
    material = load_material(settings, directory, now, former)
    found += material.diagnostics
    found += check_public(settings, trunks, material.anchors)
    found += check_curves(settings, trunks, material.identities)
    return material


def _files(
    settings: SettingsFile | None, trunks: list[TrunkFile], directory: Path, found: list[Diagnostic]
) -> RoutingFiles:
    """Tables and users."""
    if settings is None:
        return RoutingFiles()
    files = load_routing_files(settings, directory)
    found += files.diagnostics
    found += check_registrar(settings, trunks, files)
    found += check_premium(settings, trunks, files.tables)
    return files


def _acl(
    settings: SettingsFile | None, tree: Tree, directory: Path, now: float, former: Snapshot | None,
    found: list[Diagnostic],
) -> AccessList:  # fmt: skip
    """The access list; what it has counted under ``former`` is counted on."""
    known, files = (former.acl, former.acl_files) if former is not None else (None, {})
    acl = load_acl(settings, directory, tree, now, known, files)
    found += acl.diagnostics
    return acl


def _known(
    tree: Tree,
    settings: SettingsFile | None,
    trunks: list[TrunkFile],
    named: frozenset[str] | None,
    files: RoutingFiles,
    lookups: Lookups,
) -> Known:
    """The names that rules may use."""
    hooks = frozenset(PurePath(path).stem for path in tree.hooks)
    known = Known(
        trunks=named, hooks=hooks, tables=files.tables, broken_tables=frozenset(files.broken),
        services=lookups.services, broken_services=lookups.broken,
    )  # fmt: skip
    if settings is None:
        return known
    names = [frozenset(settings.names(section)) for section in ("listeners", "tenants")]
    arrivals = {each.value.trunk: arrival(each.value, settings.value) for each in trunks}
    known = replace(known, listeners=names[0], tenants=names[1], realms=files.users.realms, arrivals=arrivals)
    known = replace(known, recordings=bool(settings.names("recordings")))
    known = replace(known, phones=named is None or any(each.value.phones for each in trunks))
    emergency = settings.value.emergency
    return known if emergency is None else replace(known, emergency=emergency.means)


def _rules(
    tree: Tree, settings: SettingsFile | None, trunks: list[TrunkFile], known: Known, found: list[Diagnostic]
) -> RuleSet | None:
    rules, problems = load_rules(tree.routes, known)
    found += problems
    if rules is not None:
        if tree.routes and not (rules.rules or known.broken_tables or known.broken_services):
            hint = "every call gets 404: write one in routes.d/NAME.yaml"
            found.append(Diagnostic(ROUTES, 0, 0, "no file has a rule", hint, "", "warning"))
        found += rules.run_tests()
        found += check_routing(rules, trunks)
        if settings is not None:
            found += check_emergency(settings, rules, known.arrivals)
            found += check_asked(settings, rules)
    return rules


def _hooks(
    tree: Tree, settings: SettingsFile | None, rules: RuleSet | None, found: list[Diagnostic]
) -> HookSet:
    limit = settings.value.hooks.timeout if settings is not None else HookSettings().timeout
    hooks, problems = load_hooks(tree.hooks, limit)
    found += problems
    if rules is not None:
        found += check_calls(hooks, rules)
    return hooks


def _reading_order(diagnostic: Diagnostic) -> tuple[bool, str, int, int, str]:
    place = (diagnostic.path, diagnostic.line, diagnostic.col, diagnostic.message)
    return (diagnostic.path != SETTINGS_FILE, *place)


def _version(tree: Tree, material: Material, digests: Iterable[tuple[str, bytes]]) -> str:
    """12 hex digits over every byte that was read, file names included."""
    digest = hashlib.sha256()
    feed(digest, (tree.settings or "").encode())
    for texts in (tree.trunks, tree.routes, tree.hooks, tree.acl):
        _feed_files(digest, ((path, text.encode()) for path, text in texts.items()))
    _feed_files(digest, ((f"{k}/chain", each.chain_pem) for k, each in material.identities.items()))
    _feed_files(digest, ((f"{k}/key", each.key_pem) for k, each in material.identities.items()))
    _feed_files(digest, ((k, b"".join(each.certificates)) for k, each in material.anchors.items()))
    for state, entries in (("broken", material.broken), ("held", material.held)):
        told = (("/".join((state, *entry)), repr(said).encode()) for entry, said in entries.items())
        _feed_files(digest, told)
    _feed_files(digest, digests)
    lists = ((f"{k}/{path}", each.digest) for k, found in material.lists.items() for path, each in found)
    _feed_files(digest, ((path, fingerprint.encode()) for path, fingerprint in lists))
    return digest.hexdigest()[:12]


def _feed_files(digest: hashlib._Hash, files: Iterable[tuple[str, bytes]]) -> None:
    for path, data in files:
        feed(digest, path.encode())
        feed(digest, data)
    feed(digest, b"")
