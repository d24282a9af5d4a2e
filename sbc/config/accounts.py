"""The accounts by which we register with trunks and answer their challenges: `register:` of trunks.d.

A password stands in a file of its own, read like a key: nothing of it is ever shown. Where it cannot be read
the configuration is refused, for a trunk that cannot prove who we are takes no calls.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from dsl.errors import Diagnostic
from sbc.base import is_wildcard
from sbc.config.crosscheck import TrunkFile
from sbc.config.model import Registration
from sbc.sip.digest_client import Account

_FILE = ("register", "password_file")


@dataclass(slots=True)
class Accounts:
    """What could be read, by trunk, and what was wrong; ``digests`` has the hash of every file's bytes."""

    accounts: dict[str, Account] = field(default_factory=dict)
    digests: list[tuple[str, bytes]] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def load_accounts(trunks: Iterable[TrunkFile], directory: Path) -> Accounts:
    """Check the `register:` of every trunk that has one, and read its password."""
    found = Accounts()
    for trunk in trunks:
        registration = trunk.value.registration
        if registration is not None:
            found.diagnostics += _mistakes(trunk, registration)
            _load(trunk, registration, directory, found)
    return found


def _mistakes(trunk: TrunkFile, registration: Registration) -> Iterator[Diagnostic]:
    peers, proxy = trunk.value.peers, registration.outbound_proxy
    if not trunk.right("peers"):
        return
    if not peers:
        hint = "write peers: [host:port], where its registrar is"
        yield trunk.error(("register",), "there is no peer to register with", hint, key=True)
    elif proxy is not None and proxy not in peers:
        hint = f"add {proxy} to `peers`, so that its calls go there too"
        yield trunk.error(("register", "outbound_proxy"), f"{proxy} is not one of the trunk's peers", hint)
    if registration.domain is not None and is_wildcard(registration.domain):
        hint = "write the carrier's domain, the part behind the @ of our address there"
        yield trunk.error(("register", "domain"), f"{registration.domain} is nobody's domain", hint)


def _load(trunk: TrunkFile, registration: Registration, directory: Path, found: Accounts) -> None:
    path = registration.password_file
    try:
        data = _read(directory / path)
        password = data.decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        hint = "its path is relative to the directory of sbc.yaml, and the user that runs sbc reads it"
        found.diagnostics.append(trunk.error(_FILE, f"{path}: cannot be read: {why}", hint))
        return
    except UnicodeDecodeError:
        found.diagnostics.append(trunk.error(_FILE, f"{path}: the file is not UTF-8", "save it as UTF-8"))
        return
    found.digests.append((path, sha256(data).digest()))
    if not password or len(password.splitlines()) != 1:
        what = "is empty" if not password else "has more than one line"
        hint = f"write the password alone: printf '%s' PASSWORD > {path}"
        found.diagnostics.append(trunk.error(_FILE, f"{path}: {what}", hint))
        return
    name = registration.auth_user or registration.user
    found.accounts[trunk.value.trunk] = Account(name, registration.realm, password)


def _read(path: Path) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "is not a file")
    return path.read_bytes()
