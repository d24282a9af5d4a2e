"""Which challenges are answered, and which are not."""

from __future__ import annotations

import pytest

from sbc.sip.digest import Challenge, parse_challenge
from sbc.sip.digest_client import Account, answer, choose

ACCOUNT = Account("trunk", "carrier.example", "secret")


def challenge(**changes: object) -> str:
    parts = {"realm": "carrier.example", "nonce": "n", "algorithm": "MD5", "qop": ("auth",), **changes}
    return str(Challenge(**parts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        challenge(realm="other.example"),
        challenge(realm="CARRIER.example"),
        challenge(realm=""),
        challenge(algorithm="SHA-512-256"),
        challenge(qop=("auth-conf",)),
        'Digest realm="carrier.example',
        "Basic realm=carrier.example",
        "",
    ],
)
def test_such_a_challenge_is_passed_over(value: str) -> None:
    assert choose([value], ACCOUNT) is None
    assert choose([value, challenge()], ACCOUNT) == parse_challenge(challenge())


def test_the_order_is_the_servers() -> None:
    chosen = choose([challenge(algorithm="MD5"), challenge(algorithm="SHA-256")], ACCOUNT)
    assert chosen is not None and chosen.algorithm == "MD5"


def test_no_answer_is_computed_for_another_realm() -> None:
    with pytest.raises(ValueError, match="realm"):
        answer(parse_challenge(challenge(realm="other.example")), ACCOUNT, "INVITE", "sip:x", "cn")


def test_auth_is_preferred_to_auth_int() -> None:
    given = answer(parse_challenge(challenge(qop=("auth-int", "auth"))), ACCOUNT, "INVITE", "sip:x", "cn")
    assert given.qop == "auth"


def test_a_challenge_without_qop_is_answered_without_count() -> None:
    given = answer(parse_challenge(challenge(qop=())), ACCOUNT, "INVITE", "sip:x", "cn")
    assert given.qop is None
    assert "nc=" not in str(given) and "cnonce=" not in str(given)


def test_the_opaque_value_is_returned() -> None:
    given = answer(parse_challenge(challenge(opaque='a"b')), ACCOUNT, "INVITE", "sip:x", "cn")
    assert given.opaque == 'a"b'


def test_the_scheme_and_names_may_be_in_any_case() -> None:
    found = parse_challenge('DIGEST REALM="carrier.example",Nonce="n",ALGORITHM=sha-256,QOP="AUTH"')
    assert found == Challenge("carrier.example", "n", "SHA-256", ("auth",))
