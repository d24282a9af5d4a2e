"""``sbc check --strict``, ``sbc route test`` and ``sbc route replay``, as the operator runs them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from sbc.demo.pki import LabAuthority
from tests.edge.sbc_command import Outcome, sbc
from tests.peers.kept import keep

SETTINGS = """\
listeners:
  tls: {bind: 127.0.0.1:5061, transport: tls}
  udp: {bind: 127.0.0.1:5060, transport: udp}
identities: {sbc: {chain: sbc.pem, key: sbc.key}}
trust: {lab: {ca: ca.pem}}
"""
RULES = """\
groups: {carriers: {carrier: 2, spare: 1}}
rules:
  - name: numbers in one form
    when: to.user starts with "00"
    then: |
      set to.user = replace_prefix(to.user, "00", "+")
      continue
  - name: verified office
    when: trunk == "office" and peer.verified and time in 08:00..18:00
    then: |
      forbid downgrade
      limit 5 calls per from.user
      tag "office"
      route group.carriers
  - name: gold
    when: header("X-Customer") == "gold" and peer.san == "dns:office.example"
    then: route "carrier" then "spare" on 503
"""


pytestmark = pytest.mark.slow

TOMORROW = time.strftime("%Y-%m-%d", time.localtime(time.time() + 86400))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    ca, other = LabAuthority("lab"), LabAuthority("other")
    for name, issued in {
        "sbc": ca.issue(dns=["sbc.example"]),
        "office": ca.issue(dns=["office.example"]),
        "rogue": other.issue(dns=["office.example"]),
    }.items():
        (tmp_path / f"{name}.pem").write_bytes(issued.chain_pem)
        (tmp_path / f"{name}.key").write_bytes(issued.key_pem)
        (tmp_path / f"{name}.key").chmod(0o600)
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem)
    (tmp_path / "sbc.yaml").write_text(SETTINGS)
    for folder in ("trunks.d", "routes.d"):
        (tmp_path / folder).mkdir()
    identities = "server_identity: sbc, client_identity: none"
    tls = f"listener: tls\ntls: {{{identities}, trust: [lab], names: [office.example]}}\n"
    trunks = {
        "office": tls,
        "carrier": "listener: udp\n",
        "spare": "listener: udp\nsips: forbid\nsrtp: off\n",
    }
    for at, (name, more) in enumerate(trunks.items(), 1):
        text = f"trunk: {name}\npeers: [192.0.2.{at}:5060]\nsources: [192.0.2.{at}]\n{more}"
        (tmp_path / "trunks.d" / f"{name}.yaml").write_text(text)
    (tmp_path / "routes.d" / "10.yaml").write_text(RULES)
    return tmp_path


def good(outcome: Outcome) -> list[str]:
    assert (outcome.status, outcome.err) == (0, ""), outcome
    return outcome.out.splitlines()


def good_json(outcome: Outcome) -> str:
    return "\n".join(good(outcome))


def test_check_counts_the_ways_out_and_strict_names_them_and_fails(directory: Path) -> None:
    lines = good(sbc(directory, "check"))
    assert lines[-1].startswith("secrecy: 5 ways to leave in the clear")
    strict = sbc(directory, "check", "--strict")
    assert strict.status == 1
    named = [line for line in strict.err.splitlines() if line.startswith(("SIPS: ", "SRTP: "))]
    assert named == [
        "SIPS: from office to carrier in the clear, by rule gold (routes.d/10.yaml:15);"
        " forbidden by `forbid downgrade` in the rule or `sips: forbid` in the trunk carrier",
        *(
            f"SRTP: from office to {target} in the clear, by rule {rule};"
            f" forbidden by `require srtp` in the rule or `srtp: required` in the trunk {target}"
            for rule in ("verified office (routes.d/10.yaml:8)", "gold (routes.d/10.yaml:15)")
            for target in ("carrier", "spare")
        ),
    ]


def test_strict_passes_where_nothing_leaks(directory: Path) -> None:
    text = RULES.replace("      forbid downgrade\n", "").replace(
        "route ", "forbid downgrade; require srtp; route "
    )
    (directory / "routes.d" / "10.yaml").write_text(text)
    lines = good(sbc(directory, "check", "--strict"))
    assert lines[-1].startswith(f"{directory}: good:")


def test_a_trunk_that_was_disabled_by_hand_is_shown_so(directory: Path) -> None:
    words = ("--trunk", "carrier", "--to", "1", "--header", "X-Customer: gold")
    (directory / "routes.d" / "10.yaml").write_text('rules: [{name: x, when: true, then: route "spare"}]\n')
    assert "is disabled" not in "".join(good(sbc(directory, "route", "test", *words)))
    state = directory / "run"
    why = "by anna on 2026-11-01 UTC (sbc trunks disable)"
    keep(state, "disabled-trunks", {"spare": why, "gone": "by somebody"})
    (hop,) = [line for line in good(sbc(directory, "route", "test", *words)) if "1. spare" in line]
    assert hop.endswith(f"is disabled: {why}")
    keep(state, "disabled-trunks", {"spare": [1]})
    assert not any("is disabled" in line for line in good(sbc(directory, "route", "test", *words)))
    (state / "state.db").write_text("{")  # the running SBC begins it anew; the rules are told of all the same
    lines = good(sbc(directory, "route", "test", *words))
    assert lines[0].startswith("which trunks are disabled by hand is not known: ")
    assert any("1. spare" in line for line in lines)


def test_a_call_is_tried_and_every_rule_says_why(directory: Path) -> None:
    words = (
        "--trunk",
        "office",
        "--from",
        "alice@office.example",
        "--to",
        "0049301234",
        "--at",
        f"{TOMORROW}T09:30",
    )
    lines = good(sbc(directory, "route", "test", *words, "--cert", str(directory / "office.pem")))
    assert lines == [
        'numbers in one form (routes.d/10.yaml:3): yes, because `to.user starts with "00"` holds'
        ' (to.user is "0049301234"); it continues',
        'verified office (routes.d/10.yaml:8): yes, because `trunk == "office" and peer.verified and time in'
        ' 08:00..18:00` holds (trunk is "office", peer.verified is true, time is 09:30); it decides',
        "",
        "decided by verified office (routes.d/10.yaml:8)",
        "route",
        "  1. carrier of group carriers over udp: srtp accept here, accept there;"
        " not taken: the downgrade is forbidden (forbid)",
        "  1. spare of group carriers over udp: srtp accept here, off there;"
        " not taken: the downgrade is forbidden (forbid)",
        '  set to.user = "+49301234"',
        "  forbid downgrade",
        "  limit 5 calls at once for verified office #1 alice, else 503",
        "  tag office",
    ]


def test_a_certificate_that_proves_nothing_is_told_and_not_believed(directory: Path) -> None:
    words = ("--trunk", "office", "--to", "1", "--header", "X-Customer: gold", "--at", f"{TOMORROW}T09:30")
    lines = good(sbc(directory, "route", "test", *words, "--cert", str(directory / "rogue.pem")))
    assert lines[0].startswith("this certificate does not make the peer office: ")
    assert any("`peer.verified` does not hold (peer.verified is false)" in line for line in lines)
    assert "decided by gold (routes.d/10.yaml:15)" in lines


def test_what_the_trunk_settles_needs_no_word_and_what_is_assumed_is_said(directory: Path) -> None:
    (directory / "hooks").mkdir()
    (directory / "hooks" / "10-crm.py").write_text("def on_invite(facts):\n    return None\n")
    (directory / "hooks" / "20-other.py").write_text(
        'WHEN = "named"\ndef on_route(facts, decision):\n    return None\n'
    )
    words = ("--trunk", "office", "--to", "sip:100@host.example:25160", "--at", f"{TOMORROW}T09:30")
    lines = good(sbc(directory, "route", "test", *words))
    assert "decided by verified office (routes.d/10.yaml:8)" in lines, "mode required lets nobody else in"
    assert lines[-2:] == [
        "assumed, for the rules ask it: from.user is empty, peer.san is empty",
        "hooks are not run here, and may decide otherwise: hooks/10-crm.py (before the rules)",
    ]
    answer = json.loads(good_json(sbc(directory, "route", "test", *words, "--json")))
    assert (
        answer["decision"]["kind"] == "route" and answer["decision"]["hops"][0]["group"]["name"] == "carriers"
    )
    facts = answer["facts"]
    assert (facts["to.host"], facts["to.port"], facts["peer.verified"]) == ("host.example", 25160, True)
    assert (facts["listener"], facts["transport"], facts["sips"]) == ("tls", "tls", False)
    assert answer["assumed"] == {"from.user": "empty", "peer.san": "empty"}
    path = directory / "calls.jsonl"
    path.write_text(json.dumps(record()) + "\n")
    replayed = json.loads(good_json(sbc(directory, "route", "replay", str(path), "--json")))
    assert replayed["hooks_not_run"] == [
        "hooks/10-crm.py (before the rules)",
        "hooks/20-other.py (after the rules)",
    ]
    assert (replayed["calls"], replayed["changed"], replayed["unknown"]) == (1, 0, ["headers"])


def test_tests_beside_the_rules_see_what_the_trunk_settles(directory: Path) -> None:
    tests = """\
