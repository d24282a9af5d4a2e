"""DNS packets: what is asked, what is believed of what comes back, and what it says."""

from __future__ import annotations

from itertools import pairwise

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from sbc.dns.message import MOST_ALIASES, REFERRAL, Answer, Naptr, NotTheAnswer, Question, Srv, query, read

SRV = Question("_sip._udp.carrier.example", "SRV")
A = Question("carrier.example", "A")


def answer(question: Question, *records: str, number: int = 7, authority: tuple[str, ...] = ()) -> bytes:
    """What a server answers with these records, each ``NAME TTL TYPE DATA``."""
    made = dns.message.make_response(dns.message.from_wire(query(question, number)))
    for section, lines in ((made.answer, records), (made.authority, authority)):
        for line in lines:
            name, ttl, kind, data = line.split(None, 3)
            section.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return bytes(made.to_wire())


def test_a_question_asks_for_room_and_for_recursion() -> None:
    made = dns.message.from_wire(query(SRV, 4711))
    assert (made.id, made.edns, made.payload) == (4711, 0, 1232)
    assert made.flags & dns.flags.RD
    assert str(made.question[0]) == "_sip._udp.carrier.example. IN SRV"
    assert dns.message.from_wire(query(SRV, 1, edns=False)).edns == -1


@pytest.mark.parametrize("name", ["a..example", f"{'a' * 64}.example", ".".join(["a" * 60] * 5)])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        query(Question(name, "A"), 1)


def test_srv_records() -> None:
    data = answer(
        SRV,
        "_sip._udp.carrier.example. 300 SRV 10 60 5060 SBC1.carrier.example.",
        "_sip._udp.carrier.example. 300 SRV 20 0 5080 sbc2.carrier.example.",
    )
    found = read(SRV, 7, data)
    assert set(found.records) == {
        Srv(10, 60, 5060, "sbc1.carrier.example"),
        Srv(20, 0, 5080, "sbc2.carrier.example"),
    }
    assert (found.ttl, found.failure, found.alias) == (300, "", "")


def test_naptr_records() -> None:
    question = Question("carrier.example", "NAPTR")
    line = 'carrier.example. 60 NAPTR 10 20 "S" "SIPS+D2T" "" _sips._tcp.carrier.example.'
    assert read(question, 7, answer(question, line)).records == (
        Naptr(10, 20, "s", "sips+d2t", "_sips._tcp.carrier.example"),
    )


def test_the_least_time_of_a_chain_counts() -> None:
    data = answer(A, "carrier.example. 30 CNAME b.example.", "b.example. 300 A 192.0.2.1")
    assert read(A, 7, data) == Answer(("192.0.2.1",), 30.0, aliases=1)


def test_a_chain_that_ends_elsewhere_leads_on() -> None:
    found = read(A, 7, answer(A, "carrier.example. 30 CNAME b.example."))
    assert (found.records, found.alias, found.aliases) == ((), "b.example", 1)


@pytest.mark.parametrize("length", [MOST_ALIASES, MOST_ALIASES + 1])
def test_a_chain_is_followed_so_far_and_no_farther(length: int) -> None:
    names = ["carrier.example.", *[f"c{index}.example." for index in range(length)]]
    chain = [f"{here} 60 CNAME {there}" for here, there in pairwise(names)]
    found = read(A, 7, answer(A, *chain, f"{names[-1]} 60 A 192.0.2.1"))
    assert bool(found.records) is (length == MOST_ALIASES)
    assert ("over 8 CNAMEs" in found.failure) is (length > MOST_ALIASES)


def test_a_circle_of_cnames_ends() -> None:
    data = answer(A, "carrier.example. 60 CNAME b.example.", "b.example. 60 CNAME carrier.example.")
    assert "CNAMEs" in read(A, 7, data).failure


def test_nothing_is_kept_as_long_as_the_zone_says() -> None:
    soa = "example. 900 SOA ns.example. root.example. 1 2 3 4 120"
    assert read(A, 7, answer(A, authority=(soa,))) == Answer((), 120.0)
    assert read(A, 7, answer(A)) == Answer((), 60.0), "and a minute where it says nothing"


def test_what_is_not_the_answer() -> None:
    good = answer(A, "carrier.example. 60 A 192.0.2.1")
    other = Question("carrier.example.evil.example", "A")
    for question, number, data in (
        (A, 8, good),
        (other, 7, good),
        (Question("carrier.example", "AAAA"), 7, good),
        (A, 7, query(A, 7)),
        (A, 7, good[:20]),
        (A, 7, b""),
        (A, 7, b"\0" * 12),
    ):
        with pytest.raises(NotTheAnswer):
            read(question, number, data)


def test_what_an_answer_has_beside_is_not_believed() -> None:
    data = answer(A, "carrier.example. 60 A 192.0.2.1", "other.example. 60 A 203.0.113.66")
    assert read(A, 7, data).records == ("192.0.2.1",)


def test_failures_are_no_answers_that_there_is_nothing() -> None:
    made = dns.message.make_response(dns.message.from_wire(query(A, 7)))
    made.set_rcode(dns.rcode.SERVFAIL)
    assert read(A, 7, made.to_wire()) == Answer(failure="SERVFAIL")
    made.set_rcode(dns.rcode.NXDOMAIN)
    assert read(A, 7, made.to_wire()).failure == "", "NXDOMAIN: there is no such name"
    made.set_rcode(dns.rcode.NOERROR)
    made.flags |= dns.flags.TC
    assert read(A, 7, made.to_wire()).cut


def test_a_server_that_only_refers_to_others_has_not_said_that_there_is_nothing() -> None:
    """RFC 2308 2.2: whoever takes a referral for an answer loses servers that are there."""
    referral = answer(SRV, authority=("example. 172800 NS ns1.example.",))
    assert read(SRV, 7, referral).failure == REFERRAL
    behind = answer(A, "carrier.example. 30 CNAME b.example.", authority=("example. 60 NS ns1.example.",))
    assert read(A, 7, behind).alias == "b.example"
    authority = ("example. 60 NS ns1.example.", "example. 90 SOA ns1.example. h.example. 1 2 3 4 30")
    assert read(SRV, 7, answer(SRV, authority=authority)) == Answer((), 30.0)
    assert not read(SRV, 7, answer(SRV)).failure, "an answer that there is nothing"
