"""``sbc user``: a line for the users file, made from a password that nobody sees."""

from __future__ import annotations

import argparse
import getpass
import sys

from sbc.base import LocalError
from sbc.commands.parser import Commands


def add(commands: Commands) -> None:
    """Add this command."""
    text = "print a user's lines for the file that `users:` names; the password is asked for, or piped in"
    user = commands.add("user", _user, text)
    user.add_argument("name", metavar="NAME@REALM", help="who, and of which realm")
    user.add_argument("--md5", action="store_true", help="for phones that do not know SHA-256, a line more")
    user.add_argument("--contacts", type=int, metavar="N", help="of a phone: how many places at once")
    user.add_argument("--tls-only", action="store_true", help="of a phone: it comes by TLS or not at all")
    user.add_argument("--certificate", metavar="NAME", help="of a phone: the name in its certificate")


def _user(options: argparse.Namespace) -> int:
    from sbc.sip.digest import user_hash

    name, _, realm = options.name.rpartition("@")
    if not name or not realm or ":" in name:
        raise LocalError(f"{options.name!r} is not NAME@REALM, such as alice@example.net")
    if name != name.strip() or name.startswith("#"):
        raise LocalError(f"{name!r} cannot stand in the file: no name has # before it or blanks around it")
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not password:
        raise LocalError("a password is needed")
    words = _words(options)
    for algorithm in ("SHA-256", "MD5") if options.md5 else ("SHA-256",):
        print(f"{name}:{realm}:{user_hash(algorithm, name, realm, password)}{words}")
    return 0


def _words(options: argparse.Namespace) -> str:
    """What stands behind the hash of a phone's user."""
    if options.contacts is not None and not 1 <= options.contacts <= 100:
        raise LocalError("a user has from 1 to 100 contacts: --contacts 5")
    found = "" if options.contacts is None else f" contacts={options.contacts}"
    if options.tls_only:
        found += " tls_only"
    if options.certificate:
        if len(options.certificate.split()) != 1:
            raise LocalError("the name of a certificate has no blanks: --certificate phone-7.example.net")
        found += f" certificate={options.certificate}"
    return found
