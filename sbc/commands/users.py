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


def _user(options: argparse.Namespace) -> int:
    from sbc.sip.digest import user_hash

    name, _, realm = options.name.rpartition("@")
    if not name or not realm or ":" in name:
        raise LocalError(f"{options.name!r} is not NAME@REALM, such as alice@example.net")
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not password:
        raise LocalError("a password is needed")
    for algorithm in ("SHA-256", "MD5") if options.md5 else ("SHA-256",):
        print(f"{name}:{realm}:{user_hash(algorithm, name, realm, password)}")
    return 0
