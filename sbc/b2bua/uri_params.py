"""Parameters that rules give a URI, in their places: those of a number behind it, all others behind the host.

A SIP URI holds a telephone number with all of its parameters in its user part (RFC 3261 19.1.6): the trunk
group (RFC 4904), the routing number and whether it was looked up (RFC 4694), the context of a local number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from dsl.addresses import escape_user, is_number
from dsl.decision import Edit, SetParam

Side = Literal["to", "from"]

_OF_NUMBERS: Final = frozenset(
    (
        "cic", "cic-context", "cpc", "enumdi", "ext", "isub", "isub-encoding", "npdi", "oli", "phone-context",
        "rn", "rn-context", "tgrp", "trunk-context",
    )
)  # fmt: skip
# RFC 3966 3: the extension first, then the context, then all others in the order of their names.
_RANKS: Final = {"ext": 0, "isub": 0, "phone-context": 1}
_forbidden: Final = re.compile(r"[^A-Za-z0-9\-_.!~*'()+/:&$%\[\]]|%(?![0-9A-Fa-f]{2})").sub


def params_after(edits: Iterable[Edit], side: Side) -> dict[str, str]:
    """The parameters that rules have set of the URI of ``side``, by small names; empty ones are to go."""
    return {
        edit.name.lower(): edit.value for edit in edits if isinstance(edit, SetParam) and edit.side == side
    }


def placed(user: str, params: dict[str, str]) -> tuple[str, str]:
    """The user part with what belongs to its number, and what belongs to the URI; both as a URI has them."""
    number, _, behind = user.partition(";")
    if not params or not is_number(number):
        return escape_user(user), _joined([each for each in params.items() if each[1]])
    kept = [each.partition("=") for each in behind.split(";") if each]
    own = {name.lower(): value or name.lower() for name, _, value in kept}
    own |= {name: value for name, value in params.items() if name in _OF_NUMBERS}
    ordered = sorted(own.items(), key=lambda each: (_RANKS.get(each[0], 2), each[0]))
    others = [each for each in params.items() if each[1] and each[0] not in _OF_NUMBERS]
    return escape_user(number + _joined([each for each in ordered if each[1]])), _joined(others)


def _joined(params: list[tuple[str, str]]) -> str:
    return "".join(
        [f";{name}" if value == name else f";{name}={_forbidden(_escape, value)}" for name, value in params]
    )


def _escape(match: re.Match[str]) -> str:
    return "".join([f"%{octet:02X}" for octet in match[0].encode("utf-8", "surrogateescape")])
