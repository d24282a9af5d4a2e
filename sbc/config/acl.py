"""The access list as the operator writes it, a directory of files, and the rules that are made of them.

Files come in the order of their names, rules in that of their file. What a rule compares is read into the one
form in which it will be met: an address into its shortest, a user as rules of routes.d see it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, WithJsonSchema, model_validator

from dsl.addresses import canonical_host, canonical_text, canonical_user
from dsl.breath import breathe
from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile
from sbc.config.files import Tree, read_acl
from sbc.config.read_files import ReadFile, read_files
from sbc.config.schema import Loc, suggest
from sbc.config.values import Name, Network, Strict
from sbc.config.yaml_reader import Written
from sbc.policy.acl import (
    ADDRESS,
    GLOB,
    OF_ADDRESS,
    OF_REQUEST,
    PUBLIC,
    Acl,
    Rule,
    Scope,
    has_no_end,
    meets,
)
from sbc.policy.exempt import EXEMPT_TEXTS, touches_exempt

#: Patterns that neither begin nor end with a character are tried one by one.
MOST_LOOSE: Final = 100
_WILD: Final = re.compile(r"[*?]")
_GLOB: Final = re.compile(r"[0-9a-f.:*?]+").fullmatch
_LEADING_ZERO: Final = re.compile(r"(?:\A|[.:])0[0-9a-f]").search
_USER: Final = re.compile(r"[^\s@:<>\"]+(?:@[A-Za-z0-9.\-_\[\]:*?]+)?").fullmatch
_LIKE_NUMBER: Final = re.compile(r"\+?[0-9\-.()*?]+").fullmatch
_DID: Final = re.compile(r"\+?[0-9*?]+").fullmatch
_SEPARATORS: Final = {ord(each): None for each in "-.() "}


def _texts(value: object) -> object:
    """One or a list of them; a number as it is written, for 0049 is not 49."""
    values = value if isinstance(value, list | tuple) else [value]
    return tuple([_text(each) for each in values])


def _text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return value.text if isinstance(value, Written) else str(value)


def _address(text: str) -> str:
    if text.strip().lower() == PUBLIC:
        return PUBLIC
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        hint = "write one such as 203.0.113.9, or public for all that are not private; a network is a cidr"
        raise ValueError(f"{text!r} is not an address: {hint}") from None
    if "%" in text:
        raise ValueError(f"{text!r} names an interface, which is not compared: leave it out, with the %")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _glob(text: str) -> str:
    small = text.strip().lower()
    if not _GLOB(small):
        hint = "* stands for any characters and ? for one, such as 203.0.113.*"
        raise ValueError(f"{text!r} is not a pattern of addresses: {hint}")
    if not _WILD.search(small):
        raise ValueError(f"{text!r} has neither * nor ?: write `address: {small}`")
    if _LEADING_ZERO(small):
        hint = "leave out the 0 that a part begins with, such as 2001:db8:* for 2001:0db8:*"
        raise ValueError(f"{text!r} matches no address, for it is compared with the shortest form: {hint}")
    if small.startswith("::ffff:") and "." in small:
        hint = f"write {small[7:]}"
        raise ValueError(f"{text!r} matches no address, for those are compared as IPv4 addresses: {hint}")
    return small


def _user(text: str) -> str:
    if not _USER(text.strip()):
        hint = "write a user, or user@host, without sip: before it, such as 00* or *@scanner.example"
        raise ValueError(f"{text!r} is not a user: {hint}")
    user, at, host = text.strip().partition("@")
    if _WILD.search(user):
        user = canonical_text(user)
        user = user.translate(_SEPARATORS) if _LIKE_NUMBER(user) else user
    else:
        user = canonical_user(user)
    return user + at + canonical_host(host.strip("[]"))


def _did(text: str) -> str:
    number = text.translate(_SEPARATORS)
    if not _DID(number):
        hint = 'write its digits in quotes, such as "+4930123" or "+4990*"; a name is a sip-user'
        raise ValueError(f"{text!r} is not a number: {hint}")
    return number


def _until(value: object) -> float:
    """The end of a day in POSIX seconds; it is over when the next begins in UTC."""
    try:
        day = date.fromisoformat(str(value).strip())
        after = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is not a day: write year-month-day, such as 2027-01-31") from None
    return after.timestamp()


_SEVERAL = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)
Addresses = Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], BeforeValidator(_texts), _SEVERAL]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_texts), _SEVERAL]
Globs = Annotated[tuple[Annotated[str, AfterValidator(_glob)], ...], BeforeValidator(_texts), _SEVERAL]
SipUsers = Annotated[tuple[Annotated[str, AfterValidator(_user)], ...], BeforeValidator(_texts), _SEVERAL]
Dids = Annotated[tuple[Annotated[str, AfterValidator(_did)], ...], BeforeValidator(_texts), _SEVERAL]
Names = Annotated[tuple[Name, ...], BeforeValidator(_texts), _SEVERAL]
LastDay = Annotated[
    float, BeforeValidator(_until), WithJsonSchema({"type": "string", "examples": ["2027-01-31"]})
]


class Compared(Strict):
    """What a rule compares, one kind of them; one value or a list.

    ``address`` (``public``: all but private ones), ``cidr`` and ``glob`` are about where it comes from,
    ``sip-user`` is the user that a request asks for, ``sip-from`` who it says calls, ``sip-did`` the number
    that it asks for.
    """

    address: Addresses = ()
    cidr: Networks = ()
    glob: Globs = ()
    sip_user: SipUsers = Field(default=(), alias="sip-user")
    sip_from: SipUsers = Field(default=(), alias="sip-from")
    sip_did: Dids = Field(default=(), alias="sip-did")

    @model_validator(mode="after")
    def _one_kind(self) -> Compared:
        given = [kind for kind in OF_ADDRESS + OF_REQUEST if self.values(kind)]
        if len(given) != 1:
            what = f"{' and '.join(given)} together" if given else "nothing is compared"
            raise ValueError(f"{what}: write one of {', '.join(OF_ADDRESS + OF_REQUEST)}; one kind a rule")
        return self

    def values(self, kind: str) -> tuple[str, ...]:
        """What is compared of one kind."""
        found: tuple[str, ...] = getattr(self, kind.replace("-", "_"))
        return found

    @property
    def kind(self) -> str:
        """The one kind."""
        return next(kind for kind in OF_ADDRESS + OF_REQUEST if self.values(kind))


class AclRule(Strict):
    """One rule: ``allow`` or ``deny``. It holds to the end of the day ``until``, in UTC.

    ``silent``: a request that it denies gets no answer, in the place of 403. ``force``: it is meant to shut
    out private addresses, or this machine's own.
    """

    allow: Compared | None = None
    deny: Compared | None = None
    note: str | None = Field(default=None, max_length=200)
    until: LastDay | None = None
    silent: StrictBool = False
    force: StrictBool = False

    @model_validator(mode="after")
    def _one_act(self) -> AclRule:
        if (self.allow is None) is (self.deny is None):
            what = "neither allow nor deny" if self.allow is None else "allow and deny in one rule"
            raise ValueError(f"{what}: write one of them, such as deny: {{address: 203.0.113.9}}")
        if self.silent and (self.deny is None or self.deny.kind in OF_ADDRESS):
            raise ValueError(
                "silent is for a deny of sip-user, sip-from or sip-did: leave it out; an address that is"
                " denied gets no answer anyhow"
            )
        return self

    @property
    def compared(self) -> Compared:
        """What it compares."""
        found = self.allow or self.deny
        assert found is not None, "one of them is given"
        return found


class AclFile(Strict):
    """One file of the access list: its rules, and whom they are for, where not for all.

    ``tenant``: for the trunks of a tenant; ``listeners``: for what arrives there.
    """

    tenant: Name | None = None
    listeners: Names = ()
    rules: tuple[AclRule, ...]


@dataclass(frozen=True, slots=True)
class ReadAcl:
    """One file as read, and the line of each of its rules: nobody keeps the nodes of ten thousand."""

    file: ReadFile[AclFile]
    lines: tuple[int, ...]


AclFiles = Mapping[str, ReadAcl]


@dataclass(slots=True)
class AccessList:
    """The rules, what was wrong with them, and the files as read, for the next time."""

    acl: Acl = field(default_factory=Acl)
    files: AclFiles = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def load_acl(
    settings: SettingsFile | None, directory: Path, tree: Tree, now: float, former: Acl | None,
    former_files: AclFiles,
) -> AccessList:  # fmt: skip
    """Read the directory that ``acl`` names in ``settings``; ``now`` is in POSIX seconds.

    What ``former`` has counted of the same rules is counted on.
    """
    name = settings.value.acl if settings is not None else None
    if settings is None or name is None:
        return AccessList(Acl((), former))
    before = len(tree.diagnostics)
    read_acl(directory, name, tree)
    found = AccessList(files={path: _read(path, text, former_files) for path, text in tree.acl.items()})
    found.diagnostics += tree.diagnostics[before:]
    rules: list[Rule] = []
    for each in found.files.values():
        file = each.file
        found.diagnostics += [*file.document.diagnostics, *file.reading.diagnostics]
        if file.reading.value is not None:
            found.diagnostics += _mistakes(settings, file, file.reading.value, now)
            rules += _rules(each, file.reading.value)
    found.diagnostics += _between(found.files, rules)
    found.acl = Acl(rules, former)
    for each in found.files.values():
        each.file.document.fold()
    return found


def _read(path: str, text: str, former: AclFiles) -> ReadAcl:
    known = {path: former[path].file} if path in former else {}
    file = read_files({path: text}, known, AclFile)[path]
    if path in former and file is former[path].file:
        return former[path]
    rules = file.reading.value.rules if file.reading.value is not None else ()
    return ReadAcl(file, tuple([file.document.place(("rules", index))[0] for index in range(len(rules))]))


def _rules(read: ReadAcl, value: AclFile) -> Iterator[Rule]:
    scope, path = Scope(value.tenant or "", value.listeners), read.file.document.path
    for line, rule in zip(read.lines, value.rules, strict=True):
        breathe()
        compared = rule.compared
        yield Rule(
            rule.allow is not None, compared.kind, compared.values(compared.kind), scope,
            f"{path}:{line}", rule.note or "",
            rule.until if rule.until is not None else float("inf"), rule.silent,
        )  # fmt: skip


def _mistakes(
    settings: SettingsFile, file: ReadFile[AclFile], value: AclFile, now: float
) -> Iterator[Diagnostic]:
    problem = file.document.problem
    if value.tenant is not None and value.tenant not in settings.names("tenants"):
        hint = suggest(value.tenant, settings.names("tenants"), "define it under `tenants:` in sbc.yaml")
        yield problem(("tenant",), f"unknown tenant {value.tenant!r}", hint)
    for index, name in enumerate(value.listeners):
        if name not in settings.names("listeners"):
            hint = suggest(name, settings.names("listeners"), "define it under `listeners:` in sbc.yaml")
            yield problem(("listeners", index), f"unknown listener {name!r}", hint)
    for index, rule in enumerate(value.rules):
        breathe()
        loc: Loc = ("rules", index)
        if rule.until is not None and rule.until <= now:
            hint = "remove the rule, or write a later day"
            yield problem((*loc, "until"), "it is over: the rule holds no more", hint, severity="warning")
        if rule.deny is not None and not rule.force:
            yield from _lockout(file, (*loc, "deny", rule.deny.kind), rule.deny)


def _lockout(file: ReadFile[AclFile], loc: Loc, deny: Compared) -> Iterator[Diagnostic]:
    """Private addresses, and this machine's own, that a rule would shut out."""
    for index, value in enumerate(deny.values(deny.kind) if deny.kind in OF_ADDRESS else ()):
        if value == PUBLIC:
            continue
        if deny.kind == GLOB:
            shared = next((each for each in EXEMPT_TEXTS if meets(value, each)), None)
        else:
            shared = touches_exempt(value)
        if shared is not None:
            hint = "write force: true beside `deny` if it is meant"
            if deny.kind != ADDRESS:
                hint = f"write `address: public` for all addresses but private ones; or {hint[6:]}"
            message = f"{value} would shut out private addresses or this machine's own ({shared})"
            yield file.document.problem((*loc, index), message, hint)


