"""What becomes of a SIPS call whose next leg is not secure (RFC 5630).

``sips:`` promises the caller that every hop is TLS. A B2BUA that goes on over UDP breaks the
promise in the caller's name, so it is never done silently: ``warn`` is the default, and
``forbid`` answers 480 with Warning 380 as RFC 5630 section 3.3 and 5.3 have it.
"""

from __future__ import annotations

from typing import NamedTuple

from dsl.decision import Downgrade


class Judgement(NamedTuple):
    """What to do with the leg; ``downgraded`` tells a permitted downgrade from none at all."""

    outcome: Downgrade
    downgraded: bool
    status: int = 0
    warning: str = ""


_NONE = Judgement("allow", False)
_VERDICTS: dict[Downgrade, Judgement] = {
    "allow": Judgement("allow", True),
    "warn": Judgement("warn", True),
    "forbid": Judgement("forbid", True, 480, '380 {agent} "SIPS Not Allowed"'),
}


def effective_downgrade(trunk: Downgrade, rule: Downgrade | None) -> Downgrade:
    """A rule chooses, but a trunk that forbids cannot be overruled."""
    return trunk if rule is None or trunk == "forbid" else rule


def verdict(a_is_sips: bool, b_is_secure: bool, policy: Downgrade) -> Judgement:
    """Judge a leg: ``a_is_sips`` is what the caller was promised, ``b_is_secure`` what the next leg is.

    ``warning`` is the value of the Warning header (RFC 3261 20.43) with ``{agent}`` for our name.
    """
    if b_is_secure or not a_is_sips:
        return _NONE
    return _VERDICTS[policy]
