"""The office's phones show national numbers and extensions: what leaves can be called back."""

import re

from sbc.hookapi import SetPart, amend

NATIONAL = re.compile(r"0([1-9][0-9]{6,11})")
MAIN = "+4930901820"


def on_invite(facts):
    """Write the caller's number in E.164, and an extension behind our main number."""
    if facts.trunk != "office" or facts.from_user.startswith("+"):
        return None
    national = NATIONAL.fullmatch(facts.from_user)
    extension = facts.from_user if re.fullmatch(r"[0-9]{2,4}", facts.from_user) else ""
    return amend(SetPart("from.user", f"+49{national[1]}" if national else MAIN + extension))
