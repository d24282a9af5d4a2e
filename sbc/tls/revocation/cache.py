"""What is known about revocation at this moment: lists and answers, asked without waiting.

Lists are kept by the CA that signed them and by where they came from, answers by the certificate
that they are about. Of two from one source the newer stands: an old list, still within its time,
cannot be put in the place of one that revokes more. Everything in here has been verified.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from sbc.tls.material.problems import day
from sbc.tls.revocation.finding import Finding, Method, Unusable
from sbc.tls.revocation.issuer import Issuer, read_issuer
from sbc.tls.revocation.link import Link, read_link
from sbc.tls.revocation.lists import RevocationList
from sbc.tls.revocation.ocsp import Answer, read_answer

_ANSWERS = 8192
_ANSWER_BYTES = 32 << 20  # of all answers: some four thousand bytes each
_KEPT = 4096
_ORDER = ("revoked", "good", "unknown", "stale", "unanswered", "no-source")
K = TypeVar("K")
V = TypeVar("V")


class RevocationCache:
    """The verified lists and answers; ``problems`` says of a source why it last gave nothing."""

    def __init__(self) -> None:
        self.links = Links()
        self.problems: dict[str, str] = {}
        self._lists: dict[str, dict[str, RevocationList]] = {}
        self._files: Mapping[str, Sequence[tuple[str, RevocationList]]] = {}
        self._urls: Mapping[str, tuple[str, ...]] = {}
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._answer_bytes = 0

    def configure(
        self, files: Iterable[tuple[str, RevocationList]], urls: Mapping[str, tuple[str, ...]]
    ) -> None:
        """The operator's own: lists by file name, and the addresses of lists by the issuer's id."""
        by_issuer: dict[str, list[tuple[str, RevocationList]]] = {}
        for name, each in files:
            by_issuer.setdefault(each.issuer, []).append((name, each))
        self._files, self._urls = by_issuer, urls

    def put_list(self, source: str, fresh: RevocationList) -> bool:
        """Keep a list that came from ``source``; False where a newer one from there is known."""
        known = self._lists.setdefault(fresh.issuer, {})
        held = known.get(source)
        if held is not None and held.this_update > fresh.this_update:
            return False
        known[source] = fresh
        return True

    def drop_list(self, source: str, issuer: str) -> None:
        """Forget what came from ``source``."""
        self._lists.get(issuer, {}).pop(source, None)

    def entries(self, source: str, issuers: Iterable[Issuer]) -> int:
        """How many certificates the lists of ``issuers`` that came from ``source`` name."""
        lists = (self._lists.get(each.id, {}).get(source) for each in issuers)
        return sum(len(each.serials) for each in lists if each is not None)

    def answer(self, link: Link) -> Answer | None:
        """The newest answer about a certificate, fresh or not."""
        return self._answers.get(link.key)

    def read_answer(self, data: bytes, link: Link, now: float) -> Answer:
        """Verify an answer and keep it; the newer one that is known, or this. Unusable."""
        held = self._answers.get(link.key)
        if held is not None and held.der == data:
            return held

        def listed(serial: int) -> bool:
            return any(serial in each.serials for _, each in self._lists_of(link))

        fresh = read_answer(data, link, now, listed)
        if not fresh.fresh(now) and fresh.state != "revoked":
            raise Unusable(
                f"the OCSP answer is out of date since {day(fresh.next_update)}", "look at the responder"
            )
        if held is not None and _outweighs(held, fresh):
            return held
        self._answers[link.key] = fresh
        self._answers.move_to_end(link.key)
        self._answer_bytes += len(fresh.der) - (len(held.der) if held is not None else 0)
        while len(self._answers) > _ANSWERS or self._answer_bytes > _ANSWER_BYTES:
            _, dropped = self._answers.popitem(last=False)
            self._answer_bytes -= len(dropped.der)
        return fresh

    def urls(self, link: Link, methods: Collection[Method]) -> tuple[tuple[Method, str], ...]:
        """Where to ask about a link by these methods: the operator's addresses and the certificate's own."""
        lists = (*self._urls.get(link.issuer.id, ()), *link.lists) if "crl" in methods else ()
        responders = link.responders if "ocsp" in methods else ()
        return (*(("ocsp", each) for each in responders), *(("crl", each) for each in dict.fromkeys(lists)))

    def look(self, link: Link, methods: Collection[Method], now: float) -> Finding:
        """What is known of a link's certificate, or why nothing is."""
        return self._known(link, methods, now) or self._nothing(link, methods)

    def _known(self, link: Link, methods: Collection[Method], now: float) -> Finding | None:
        """The surest of all that is here."""
        found = []
        if "crl" in methods:
            for source, each in self._lists_of(link):
                if (finding := _by_list(each, link, source, now)) is not None:
                    found.append(finding)
        if "ocsp" in methods or "staple" in methods:
            answer = self._answers.get(link.key)
            if answer is not None:
                found.append(_by_answer(answer, now))
        if len(found) > 1:
            return min(found, key=lambda each: _ORDER.index(each.state))
        return found[0] if found else None

    def revoked(
        self, links: Iterable[Link], methods: Collection[Method], now: float
    ) -> tuple[Link, Finding] | None:
        """The first of ``links`` that is known to be revoked."""
        for link in links:
            found = self._known(link, methods, now)
            if found is not None and found.state == "revoked":
                return link, found
        return None

    def _lists_of(self, link: Link) -> Iterator[tuple[str, RevocationList]]:
        yield from self._files.get(link.issuer.id, ())
        yield from self._lists.get(link.issuer.id, {}).items()

    def _nothing(self, link: Link, methods: Collection[Method]) -> Finding:
        urls = self.urls(link, methods)
        if not urls:
            return Finding("no-source", "", f"neither {link.subject} nor the configuration says where to ask")
        for _, url in urls:
            if url in self.problems:
                return Finding("unanswered", url, self.problems[url])
        return Finding("unanswered", urls[0][1], "it has not answered yet")


