"""From a domain to its servers (RFC 3263 4): what is asked, in which order, and what comes of the answers."""

from __future__ import annotations

from sbc.base import Address
from sbc.dns.message import Answer, Naptr, Question, Record, Srv
from sbc.dns.search import AGAIN, MOST_ADDRESSES, MOST_HOSTS, MOST_QUESTIONS, Outcome, Search, Target
from sbc.flow import Transport

Zone = dict[tuple[str, str], Answer | tuple[Record, ...]]
NOWHERE = Answer(failure="nothing within 3 s")


def searched(zone: Zone, transport: Transport = "udp", name: str = "carrier.example") -> Outcome:
    """What a search comes to where ``zone`` is all that DNS knows."""
    return asked(zone, transport, name)[0]


def asked(
    zone: Zone, transport: Transport = "udp", name: str = "carrier.example"
) -> tuple[Outcome, list[tuple[str, str]]]:
    """The same, and every question in its order."""
    search, questions = Search(name, transport), list[tuple[str, str]]()
    while search.outcome is None:
        assert search.wanted, "it neither asks nor ends"
        questions += search.wanted
        search.answered({each: reply(zone, each) for each in search.wanted})
    assert not search.wanted
    return search.outcome, questions


def reply(zone: Zone, question: Question) -> Answer:
    found = zone.get((question.name, question.kind), ())
    return found if isinstance(found, Answer) else Answer(found, 300.0)


def addresses(outcome: Outcome) -> list[str]:
    return [str(each.address) for each in outcome.targets]


def test_naptr_srv_and_addresses_one_after_the_other() -> None:
    zone: Zone = {
        ("carrier.example", "NAPTR"): (
            Naptr(10, 10, "s", "sip+d2t", "_sip._tcp.carrier.example"),
            Naptr(20, 10, "s", "sips+d2t", "_sips._tcp.edge.example"),
            Naptr(5, 10, "u", "e2u+sip", ""),
        ),
        ("_sips._tcp.edge.example", "SRV"): (
            Srv(10, 1, 5071, "b.edge.example"),
            Srv(5, 3, 5061, "a.edge.example"),
        ),
        ("a.edge.example", "A"): ("192.0.2.1",),
        ("b.edge.example", "A"): ("192.0.2.2",),
        ("b.edge.example", "AAAA"): ("2001:db8::2",),
    }
    outcome, questions = asked(zone, "tls")
    assert questions == [
        ("carrier.example", "NAPTR"), ("_sips._tcp.edge.example", "SRV"),
        ("a.edge.example", "AAAA"), ("a.edge.example", "A"),
        ("b.edge.example", "AAAA"), ("b.edge.example", "A"),
    ]  # fmt: skip
    assert outcome == Outcome(
        (
            Target("a.edge.example", Address("192.0.2.1", 5061), 5, 3),
            Target("b.edge.example", Address("2001:db8::2", 5071), 10, 1),
            Target("b.edge.example", Address("192.0.2.2", 5071), 10, 1),
        ),
        300.0,
    )


def test_without_naptr_the_usual_name_is_asked_for() -> None:
    for transport, name in (("udp", "_sip._udp."), ("tcp", "_sip._tcp."), ("tls", "_sips._tcp.")):
        zone: Zone = {(f"{name}carrier.example", "SRV"): (Srv(1, 1, 5099, "a.example"),)}
        zone["a.example", "A"] = ("192.0.2.1",)
        assert addresses(searched(zone, transport)) == ["192.0.2.1:5099"]  # type: ignore[arg-type]


def test_whom_a_later_naptr_leads_to_is_tried_later_whatever_its_srv_priority() -> None:
    """RFC 3403 4.1: the lowest order first; the records of the second are for when those fail."""
    zone: Zone = {
        ("carrier.example", "NAPTR"): (
            Naptr(20, 10, "s", "sip+d2u", "_sip._udp.backup.example"),
            Naptr(10, 10, "s", "sip+d2u", "_sip._udp.main.example"),
            Naptr(20, 10, "s", "sip+d2u", "_sip._udp.other.example"),
        ),
        ("_sip._udp.main.example", "SRV"): (Srv(30, 1, 5060, "main.example"),),
        ("_sip._udp.backup.example", "SRV"): (Srv(1, 9, 5060, "backup.example"),),
        ("_sip._udp.other.example", "SRV"): (Srv(1, 1, 5060, "other.example"),),
        ("main.example", "A"): ("192.0.2.1",),
        ("backup.example", "A"): ("192.0.2.2",),
        ("other.example", "A"): ("192.0.2.3",),
    }
    main, backup, other = searched(zone).targets
    assert [main.host, backup.host, other.host] == ["main.example", "backup.example", "other.example"]
    assert main.priority < backup.priority == other.priority, "those of one order and preference share"


