"""The examples of RFC 2617 3.5 and RFC 7616 3.9.1, read, recomputed and written back."""

from __future__ import annotations

import pytest

from sbc.sip.digest import parse_challenge, parse_credentials, response_hash, user_hash
from sbc.sip.digest_client import Account, answer, choose

RFC2617 = (
    'Digest username="Mufasa", realm="testrealm@host.com", '
    'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, '
    'cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
RFC7616_MD5 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
    'response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RFC7616_SHA256 = RFC7616_MD5.replace("algorithm=MD5", "algorithm=SHA-256").replace(
    "8ca523f5e9506fed4657c9700eebdbec", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
)
# RFC 2617 writes "Circle Of Life", RFC 7616 "Circle of Life".
EXAMPLES = {
    "RFC 2617 MD5": (RFC2617, "Circle Of Life"),
    "RFC 7616 MD5": (RFC7616_MD5, "Circle of Life"),
    "RFC 7616 SHA-256": (RFC7616_SHA256, "Circle of Life"),
}
CHALLENGES = [
    f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    for algorithm in ("SHA-256", "MD5")
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_response_of_the_example_is_computed(name: str) -> None:
    value, password = EXAMPLES[name]
    given = parse_credentials(value)
    user = user_hash(given.algorithm, given.username, given.realm, password)
    assert response_hash(user, given, "GET") == given.response


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_survives_writing_and_reading(name: str) -> None:
    given = parse_credentials(EXAMPLES[name][0])
    assert parse_credentials(str(given)) == given


@pytest.mark.parametrize(("at", "value"), [(0, RFC7616_SHA256), (1, RFC7616_MD5)])
def test_the_example_challenge_is_answered_as_in_the_example(at: int, value: str) -> None:
    account = Account("Mufasa", "http-auth@example.org", "Circle of Life")
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    given = answer(parse_challenge(CHALLENGES[at]), account, "GET", "/dir/index.html", cnonce)
    assert given == parse_credentials(value)


def test_the_first_challenge_that_we_know_is_chosen() -> None:
    account = Account("Mufasa", "http-auth@example.org", "Circle of Life")
    unknown = CHALLENGES[0].replace("SHA-256", "SHA-512-256")
    chosen = choose([unknown, *CHALLENGES], account)
    assert chosen == parse_challenge(CHALLENGES[0])