class Links:
    """The links of the chains seen last, by thumbprints; least recently used dropped first."""

    __slots__ = ("_chains", "_issuers")

    def __init__(self) -> None:
        self._chains: OrderedDict[tuple[str, ...], tuple[Link, ...]] = OrderedDict()
        self._issuers: OrderedDict[str, Issuer] = OrderedDict()

    def chain(self, ders: Sequence[bytes], thumbprints: tuple[str, ...]) -> tuple[Link, ...]:
        """The links of a verified chain, leaf first, the root left out; PeerError."""
        known = self._chains.get(thumbprints)
        if known is not None:
            self._chains.move_to_end(thumbprints)
            return known
        links = tuple(
            read_link(lower, self.issuer(upper, print_))
            for (lower, upper), print_ in zip(pairwise(ders), thumbprints[1:], strict=True)
        )
        _put(self._chains, thumbprints, links)
        return links

    def issuer(self, der: bytes, thumbprint: str) -> Issuer:
        """The issuer that a CA certificate describes; PeerError."""
        known = self._issuers.get(thumbprint)
        if known is None:
            known = read_issuer(der)
            _put(self._issuers, thumbprint, known)
        return known


def _put(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    if len(kept) > _KEPT:
        kept.popitem(last=False)


def _by_list(each: RevocationList, link: Link, source: str, now: float) -> Finding | None:
    # A serial number is the CA's only one: on whichever of its lists it stands, it is revoked.
    if link.serial in each.serials:
        return Finding("revoked", source, f"it is on the revocation list of {each.issuer_name}")
    if not each.covers(link.is_ca, link.points):
        return None
    if not each.fresh(now):
        return Finding("stale", source, f"the revocation list is out of date since {day(each.next_update)}")
    return Finding("good", source)


def _outweighs(held: Answer, fresh: Answer) -> bool:
    # Times are whole seconds: of two answers of one second the one that says revoked was the later.
    return (held.this_update, held.state == "revoked") > (fresh.this_update, fresh.state == "revoked")


def _by_answer(answer: Answer, now: float) -> Finding:
    if answer.state == "revoked":
        return Finding("revoked", "OCSP", "its CA's responder says so")
    if not answer.fresh(now):
        return Finding("stale", "OCSP", f"the OCSP answer is out of date since {day(answer.next_update)}")
    if answer.state == "unknown":
        return Finding("unknown", "OCSP", "its CA's responder does not know it")
    return Finding("good", "OCSP")
