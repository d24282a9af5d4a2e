"""Whatever places callees name, in circles or without end: each call ends, none goes astray."""

from __future__ import annotations

import re
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from sbc.b2bua.redirects import MOST_FOLLOWED, exposed, masked, place_of, targets_of
from sbc.sip.headers import Headers
from sbc.sip.message import Response
from sbc.sip.uri import parse_name_addr, parse_uri
from tests.playbook.stage import Stage, snapshot
from tests.property.attacker import Attacker
from tests.property.test_engine_attacked import holds_nothing

# Round and round: whoever redirects is asked for again, by way of each of the others.
RULES = """
rules:
  - name: barred
    when: to.user starts with "0900"
    then: reject 403
  - name: diverted
    when: redirected_from != ""
    then: |
      limit 3 calls per from.user
      route "carrier" then "backup"
  - name: between them
    when: trunk in ["office", "carrier", "backup"]
    then: |
      limit 3 calls per from.user
      route "carrier" then "backup" on 503
"""
USERS = ("+12125550100", "+1-212-555-0100", "alice", "09001", "", "1", "2", "3", "4", "5", "6")
HOSTS = ("carrier.example", "10.0.0.1", "sbc.example", "[2001:db8::1]:5070")
MORE = ("*", "<mailto:x@y>", "<tel:+12125550100>", "<tel:09001>", "<sip:>", '"', "<sip:a@b?Replaces=c>;q=x")


def place(dice: Random) -> str:
    if dice.random() < 0.1:
        return dice.choice(MORE)
    user, host = dice.choice(USERS), dice.choice(HOSTS)
    q = dice.choice(("", ";q=0.5", ";q=1.0", ";q=9", ";q=", ";q=0.1234"))
    return f"<sip:{user}@{host}>{q}" if user else f"<sip:{host}>{q}"


def moving(dice: Random, data: bytes) -> bytes:
    """Most final answers to an INVITE become a redirect."""
    if not re.match(rb"SIP/2\.0 [2-6]", data) or b" INVITE\r\n" not in data or dice.random() < 0.3:
        return data
    status = dice.choice((b"300", b"301", b"302", b"302", b"302", b"305", b"380"))
    head, _, _ = data.partition(b"\r\n\r\n")
    kept = [each for each in head.split(b"\r\n")[1:] if not re.match(rb"(?i)contact|content-", each)]
    contacts = [f"Contact: {place(dice)}".encode() for _ in range(dice.choice((1, 1, 2, 4, 30)))]
    lines = [b"SIP/2.0 %s Moved" % status, *kept, *contacts, b"Content-Length: 0"]
    return b"\r\n".join([*lines, b"", b""])


def chains(stage: Stage) -> list[int]:
    """How often each caller's INVITE went on as another call."""
    after = {note.call: str(note.fields["as"]) for note in stage.noted("redirect-followed")}
    assert len(after) == len(stage.noted("redirect-followed")), "a call goes on once"
    found = []
    for first in after.keys() - after.values():
        length, call = 0, first
        while call in after:
            length, call = length + 1, after[call]
        found.append(length)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("redirects", ["refuse", "pass", "expose", "follow"])
def test_every_call_ends_and_goes_only_where_a_rule_leads(redirects: str) -> None:
    longest = followed = 0
    for seed in range(60):
        stage = Stage(snapshot(RULES, redirects=redirects))
        attacker = Attacker(seed, 0.05, stage, moving)
        for _ in range(100):
            attacker.step()
        try:
            holds_nothing(stage)
            lengths = chains(stage)
            assert max(lengths, default=0) <= MOST_FOLLOWED
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        records = [note.fields for note in stage.noted("call-ended")]
        assert len({note.call for note in stage.noted("call-ended")}) == len(records), "one record each"
        assert not [each for each in records if each["called"] == "09001" and each["status"] == 200]
        dialled = {address.host for peers, near in stage.connects for address in (*peers, *near)}
        assert not dialled & {"10.0.0.1", "sbc.example", "2001:db8::1", "b", "y"}
        stage.office.heard.clear()
        for number in range(3):  # no limit of a rule counts a call that is over
            stage.office.invite(Call_ID=f"afterwards-{number}")
            stage.office.hears(100)
            stage.office.hears_nothing()
        longest, followed = max([longest, *lengths]), followed + len(lengths)
    assert (longest, followed > 50) == ((MOST_FOLLOWED, True) if redirects == "follow" else (0, False))


uris = st.builds(
    "{}:{}{}{}{}{}".format,
    st.sampled_from(["sip", "SIPS", "sip", "tel"]),
    st.one_of(
        st.just(""), st.text("aZ09+-_.!~*'()&=$,;?/%#[]^`{|}41", min_size=1, max_size=9).map("{}@".format)
    ),
    st.sampled_from(["h.example", "10.0.0.1", "[2001:db8::1]", "H_1", "+12125550100", "+1-2"]),
    st.sampled_from(["", ":5070", ":0", ":99999"]),
    st.text("ab=;%4&:[]/1+$", max_size=8).map(lambda text: f";{text}" if text else ""),
    st.sampled_from(["", "?a=b", "?a=b@c&d", "?"]),
)
contacts = st.builds("{}<{}>{}".format, st.sampled_from(["", '"A, <B>" ', "C "]), uris, st.sampled_from(
    ["", ";q=0.3", ";q=1", ";q=1.1", ";q=-1", ";q=0.1234", ";q=x", ";expires=1;q=0"]))  # fmt: skip


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(contacts, uris, st.text(max_size=9)), max_size=4), st.booleans())
def test_what_is_told_of_a_place_can_be_read_and_hides_what_it_must(lines: list[str], one: bool) -> None:
    values = [", ".join(lines)] if one else lines
    targets = targets_of(Response(302, "Moved", Headers([("Contact", value) for value in values])))
    ranks = [target.rank for target in targets]
    assert ranks == sorted(ranks, reverse=True) and all(0 <= rank <= 1 for rank in ranks)
    for target in targets:
        assert place_of(parse_uri(str(target.uri))) == place_of(target.uri)
        assert target.uri.password is None and not target.uri.headers
    stage = Stage()
    stage.office.invite()
    (call,) = stage.engine.calls.values()
    for text in masked(targets, call.a):
        told = parse_name_addr(text)
        assert (told.uri.host, told.uri.port) == ("192.0.2.1", 5061)
        assert place_of(told.uri)[0] in {place_of(target.uri)[0] for target in targets}
    for text in exposed(targets, secure=True, policy="forbid"):
        uri = parse_name_addr(text).uri
        assert uri.scheme == "sips" or (uri.param("transport") or "").lower() == "tls"
    assert len(exposed(targets, secure=False, policy="forbid")) == len(targets)