def test_a_way_that_nobody_answers_is_asked_for_again_soon() -> None:
    zone: Zone = {
        ("carrier.example", "NAPTR"): (
            Naptr(10, 10, "s", "sip+d2u", "_sip._udp.main.example"),
            Naptr(20, 10, "s", "sip+d2u", "_sip._udp.backup.example"),
        ),
        ("_sip._udp.main.example", "SRV"): NOWHERE,
        ("_sip._udp.backup.example", "SRV"): (Srv(1, 9, 5060, "backup.example"),),
        ("backup.example", "A"): ("192.0.2.2",),
    }
    outcome = searched(zone)
    assert addresses(outcome) == ["192.0.2.2:5060"] and outcome.ttl == AGAIN


def test_a_naptr_that_nobody_answers_is_none() -> None:
    zone: Zone = {
        ("carrier.example", "NAPTR"): Answer(failure="NOTIMP"),
        ("_sip._udp.carrier.example", "SRV"): (Srv(1, 1, 5099, "a.example"),),
        ("a.example", "A"): ("192.0.2.1",),
    }
    assert addresses(searched(zone)) == ["192.0.2.1:5099"]


def test_without_srv_the_domain_is_a_host_on_the_usual_port() -> None:
    zone: Zone = {("carrier.example", "A"): ("192.0.2.9",)}
    assert addresses(searched(zone, "udp")) == ["192.0.2.9:5060"]
    assert addresses(searched(zone, "tls")) == ["192.0.2.9:5061"]


def test_srv_that_nobody_answers_is_not_none() -> None:
    """Else whoever can hold an answer back chooses the server."""
    zone: Zone = {("_sip._udp.carrier.example", "SRV"): NOWHERE, ("carrier.example", "A"): ("192.0.2.9",)}
    outcome = searched(zone)
    assert outcome.targets == () and outcome.failure == "_sip._udp.carrier.example: nothing within 3 s"


def test_srv_that_says_no() -> None:
    zone: Zone = {("_sip._udp.carrier.example", "SRV"): (Srv(0, 0, 0, "."),)}
    outcome, questions = asked(zone)
    assert outcome.targets == () and outcome.failure == ""
    assert outcome.remarks == ("carrier.example says that it has no SIP over UDP (SRV .)",)
    assert len(questions) == 2, "and nothing else is asked"


def test_a_host_that_is_not_known_does_not_hide_the_others() -> None:
    zone: Zone = {
        ("_sip._udp.carrier.example", "SRV"): (Srv(1, 1, 5060, "a.example"), Srv(1, 1, 5060, "b.example")),
        ("a.example", "A"): NOWHERE,
        ("a.example", "AAAA"): NOWHERE,
        ("b.example", "A"): ("192.0.2.2",),
    }
    outcome = searched(zone)
    assert addresses(outcome) == ["192.0.2.2:5060"]
    assert outcome.remarks == ("a.example: nothing within 3 s",)
    assert outcome.ttl <= 15.0, "it is asked for again soon"


def test_nobody_answers_for_any_host() -> None:
    zone: Zone = {
        ("_sip._udp.carrier.example", "SRV"): (Srv(1, 1, 5060, "a.example"),),
        ("a.example", "A"): NOWHERE,
        ("a.example", "AAAA"): NOWHERE,
    }
    assert searched(zone).failure == "a.example: nothing within 3 s"


def test_a_domain_that_is_not_there() -> None:
    outcome = searched({})
    assert (outcome.targets, outcome.failure) == ((), "")
    assert outcome.remarks == ("carrier.example: it has no address", "carrier.example has no address")


def test_the_least_time_counts() -> None:
    zone: Zone = {
        ("_sip._udp.carrier.example", "SRV"): Answer((Srv(1, 1, 5060, "a.example"),), 3600.0),
        ("a.example", "A"): Answer(("192.0.2.1",), 30.0),
    }
    assert searched(zone).ttl == 30.0


