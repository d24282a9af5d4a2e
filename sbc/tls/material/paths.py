"""The ways in which the certificates of a peer may lead to a trust anchor.

OpenSSL follows one way: of two certificates with the issuer's name it takes the first that fits, and
when that way ends it does not turn back. A peer whose intermediate is certified by two roots, and who
sends both certificates, is then refused by whoever trusts only the other root. So the ways are told
apart here, by names alone; whether one of them holds is for OpenSSL to say.

A peer may also send a knot, whether by mistake or to keep us busy. So a way never passes the same name
and key twice (RFC 4158 2.4.2), the shorter ways come first, and the search ends after so many steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence

from sbc.tls.material.certificate import Certificate

MAX_PATHS = 4
MAX_STEPS = 200


def paths(sent: Sequence[Certificate], roots: Collection[str]) -> list[list[int]]:
    """The first few ways from the leaf, ``sent[0]``, to a subject in ``roots``, as places in ``sent``.

    Without a choice among the peer's certificates there is nothing to tell apart: [].
    """
    if len({each.identity.subject for each in sent[1:]}) == len(sent) - 1:
        return []
    found: list[list[int]] = []
    waiting = deque([[0]])
    for _ in range(MAX_STEPS):
        if not waiting or len(found) == MAX_PATHS:
            break
        way = waiting.popleft()
        if sent[way[-1]].identity.issuer in roots:
            found.append(way)
        waiting.extend(_longer(sent, way))
    return found


def _longer(sent: Sequence[Certificate], way: list[int]) -> Iterator[list[int]]:
    issuer = sent[way[-1]].identity.issuer
    passed = {(sent[at].identity.subject, sent[at].identity.pin) for at in way}
    for at, each in enumerate(sent):
        who = each.identity
        if who.subject == issuer and not each.self_issued and (who.subject, who.pin) not in passed:
            yield [*way, at]
