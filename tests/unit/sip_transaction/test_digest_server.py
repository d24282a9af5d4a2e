"""Challenge and verdict: every way in which credentials can be wrong, old or used before."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from sbc.sip.digest import Credentials, parse_challenge, parse_credentials
from sbc.sip.digest_client import Account, answer
from sbc.sip.digest_server import DigestServer, Verdict
from sbc.sip.grammar import ParseError

NOW = 1_700_000_000.0
URI = "sip:example.net"
ALICE = Account("alice", "example.net", "open sesame")


def server(remembered: int = 100, secret: bytes = b"0123456789abcdef") -> DigestServer:
    salts = count()
    return DigestServer("example.net", secret, lambda: f"{next(salts):x}", remembered=remembered)


def credentials(
    by: DigestServer, *, nc: int = 1, method: str = "REGISTER", body: bytes = b"", at: int = 0
) -> Credentials:
    challenge = parse_challenge(str(by.challenge(NOW)[at]))
    return parse_credentials(str(answer(challenge, ALICE, method, URI, "cn", nc, body)))


def verdict(
    by: DigestServer,
    given: Credentials,
    now: float = NOW,
    *,
    password: str | None = ALICE.password,
    method: str = "REGISTER",
    uri: str = URI,
    body: bytes = b"",
) -> Verdict:
    return by.verify(given, password, method, uri, body, now)


@pytest.mark.parametrize("at", [0, 1])
def test_right_credentials_are_good_with_either_algorithm(at: int) -> None:
    by = server()
    assert verdict(by, credentials(by, at=at)) is Verdict.GOOD


def test_the_stronger_algorithm_is_offered_first() -> None:
    assert [each.algorithm for each in server().challenge(NOW)] == ["SHA-256", "MD5"]


def test_credentials_are_good_once() -> None:
    by = server()
    given = credentials(by)
    assert verdict(by, given) is Verdict.GOOD
    assert verdict(by, given) is Verdict.STALE


def test_the_nonce_count_must_rise() -> None:
    by = server()
    challenge = by.challenge(NOW)[0]
    verdicts = [
        verdict(by, answer(challenge, ALICE, "REGISTER", URI, "cn", nc)) for nc in (1, 3, 2, 3, 4)
    ]  # fmt: skip
    assert [each is Verdict.GOOD for each in verdicts] == [True, True, False, False, True]


def test_a_count_of_zero_is_refused() -> None:
    by = server()
    assert verdict(by, credentials(by, nc=0)) is Verdict.STALE


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "open barley"},
        {"password": None},
        {"method": "INVITE"},
    ],
)
def test_what_does_not_fit_the_request_is_wrong(changes: dict[str, Any]) -> None:
    by = server()
    assert verdict(by, credentials(by), **changes) is Verdict.WRONG


def test_a_right_password_for_another_uri_or_without_qop_is_no_guess_and_does_not_pass() -> None:
    """RFC 7616 3.4.6: something on the way has changed the Request-URI. Without qop it could be replayed."""
    by = server()
    assert verdict(by, credentials(by), uri="sip:other.example") is Verdict.ASTRAY
    challenge = replace(by.challenge(NOW)[0], qop=())
    assert verdict(by, answer(challenge, ALICE, "REGISTER", URI, "")) is Verdict.ASTRAY
    assert verdict(by, credentials(by), uri="sip:other.example", password="open barley") is Verdict.WRONG
    assert verdict(by, credentials(by), uri="sip:other.example", password=None) is Verdict.WRONG


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("sip:+4930123@example.net", "sip:+4930123@example.net:6060;transport=udp"),
        ("sip:+4930123@example.net;transport=tls", "sip:+4930123@example.net"),
        ("sip:+49301%323@EXAMPLE.net", "sip:+4930123@example.net;user=phone"),
        ("sip:[2001:db8::1]", "sip:[2001:DB8:0::1]:5061;transport=tls"),
    ],
)
def test_a_uri_without_what_a_request_is_sent_by_is_the_same_resource(said: str, asked: str) -> None:
    """Some leave the port and parameters out of what they prove, and are asked again for ever otherwise."""
    by = server()
    given = answer(by.challenge(NOW)[0], ALICE, "INVITE", said, "cn")
    assert verdict(by, given, method="INVITE", uri=asked) is Verdict.GOOD


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("sip:+4930123@example.net", "sip:+1900123@example.net"),
        ("sip:example.net", "sip:+4930123@example.net"),
        ("sip:a@example.net", "sip:a@other.example"),
        ("sip:a@example.net", "sips:a@example.net"),
        ("sip:+4930123;rn=1@example.net", "sip:+4930123@example.net"),
        ("tel:+4930123", "tel:+4930123;x"),
        ("/", "sip:example.net"),
        ("", "sip:example.net"),
        ("*", "sip:example.net"),
    ],
)
def test_a_password_that_is_proved_for_another_resource_is_good_for_none(said: str, asked: str) -> None:
    by = server()
    given = answer(by.challenge(NOW)[0], ALICE, "INVITE", said, "cn")
    assert verdict(by, given, method="INVITE", uri=asked) is Verdict.ASTRAY


def test_an_unknown_user_with_an_empty_password_is_wrong() -> None:
    by = server()
    given = answer(by.challenge(NOW)[0], replace(ALICE, password=""), "REGISTER", URI, "cn")
    assert verdict(by, given, password=None) is Verdict.WRONG


@pytest.mark.parametrize(
    "changes",
    [
        {"realm": "other"},
        {"username": "bob"},
        {"response": "0" * 64},
        {"response": "é"},
        {"qop": None},
        {"qop": "auth-conf"},
        {"algorithm": "SHA-512-256"},
        {"algorithm": "MD5"},
        {"nc": 2},
        {"cnonce": "other"},
        {"uri": "sip:other.example"},
    ],
)
def test_changed_credentials_are_wrong(changes: dict[str, Any]) -> None:
    by = server()
    assert verdict(by, replace(credentials(by), **changes)) is Verdict.WRONG


@pytest.mark.parametrize(("later", "expected"), [(300.0, Verdict.GOOD), (300.1, Verdict.STALE)])
def test_a_nonce_has_a_lifetime(later: float, expected: Verdict) -> None:
    by = server()
    assert verdict(by, credentials(by), NOW + later) is expected


def test_a_nonce_from_the_future_is_stale() -> None:
    by = server()
    assert verdict(by, credentials(by), NOW - 1) is Verdict.STALE


@pytest.mark.parametrize("nonce", ["", "0", "zzzz" * 20, "é" * 40])
def test_a_nonce_that_is_not_ours_is_stale_for_a_right_password(nonce: str) -> None:
    by = server()
    challenge = replace(by.challenge(NOW)[0], nonce=nonce)
    assert verdict(by, answer(challenge, ALICE, "REGISTER", URI, "cn")) is Verdict.STALE


def test_a_nonce_of_another_secret_or_with_another_time_is_stale() -> None:
    by, other = server(), server(secret=b"another secret!!")
    assert verdict(by, credentials(other)) is Verdict.STALE
    challenge = by.challenge(NOW)[0]
    moved = replace(challenge, nonce="f" * 12 + challenge.nonce[12:])
    assert verdict(by, answer(moved, ALICE, "REGISTER", URI, "cn")) is Verdict.STALE


def test_the_replay_table_is_bounded_and_what_it_forgot_is_refused() -> None:
    by = server(remembered=3)
    first = credentials(by)
    assert verdict(by, first) is Verdict.GOOD
    later = [by.challenge(NOW + second)[0] for second in range(1, 5)]
    for second, challenge in enumerate(later, 1):
        given = answer(challenge, ALICE, "REGISTER", URI, "cn")
        assert verdict(by, given, NOW + second) is Verdict.GOOD
    assert len(by._used) == 3
    assert verdict(by, first, NOW + 5) is Verdict.STALE


def test_wrong_credentials_do_not_enter_the_replay_table() -> None:
    by = server(remembered=3)
    for _ in range(10):
        verdict(by, replace(credentials(by), response="0" * 64))
    assert len(by._used) == 0


def test_auth_int_protects_the_body() -> None:
    by = server()
    challenge = replace(by.challenge(NOW)[0], qop=("auth-int",))
    given = answer(challenge, ALICE, "REGISTER", URI, "cn", 1, b"body")
    assert given.qop == "auth-int"
    assert verdict(by, given, body=b"other") is Verdict.WRONG
    assert verdict(by, given, body=b"body") is Verdict.GOOD


def test_session_algorithms_verify() -> None:
    by = server()
    challenge = replace(by.challenge(NOW)[0], algorithm="SHA-256-sess")
    assert verdict(by, answer(challenge, ALICE, "REGISTER", URI, "cn")) is Verdict.GOOD


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        server(secret=b"short")


def test_a_stale_challenge_says_so() -> None:
    assert "stale=true" in str(server().challenge(NOW, stale=True)[0])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic QWxhZGRpbg==",
        "Digest",
        'Digest username="a"',
        'Digest username="a", username="b", realm="r", nonce="n", uri="u", response="x"',
        'Digest username="a, realm="r", nonce="n", uri="u", response="x"',
        'Digest username="a", realm="r", nonce="n", uri="u", response="x", qop=auth',
        'Digest username="a", realm="r", nonce="n", uri="u", response="x", qop=auth, nc=1, cnonce="c"',
        'Digest username="a", realm="r", nonce="n", uri="u", response="x" garbage',
        'Digest username="a" realm="r" nonce="n" uri="u" response="x"',
        'Digest username="a\\',
    ],
)
def test_malformed_credentials_raise_parse_error(value: str) -> None:
    with pytest.raises(ParseError):
        parse_credentials(value)


def test_quotes_and_backslashes_survive() -> None:
    given = Credentials('a"b\\c', "r", "n", "sip:x", "0" * 32)
    assert parse_credentials(str(given)) == given


def test_neither_password_nor_response_shows_in_a_repr() -> None:
    by = server()
    given = credentials(by)
    assert "sesame" not in repr(ALICE)
    assert given.response not in repr(given)


def test_reading_takes_linear_time() -> None:
    for hostile in ('a="' * 30000, "a=" * 30000, "a" * 60000, 'a="\\' * 20000, "a=b " * 20000):
        with pytest.raises(ParseError):
            parse_credentials("Digest " + hostile)