tests:
  - given: {trunk: office, to: "1", time: 2026-07-01 09:30}
    expect: {rule: verified office}
  - given: {trunk: office, to: "1", time: 2026-07-01 09:30, peer.verified: false}
    expect: {reject: 404}
  - given: {trunk: carrier, to: "1"}
    expect: {reject: 480}
"""
    rule = '  - name: over udp\n    when: transport == "udp" and listener == "udp"\n    then: reject 480\n'
    (directory / "routes.d" / "10.yaml").write_text(RULES + rule + tests)
    good(sbc(directory, "check"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trunk", "ofice", "--to", "1"), "there is no trunk 'ofice'"),
        (("--trunk", "office", "--to", "1", "--at", "noon"), "--at 'noon' is not a time"),
        (("--trunk", "office", "--to", "1", "--header", "X"), "--header 'X' is not NAME:VALUE"),
        (("--trunk", "office", "--to", "1", "--cert", "/nowhere"), "No such file"),
        (("--trunk", "office", "--to", "1", "--cert", "x", "--source", "192.0.2.99"), ""),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(directory: Path, words: tuple[str, ...], said: str) -> None:
    assert said in sbc(directory, "route", "test", *words).refused_in_one_line()


def record(**changes: Any) -> dict[str, Any]:
    tls = {"version": "TLSv1.3", "cipher": "x", "group": "X25519", "peer_verified": True,
           "peer_names": ["dns:office.example"], "peer_thumbprint": ""}  # fmt: skip
    leg = {"trunk": "office", "transport": "tls", "local": "", "remote": "192.0.2.1:5061", "tls": tls,
           "media": {"srtp": ""}}  # fmt: skip
    base = {
        "call": "1", "caller": "alice", "called": "0049301234",
        "rule": "verified office (routes.d/10.yaml:2)",
        "started": time.strftime("%Y-%m-%dT10:00:00", time.localtime()), "status": 200, "a": leg,
        "b": {**leg, "trunk": "spare"},
    }  # fmt: skip
    return base | changes


def test_yesterdays_calls_are_decided_anew(directory: Path) -> None:
    calls = [
        record(),
        record(rule="the old way (routes.d/10.yaml:2)", b={**record()["b"], "trunk": "carrier"}),
        record(rule="the old way (routes.d/10.yaml:2)", b={**record()["b"], "trunk": "carrier"}),
        record(started="2026-07-01T22:00:00", rule="no rule matched", b=None, status=404),
        record(started="2026-07-01T22:00:00", rule="gold (routes.d/10.yaml:1)", b=None, status=486),
    ]
    path = directory / "calls.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in calls) + "{}\n\nrubbish\n")
    lines = good(sbc(directory, "route", "replay", str(path)))
    assert lines[0] == "5 calls, 3 would be decided otherwise"
    assert lines[1:3] == ["2 x the old way: carrier", "     now verified office: group.carriers"]
    assert lines[4:6] == ["1 x gold: 486", "     now no rule matched: 404"]
    assert lines[-2:] == [
        "not read: 2 lines, the first is line 6",
        "the rules ask about what records do not hold, taken as empty: headers",
    ]


def test_a_file_of_records_that_is_not_there(directory: Path) -> None:
    assert "no such file" in sbc(directory, "route", "replay", "/nowhere").refused_in_one_line()
