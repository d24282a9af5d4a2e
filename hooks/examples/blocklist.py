"""Prefixes that nobody calls, and callers that call nobody: refused before any rule is asked."""

from sbc.hookapi import reject

PREFIXES = ("+1900", "+44909", "+88213")
CALLERS = {"+12125550199", "anonymous"}


def on_invite(facts):
    """Decline the one and the other."""
    if facts.ruri_user.startswith(PREFIXES) or facts.from_user in CALLERS:
        return reject(603, "Declined")
    return None