def _between(files: AclFiles, rules: list[Rule]) -> Iterator[Diagnostic]:
    """What is seldom meant of the list as a whole, and how many patterns there may be of the slow kind."""
    loose, first = 0, dict[tuple[object, ...], str]()
    for rule in rules:
        breathe()
        path, _, line = rule.place.rpartition(":")
        known = first.get(same := (rule.kind, rule.values, rule.scope))
        if known is None and rule.until == float("inf"):
            first[same] = rule.place
        elif known is not None:
            hint = f"remove it: {known}, of the same, decides before it"
            yield _at(files, path, int(line), "the rule decides nothing", hint, "warning")
        if rule.kind in OF_REQUEST or rule.kind == GLOB:
            loose += sum(has_no_end(each) for each in rule.values)
            if loose > MOST_LOOSE:
                hint = "write how each begins or ends, such as 00* or *00"
                message = f"more than {MOST_LOOSE} patterns have * or ? at both ends"
                yield _at(files, path, int(line), message, hint, "error")
                return
    if rules and all(rule.allow for rule in rules):
        path, _, line = rules[0].place.rpartition(":")
        hint = "write what is denied, such as deny: {address: public} at the end"
        yield _at(
            files, path, int(line), "no rule denies anything: all of them change nothing", hint, "warning"
        )


def _at(files: AclFiles, path: str, line: int, message: str, hint: str, severity: Any) -> Diagnostic:
    return files[path].file.document.problem_at((line, 1), message, hint, severity)
