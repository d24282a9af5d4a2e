"""The services that rules ask: their files read, and every mistake in `lookups:` of sbc.yaml.

A token is read like a key: nothing of it is ever shown. Without it, or without the CAs, the configuration is
refused, for every call that asks would take its `else`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dsl import syntax
from dsl.check import Checker
from dsl.clock import CLOCK_FACTS
from dsl.errors import Diagnostic
from dsl.facts import FACTS
from dsl.names import Known
from dsl.parse import parse_condition
from dsl.ruleset import RuleSet
from dsl.scope import NOTHING_NAMED
from dsl.services import Service
from sbc.config.crosscheck import SettingsFile, TrunkFile
from sbc.config.lookup import Lookup, LookupConfig
from sbc.config.named_files import NamedFiles
from sbc.config.schema import Loc, suggest
from sbc.tls.material.identity import IdentityMaterial

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch  # RFC 6750 2.1
_ASKED: Final = ("header", "to.param", "from.param")


@dataclass(slots=True)
class Lookups:
    """What could be read, and what was wrong; ``broken`` are names whose entry has a mistake."""

    lookups: dict[str, Lookup] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    digests: list[tuple[str, bytes]] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def services(self) -> dict[str, Service]:
        """Them as rules know them."""
        return {name: each.service for name, each in self.lookups.items()}


def load_lookups(
    settings: SettingsFile | None,
    directory: Path,
    identities: Mapping[str, IdentityMaterial],
    trunks: Iterable[TrunkFile],
) -> Lookups:
    """Check every entry of `lookups:`, and read its files; ``trunks`` are all that there are."""
    found = Lookups()
    if settings is None:
        return found
    files = NamedFiles(settings, directory, found.digests, found.diagnostics)
    known = frozenset([each.value.trunk for each in trunks])
    for name, config in settings.value.lookups.items():
        lookup = Lookup(name, config, config.service(name))
        found.diagnostics += _mistakes(settings, name, config)
        unfit = list(_facts(settings, name, config))
        found.diagnostics += unfit
        loc: Loc = ("lookups", name)
        token = (
            files.secret((*loc, "token_file"), config.token_file, "token", _TOKEN)
            if config.token_file
            else ""
        )
        ca = files.ca((*loc, "ca"), config.ca) if config.ca else ""
        identity = identities.get(config.identity) if config.identity else None
        broken = "" if identity or not config.identity else f"identity {config.identity} cannot be used"
        lookup = replace(
            lookup, trunks=known if lookup.service.decides else frozenset(), ca_pem=ca, identity=identity,
            token=token, broken=broken,
        )  # fmt: skip
        if not unfit:
            found.lookups[name] = replace(lookup, version=_version(lookup))
    found.broken = frozenset(settings.names("lookups")).difference(found.lookups)
    return found


def check_asked(settings: SettingsFile, rules: RuleSet) -> Iterator[Diagnostic]:
    """Warnings of services that no rule asks."""
    asked = {name for rule in rules.rules for name in rule.outcome.asks}
    for name in settings.value.lookups:
        if name not in asked:
            hint = f'let one say: ask "{name}" else reject 503, or remove it'
            yield settings.document.problem(
                ("lookups", name), "no rule asks this lookup", hint, key=True, severity="warning"
            )


def _mistakes(settings: SettingsFile, name: str, config: LookupConfig) -> Iterator[Diagnostic]:
    problem, loc = settings.document.problem, ("lookups", name)
    identities = settings.names("identities")
    if config.identity is not None and config.identity not in identities:
        hint = suggest(config.identity, identities, "define it under `identities:`")
        yield problem((*loc, "identity"), f"unknown identity {config.identity!r}", hint)
    if config.secure or config.stays_here:
        return
    if config.token_file is not None:
        hint = "write url: https://..., or ask a proxy on this machine, such as http://127.0.0.1:8081"
        yield problem((*loc, "token_file"), "the token would cross the network in the clear", hint)
    else:
        hint = "write url: https://...; who listens reads who calls whom, and may answer in its place"
        yield problem((*loc, "url"), "it is asked in the clear", hint, severity="warning")


def _facts(settings: SettingsFile, name: str, config: LookupConfig) -> Iterator[Diagnostic]:
    problem = settings.document.problem
    for at, written in enumerate(config.facts):
        loc: Loc = ("lookups", name, "facts", at)
        node, problems = parse_condition(written)
        checker = Checker(Known(), NOTHING_NAMED)
        if node is not None and _may_be_sent(node):
            checker.type_of(node)
            problems = (*problems, *checker.problems)
        elif node is not None:
            hint = suggest(written, FACTS) or 'such as from.user or header("X-Customer")'
            yield problem(loc, f"{written!r} is not a fact that can be sent", hint)
        if problems:
            yield problem(loc, f"{written!r}: {problems[0].message}", problems[0].hint)
        if written in config.facts[:at]:
            yield problem(loc, f"{written} stands twice", "leave one out")


def _may_be_sent(node: syntax.Node) -> bool:
    """Facts of the call, but for the clock's, and what is asked of it by a name in quotes."""
    if isinstance(node, syntax.FactRef):
        return node.name not in CLOCK_FACTS
    return isinstance(node, syntax.Call) and node.name in _ASKED


def _version(lookup: Lookup) -> str:
    """A hash over all that it is and what was read for it."""
    identity = lookup.identity
    own = (identity.chain_pem, identity.key_pem) if identity is not None else ()
    whole = (
        lookup.config, sorted(lookup.trunks), lookup.ca_pem, lookup.token, lookup.broken, own
    )  # fmt: skip
    return hashlib.sha256(repr(whole).encode()).hexdigest()[:16]
