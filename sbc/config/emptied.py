"""What a configuration would lose as a whole: nobody means that who moves, empties or exports a file.

Without a rule every call gets 404, without a trunk nobody is admitted, and a table without a row answers no
look-up. A file that is being written begins like that, and so does a mount that is not there yet. Such a
configuration is good to start with; it takes the place of one that runs only when somebody insists.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from dsl.errors import Diagnostic
from sbc.config.files import HOOKS, ROUTES, SETTINGS_FILE, TRUNKS
from sbc.config.premium_tables import tables_of
from sbc.config.snapshot import Snapshot

INSIST = "put it back, or insist: sbc reload --force"


def emptied(former: Snapshot, fresh: Snapshot) -> Iterator[Diagnostic]:
    """Every kind of thing of which ``former`` has some and ``fresh`` none."""
    if former.trunks and not fresh.trunks:
        yield _lost(TRUNKS, "no trunk is left: nobody would be admitted")
    if former.rules.rules and not fresh.rules.rules:
        yield _lost(ROUTES, "no rule is left: every call would get 404")
    if former.hooks.files and not fresh.hooks.files and not os.path.isdir(fresh.directory / HOOKS):
        yield _lost(HOOKS, "the directory is gone: no hook would judge a call")
    if former.acl.rules and not fresh.acl.rules:
        yield _lost(former.settings.acl or SETTINGS_FILE, "no rule is left: nobody would be barred any more")
    before, after = tables_of(former.rules), tables_of(fresh.rules)
    for name, table in after.items():
        if not len(table) and name in before and len(before[name]):
            yield _lost(table.path, f"no row is left: the table {name} would answer nothing")


def _lost(path: str, message: str) -> Diagnostic:
    return Diagnostic(path, 0, 0, message, INSIST)
