"""What of a configuration lies open: keys that others read, files that others write, pages for everybody.

It is no mistake of a line, and what a file's owner means by it nobody can say; so ``sbc check`` tells it,
and refuses it where ``--strict`` asks for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from dsl.breath import breathe
from dsl.errors import Diagnostic
from sbc.base import is_wildcard
from sbc.config.files import HOOKS, ROUTES, SETTINGS_FILE, TRUNKS, shown
from sbc.config.snapshot import Snapshot
from sbc.config.yaml_reader import Document
from sbc.tls.names import is_ip

_READ, _WRITE = 0o004, 0o002


def exposures(snapshot: Snapshot) -> list[Diagnostic]:
    """A warning for everything that lies open to whoever has an account here, or reaches the admin port."""
    found = list(_pages(snapshot))
    secrets = dict.fromkeys(_secrets(snapshot))
    for path in secrets:
        found += _open(snapshot.directory, path, secret=True)
    for path in dict.fromkeys(_others(snapshot)):
        if path not in secrets:
            found += _open(snapshot.directory, path, secret=False)
    return found


def _open(directory: Path, path: Path, *, secret: bool) -> Iterator[Diagnostic]:
    breathe()
    try:
        mode = path.stat().st_mode & 0o7777
    except OSError:
        return  # what cannot be read is told where it is read
    name = shown(directory, path)
    if mode & _WRITE and not mode & 0o1000:
        what = "decides who may call" if not secret else "is a secret"
        message = f"every user of this machine can write it (mode {mode:03o}), and it {what}"
        yield Diagnostic(name, 0, 0, message, f"chmod o-w{'r' * secret} {path}", "", "warning")
    elif secret and mode & _READ:
        message = f"every user of this machine can read this secret (mode {mode:03o})"
        yield Diagnostic(name, 0, 0, message, f"chmod o-r {path}", "", "warning")


def _secrets(snapshot: Snapshot) -> Iterator[Path]:
    """Keys, passphrases, passwords, and hashes that are as good as passwords."""
    directory, settings = snapshot.directory, snapshot.settings
    for identity in settings.identities.values():
        for name in (identity.key, identity.passphrase_file):
            if name:
                yield directory / name
                yield directory / f"{name}.next"
                yield directory / f"{name}.old"
    if settings.users:
        yield directory / settings.users
    if settings.registrar is not None and settings.registrar.users:
        yield directory / settings.registrar.users
    if settings.acme is not None and settings.acme.external_account is not None:
        yield directory / settings.acme.external_account.key_file
    for lookup in settings.lookups.values():
        if lookup.token_file:
            yield directory / lookup.token_file
    for sink in settings.alerts.to.values() if settings.alerts is not None else ():
        if sink.url_file:
            yield directory / sink.url_file
    if settings.hep is not None and settings.hep.password_file:
        yield directory / settings.hep.password_file
    for trunk in snapshot.trunks.values():
        if trunk.registration is not None:
            yield directory / trunk.registration.password_file


def _others(snapshot: Snapshot) -> Iterator[Path]:
    """Whatever else says who is trusted and what is done with calls, and where it lies."""
    directory, settings = snapshot.directory, snapshot.settings
    yield directory
    yield directory / SETTINGS_FILE
    for folder, ending in ((TRUNKS, "*.yaml"), (ROUTES, "*.yaml"), (HOOKS, "*.py")):
        yield directory / folder
        yield from sorted((directory / folder).glob(ending))
    yield from (directory / each.chain for each in settings.identities.values())
    for anchor in settings.trust.values():
        yield from (directory / name for name in anchor.files)
    yield from (directory / name for name in settings.tables.values())
    if settings.acl is not None:
        yield directory / settings.acl
        yield from sorted((directory / settings.acl).glob("*.yaml"))
    told = (*settings.lookups.values(), settings.hep, settings.log.syslog)
    yield from (directory / each.ca for each in told if each is not None and each.ca)
    if settings.acme is not None and settings.acme.ca_file:
        yield directory / settings.acme.ca_file


def _pages(snapshot: Snapshot) -> Iterator[Diagnostic]:
    """The admin pages and the metrics need no login: where they listen is who may read them."""
    settings = snapshot.settings
    served = (("admin", settings.admin, "the admin pages"), ("metrics", settings.metrics, "the metrics"))
    for section, found, what in served:
        where = _reached(found.bind.host) if found is not None else ""
        if found is None or not where:
            continue
        document = Document(SETTINGS_FILE, (snapshot.directory / SETTINGS_FILE).read_text("utf-8-sig"))
        bind = f"{section}: {{bind: 127.0.0.1:PORT}}"
        hint = f"write {bind}, and let a proxy that asks for a password come before it"
        message = f"{what} need no login and are {where}, {found.bind}"
        yield document.problem((section, "bind"), message, hint, severity="warning")


def _reached(host: str) -> str:
    """From where everybody gets to a port at ``host``; "" where not everybody does."""
    if is_wildcard(host):
        return "on every address of this machine"
    return "on a public address" if is_ip(host) and ip_address(host).is_global else ""
