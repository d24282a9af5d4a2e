"""The ways in which the certificates of a peer may lead to a trust anchor.

OpenSSL follows one way: of two certificates with the issuer's name it takes the first that fits, and
when that way ends it does not turn back. A peer whose intermediate is certified by two roots, and who
sends both certificates, is then refused by whoever trusts only the other root. So the ways are told
apart here, by names alone; whether one of them holds is for OpenSSL to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sbc.tls.material.certificate import Certificate

MAX_PATHS = 4


def paths(sent: Sequence[Certificate], roots: Collection[str]) -> list[list[int]]:
    """The first few ways from the leaf, ``sent[0]``, to a subject in ``roots``, as places in ``sent``.

    Without a choice among the peer's certificates there is nothing to tell apart: [].
    """
    if len({each.identity.subject for each in sent[1:]}) == len(sent) - 1:
        return []
    found = []
    for way in _ways(sent, roots, [0]):
        found.append(way)
        if len(found) == MAX_PATHS:
            break
    return found


def _ways(sent: Sequence[Certificate], roots: Collection[str], way: list[int]) -> Iterator[list[int]]:
    issuer = sent[way[-1]].identity.issuer
    if issuer in roots:
        yield way
    for at, each in enumerate(sent):
        if at not in way and each.identity.subject == issuer and not each.self_issued:
            yield from _ways(sent, roots, [*way, at])