# What a domain's owner may have written


def test_two_hundred_servers_are_thirty_two() -> None:
    servers = tuple([Srv(index, 1, 5060, f"h{index}.example") for index in reversed(range(200))])
    zone: Zone = {("_sip._udp.carrier.example", "SRV"): servers}
    zone |= {(f"h{index}.example", "A"): (f"192.0.2.{index}",) for index in range(200)}
    outcome, questions = asked(zone)
    assert addresses(outcome) == [f"192.0.2.{index}:5060" for index in range(MOST_HOSTS)], "the first"
    assert outcome.remarks == (f"200 SRV records: the first {MOST_HOSTS} are used",)
    assert len(questions) == 2 + 2 * MOST_HOSTS


def test_a_host_with_very_many_addresses() -> None:
    zone: Zone = {("carrier.example", "A"): tuple([f"192.0.2.{index}" for index in range(250)])}
    assert len(searched(zone).targets) == MOST_ADDRESSES


def test_of_very_many_records_in_any_order_the_same_are_used() -> None:
    """Servers give them in another order each time; every other choice would be other peers of the trunk."""
    hosts = tuple(f"192.0.2.{number}" for number in range(100))
    records = tuple(Srv(1, 1, 5060, f"h{number}.example") for number in range(100))
    found = []
    for turned in (0, 50, 77):
        zone: Zone = {("_sip._udp.carrier.example", "SRV"): records[turned:] + records[:turned]}
        for record in records:
            zone[record.target, "A"] = hosts[turned:] + hosts[:turned]
        found.append(set(searched(zone).targets))
    assert found[0] == found[1] == found[2]


def test_two_servers_at_one_address_are_one() -> None:
    zone: Zone = {
        ("_sip._udp.carrier.example", "SRV"): (Srv(1, 1, 5060, "a.example"), Srv(2, 1, 5060, "b.example")),
        ("a.example", "A"): ("192.0.2.1",),
        ("b.example", "A"): ("192.0.2.1",),
    }
    assert searched(zone).targets == (Target("a.example", Address("192.0.2.1", 5060), 1, 1),)


def test_cnames_from_server_to_server() -> None:
    zone: Zone = {
        ("carrier.example", "A"): Answer((), 300.0, "b.example", 1),
        ("b.example", "A"): Answer((), 20.0, "c.example", 1),
        ("c.example", "A"): ("192.0.2.3",),
    }
    outcome = searched(zone)
    assert addresses(outcome) == ["192.0.2.3:5060"] and outcome.ttl == 20.0


def test_cnames_without_end_and_in_a_circle() -> None:
    endless: Zone = {("carrier.example", "A"): Answer((), 300.0, "c0.example", 1)}
    endless |= {
        (f"c{index}.example", "A"): Answer((), 300.0, f"c{index + 1}.example", 1) for index in range(99)
    }
    outcome, questions = asked(endless)
    assert outcome.failure == "carrier.example: over 8 CNAMEs behind one another"
    assert len(questions) < 16
    circle: Zone = {
        ("carrier.example", "A"): Answer((), 300.0, "b.example", 1),
        ("b.example", "A"): Answer((), 300.0, "carrier.example", 1),
    }
    assert "lead in a circle, to carrier.example" in searched(circle).failure


def test_srv_records_that_are_their_own_hosts() -> None:
    own = "_sip._udp.carrier.example"
    outcome, questions = asked({(own, "SRV"): (Srv(1, 1, 5060, own),)})
    assert outcome.targets == () and len(questions) == 4


def test_the_number_of_questions_is_bounded() -> None:
    servers = tuple([Srv(1, 1, 5060, f"h{index}.example") for index in range(MOST_HOSTS)])
    zone: Zone = {("_sip._udp.carrier.example", "SRV"): servers}
    for index in range(MOST_HOSTS):
        for kind in ("A", "AAAA"):
            zone[f"h{index}.example", kind] = Answer((), 300.0, f"x{index}-0.example", 1)
            zone |= {
                (f"x{index}-{step}.example", kind): Answer((), 300.0, f"x{index}-{step + 1}.example", 1)
                for step in range(7)
            }
    outcome, questions = asked(zone)
    assert len(questions) <= MOST_QUESTIONS
    assert outcome.targets == () and outcome.failure
