"""What the cache knows: which source decides, what is stale, and that nothing old replaces what is newer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.demo.pki import Issued, LabAuthority
from sbc.tls.material.certificate import thumbprint_of
from sbc.tls.revocation.cache import Links, RevocationCache
from sbc.tls.revocation.finding import Finding, Method, Unusable
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.link import Link, read_link
from sbc.tls.revocation.lists import RevocationList, read_list
from sbc.tls.revocation.policy import RevocationPolicy, no_staple, refusal
from sbc.tls.revocation.source import answer_source, list_source
from tests.unit.tls.certs import GOOD, NOW, OTHER
from tests.unit.tls.revoking import (
    HOUR,
    der_of,
    link_of,
    list_points,
    must_staple,
    ocsp_answer,
    responder_at,
    revocation_list,
)

LISTS, RESPONDER = "http://ca.example/one.crl", "http://ocsp.ca.example/"
ISSUER = read_issuer(der_of(GOOD))
PEER = GOOD.issue(dns=["peer.example"], extensions=[list_points(LISTS), responder_at(RESPONDER)])
BARE = GOOD.issue(dns=["bare.example"])
LINK, BARE_LINK = link_of(PEER, GOOD), link_of(BARE, GOOD)
ALL: tuple[Method, ...] = ("staple", "crl", "ocsp")


def listed(*revoked: Issued, begins: float = -HOUR, ends: float = 24 * HOUR) -> RevocationList:
    data = revocation_list(GOOD, NOW, revoked, begins=begins, ends=ends)
    return read_list(data, [ISSUER], NOW)


def look(
    cache: RevocationCache, link: Link = LINK, methods: tuple[Method, ...] = ALL, now: float = NOW
) -> str:
    return cache.look(link, methods, now).state


def answered(cache: RevocationCache, state: str = "good", **options: float) -> None:
    cache.read_answer(ocsp_answer(PEER, GOOD, NOW, state, **options), LINK, NOW)  # type: ignore[arg-type]


def test_a_certificate_says_where_to_ask() -> None:
    assert (LINK.lists, LINK.responders, LINK.must_staple) == ((LISTS,), (RESPONDER,), False)
    assert link_of(GOOD.issue(dns=["x"], extensions=[must_staple()]), GOOD).must_staple
    directory = GOOD.issue(dns=["x"], extensions=[list_points("ldap://ca/cn=x", "https://ca/x.crl")])
    assert link_of(directory, GOOD).lists == ()
    many = [list_points(*(f"http://ca.example/{number}.crl" for number in range(50)))]
    assert len(link_of(GOOD.issue(dns=["x"], extensions=many), GOOD).lists) == 4


def test_every_certificate_but_the_root_is_asked_about() -> None:
    middle = LabAuthority("middle CA", issuer=GOOD, now=NOW)
    ders = [der_of(middle.issue(dns=["x"])), der_of(middle), der_of(GOOD)]
    links = Links().chain(ders, tuple(map(thumbprint_of, ders)))
    assert [(each.subject, each.is_ca) for each in links] == [("CN=x", False), ("CN=middle CA", True)]
    assert [each.issuer.subject for each in links] == ["CN=middle CA", "CN=good CA"]


def test_a_chain_is_read_once() -> None:
    links, ders = Links(), [der_of(PEER), der_of(GOOD)]
    prints = tuple(map(thumbprint_of, ders))
    assert links.chain(ders, prints) is links.chain(ders, prints)


def test_a_list_decides() -> None:
    cache = RevocationCache()
    assert look(cache) == "unanswered"
    cache.put_list(LISTS, listed(BARE))
    assert look(cache) == "good"
    assert look(cache, BARE_LINK) == "revoked"
    assert look(cache, now=NOW + 25 * HOUR) == "stale"
    assert look(cache, BARE_LINK, now=NOW + 25 * HOUR) == "revoked"


def test_an_answer_decides() -> None:
    cache = RevocationCache()
    answered(cache)
    assert look(cache) == look(cache, methods=("ocsp",)) == look(cache, methods=("staple",)) == "good"
    assert look(cache, methods=("crl",)) == "unanswered"
    assert look(cache, now=NOW + 25 * HOUR) == "stale"


@pytest.mark.parametrize(("state", "expected"), [("revoked", "revoked"), ("unknown", "good")])
def test_who_is_revoked_anywhere_is_revoked_and_a_good_word_outweighs_none(state: str, expected: str) -> None:
    cache = RevocationCache()
    cache.put_list(LISTS, listed())
    answered(cache, state)
    assert look(cache) == expected
    assert look(cache, methods=("ocsp",)) == state


def test_without_a_source_nothing_can_be_learned_until_one_is_configured() -> None:
    cache = RevocationCache()
    assert look(cache, BARE_LINK) == "no-source"
    cache.configure([], {ISSUER.id: ("http://own.example/x.crl",)})
    assert look(cache, BARE_LINK) == "unanswered"
    assert cache.urls(LINK, ALL) == (("ocsp", RESPONDER), ("crl", "http://own.example/x.crl"), ("crl", LISTS))
    cache.configure([("own.crl", listed(BARE)), ("other.crl", listed())], {})
    assert cache.look(BARE_LINK, ALL, NOW)[:2] == ("revoked", "own.crl")


def test_an_older_list_does_not_replace_a_newer() -> None:
    cache = RevocationCache()
    assert cache.put_list(LISTS, listed(PEER, begins=-HOUR))
    assert not cache.put_list(LISTS, listed(begins=-2 * HOUR))
    assert look(cache) == "revoked"
    cache.drop_list(LISTS, ISSUER.id)
    assert look(cache) == "unanswered"


def test_an_older_answer_does_not_replace_a_newer() -> None:
    cache = RevocationCache()
    answered(cache, "revoked", begins=-HOUR)
    answered(cache, "good", begins=-2 * HOUR)
    assert look(cache) == "revoked"


@pytest.mark.parametrize("states", [("revoked", "good"), ("good", "revoked")])
def test_of_two_answers_of_one_second_revoked_stands(states: tuple[str, str]) -> None:
    cache = RevocationCache()
    for state in states:
        answered(cache, state, begins=-HOUR)
    assert look(cache) == "revoked"


def test_a_list_concerns_whatever_its_ca_issued_whichever_certificate_of_it_was_sent() -> None:
    again = replace(ISSUER, key_identifier=None)
    assert again != ISSUER, "the same name and key as another certificate has them"
    assert list_source(LISTS, again).concerns(LINK) and list_source(LISTS, ISSUER).concerns(LINK)
    other = read_issuer(der_of(OTHER))
    assert not list_source(LISTS, other).concerns(LINK)
    assert answer_source(RESPONDER, read_link(der_of(PEER), again)).concerns(LINK)
    assert not answer_source(RESPONDER, BARE_LINK).concerns(LINK)


def test_a_stale_answer_is_refused_and_the_old_one_kept() -> None:
    cache = RevocationCache()
    answered(cache, begins=-3 * HOUR)
    with pytest.raises(Unusable, match="out of date since"):
        answered(cache, begins=-2 * HOUR, ends=-HOUR)
    assert look(cache) == "good"


def test_a_shard_that_is_not_the_certificates_says_nothing_good_of_it() -> None:
    cache = RevocationCache()
    elsewhere = RevocationList(ISSUER.id, "x", frozenset({LINK.serial}), NOW, NOW + HOUR, ("http://other/",))
    cache.put_list("http://other/", elsewhere)
    assert look(cache, BARE_LINK) == "no-source"
    assert look(cache) == "revoked"


def test_the_reason_is_that_of_the_source_that_failed() -> None:
    cache = RevocationCache()
    cache.problems[LISTS] = "connection refused"
    assert cache.look(LINK, ALL, NOW) == Finding("unanswered", LISTS, "connection refused")


def test_a_refusal_says_who_why_and_what_to_do() -> None:
    gone = refusal(LINK, Finding("revoked", LISTS, "it is on the list"))
    assert str(gone) == (
        f"revoked: CN=peer.example is revoked: it is on the list ({LISTS}); "
        "let its owner replace it; treat its key as lost"
    )
    unsure = refusal(LINK, Finding("no-source", "", "nobody to ask"))
    assert unsure.kind == "stale-revocation" and "with `crl`" in unsure.remedy
    assert "OCSP stapling" in no_staple(LINK, "none came").remedy
    assert RevocationPolicy().mode == "soft"


def test_long_answers_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = [GOOD.issue(dns=[f"peer{number}.example"]) for number in range(6)]
    answers = [ocsp_answer(each, GOOD, NOW) for each in leaves]
    newer = [ocsp_answer(each, GOOD, NOW, begins=-60) for each in leaves]
    monkeypatch.setattr("sbc.tls.revocation.cache._ANSWER_BYTES", 3 * max(map(len, answers + newer)))
    cache, links = RevocationCache(), [link_of(each, GOOD) for each in leaves]
    for link, first, second in zip(links, answers, newer, strict=True):
        cache.read_answer(first, link, NOW)
        cache.read_answer(second, link, NOW)
    assert [cache.answer(link) is not None for link in links] == [False] * 3 + [True] * 3
