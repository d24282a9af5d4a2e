"""All that a peer takes: versions and groups, found by offering less and less.

A peer names only what it likes best of what it is offered. So that is left out of the next offer, until it
takes nothing: a handshake for each thing that it takes, and one more. Whoever counts failed handshakes would
take more for an attack.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import gevent
from OpenSSL import SSL

from sbc.net.doctor.look import Only
from sbc.observe.examination import Offers, Seen
from sbc.tls.groups import GROUPS

#: Seconds for all handshakes with one address.
PROBE_WITHIN = 30.0
# What comes before each version.
_BEFORE = {"TLSv1.3": SSL.TLS1_2_VERSION, "TLSv1.2": SSL.TLS1_1_VERSION, "TLSv1.1": SSL.TLS1_VERSION}

# How a handshake ends that says nothing of what was offered.
_UNCLEAR = ("timeout", os.strerror(errno.ECONNREFUSED), os.strerror(errno.ETIMEDOUT))

# One handshake: what was seen, None where the peer took nothing, and why it did not finish.
Ask = Callable[[Only], tuple[Seen | None, str]]


def offers(first: Seen, ask: Ask) -> Offers:
    """What the peer takes beside what it took ``first``, when all was offered."""
    versions, groups = [first.version], [first.group] if first.group else []
    cut = f"it takes its time, over {PROBE_WITHIN:g} s"
    with gevent.Timeout(PROBE_WITHIN, False):
        cut = _versions(versions, ask) or _groups(groups, ask)
    return Offers(tuple(versions), tuple(groups), cut)


def _versions(taken: list[str], ask: Ask) -> str:
    """Add what is taken beside; why there may be more, or ""."""
    while (before := _BEFORE.get(taken[-1])) is not None:
        found, trouble = ask(Only(latest=before))
        if found is None or found.version in taken:
            return _silent(found, trouble)
        taken.append(found.version)
    return ""


def _groups(taken: list[str], ask: Ask) -> str:
    """Add what is taken beside, where a group is; why there may be more, or ""."""
    while taken and (rest := tuple(each for each in GROUPS if each not in taken)):
        found, trouble = ask(Only(groups=rest))
        if found is None or not found.group or found.group in taken:
            return _silent(found, trouble)
        taken.append(found.group)
    return ""


def _silent(found: Seen | None, trouble: str) -> str:
    """Why a peer that took nothing may have had another reason than that it speaks none of it."""
    return trouble if found is None and trouble in _UNCLEAR else ""
