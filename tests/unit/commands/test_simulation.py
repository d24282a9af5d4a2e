"""What ``sbc route test`` assumes is said where a rule asks it, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from sbc.base import LocalError
from sbc.cli import command_line
from sbc.commands.simulation import simulated
from tests.playbook.stage import snapshot


def tried(when: str, *words: str, trunk: str = "office", **options: Any) -> dict[str, Any]:
    """The answer about a call to 100, unless ``words`` name another."""
    rules = f"rules:\n  - name: asks\n    when: {when}\n    then: reject 403\n"
    made = snapshot(rules, **({"tls": {"mode": "required", "trust": ["lab"]}} | options))
    written = ["route", "test", "--trunk", trunk, *(words if "--to" in words else ("--to", "100", *words))]
    return simulated(made, command_line().parse_args(written), {}, 0.0)


@pytest.mark.parametrize(
    ("when", "words", "assumed"),
    [
        ('to.user == "1"', (), {}),
        ('to.host == "a.example"', (), {"to.host": "empty"}),
        ('to.host == "a.example"', ("--to", "100@a.example"), {}),
        ('to.param("x") == "1"', ("--to", "sip:a.example"), {}),
        ('to.param("x") == "1"', (), {"to.param": "empty"}),
        ('from.user == "1"', (), {"from.user": "empty"}),
        ('from.user == "1"', ("--from", "1"), {}),
        ('from.host == "a.example"', ("--from", "1"), {"from.host": "empty"}),
        ("peer.verified", (), {}),
        ('tls.version == "TLSv1.2"', (), {"tls.version": "TLSv1.3"}),
        ('peer.san == "dns:a.example"', (), {"peer.san": "empty"}),
        ("calls > 5", (), {"calls": "0"}),
        ('calls("carrier") > 5', (), {"calls": "0"}),
        ('sdp.srtp == "none"', (), {"sdp.srtp": "none"}),
        ('sdp.srtp == "none"', ("--srtp", "offered"), {}),
        ('sdp.codecs == "PCMA"', ("--codecs", "PCMA"), {}),
        ("source in 198.51.100.0/24", (), {"source": "198.51.100.0"}),
        ("source in 198.51.100.0/24", ("--source", "198.51.100.9"), {}),
        ('call.tags == "vip"', (), {}),
        ('auth.user == ""', (), {"auth.user": "empty"}),
        ('redirected_from != ""', (), {}),
        ('redirected_from == "+12125550100"', ("--redirected-from", "+1-212-555-0100"), {}),
        ('referred_by != ""', (), {}),
        ('referred_by == "+12125550100"', ("--referred-by", "+1-212-555-0100"), {}),
        ('header("X-A") == "1" and time in 08:00..09:00 and sips', (), {}),
    ],
)
def test_what_nobody_has_said(when: str, words: tuple[str, ...], assumed: dict[str, str]) -> None:
    answer = tried(when, *words)
    assert answer["assumed"] == assumed
    said = [line for line in answer["lines"] if line.startswith("assumed, for the rules ask it: ")]
    assert len(said) == bool(assumed) and all(name in said[0] for name in assumed)


def test_a_call_that_was_redirected_is_one_of_the_trunk_that_did_it() -> None:
    words = ("--redirected-from", "+1-212-555-0100")
    answer = tried('redirected_from == "+12125550100"', *words, trunk="carrier")
    assert answer["decision"]["kind"] == "reject" and answer["decision"]["status"] == 403
    assert (answer["facts"]["trunk"], answer["facts"]["redirected_from"]) == ("carrier", "+12125550100")


@pytest.mark.parametrize(("mode", "assumed"), [("optional", {"peer.verified": "false"}), ("server", {})])
def test_a_peer_is_verified_for_certain_only_where_nobody_else_is_let_in(
    mode: str, assumed: dict[str, str]
) -> None:
    answer = tried("peer.verified", tls={"mode": mode, "trust": ["lab"]})
    assert (answer["facts"]["peer.verified"], answer["assumed"]) == (False, assumed)


def test_without_tls_nothing_of_tls_is_a_guess() -> None:
    answer = tried('tls.version == "TLSv1.3" or peer.verified or peer.pin == "sha256/00"', trunk="plain")
    assert answer["assumed"] == {} and answer["facts"]["tls.version"] == ""


@pytest.mark.parametrize("source", ["300.1.1.1", "10.0.0.0/8", "gw.example", "fe80::zz"])
def test_a_source_that_is_no_address_is_refused(source: str) -> None:
    with pytest.raises(LocalError, match="is not an address"):
        tried("true", "--source", source)


def test_a_source_is_seen_as_a_running_sbc_sees_it() -> None:
    answer = tried('source == "2001:db8::1"', "--source", "2001:DB8:0::1", sources=["2001:db8::/32"])
    assert answer["decision"]["status"] == 403
    assert answer["notes"] == []


def test_a_source_that_the_trunk_does_not_let_in_is_told() -> None:
    (note, _) = tried("true", "--source", "192.0.2.1", sources=["198.51.100.0/24"])["notes"]
    assert note == (
        "192.0.2.1 is in none of the sources of office (198.51.100.0/24):"
        " from there calls come only on a connection that we have opened"
    )


def test_a_number_with_blanks_is_the_number() -> None:
    assert tried("true", "--to", "+49 30 1234", "--from", "0900 1")["facts"]["to.user"] == "+49301234"
