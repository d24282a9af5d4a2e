"""DNS against chance: whatever comes, a search ends within its bounds, and shares come out by weight."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sbc.b2bua.located import Servers
from sbc.base import Address
from sbc.dns.lifetime import LAST_RETRY, LONGEST, SHORTEST, Known
from sbc.dns.message import Answer, Naptr, NotTheAnswer, Question, Srv, query, read
from sbc.dns.search import MOST_ADDRESSES, MOST_HOSTS, MOST_QUESTIONS, Outcome, Search, Target

NAMES = st.sampled_from(["a.example", "b.example", "c.example", "_sip._udp.a.example", ".", "", "192.0.2.7"])
SMALL = st.integers(0, 3)
RECORDS = st.one_of(
    st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
    st.builds(Srv, SMALL, SMALL, st.sampled_from([0, 5060, 5061]), NAMES),
    st.builds(Naptr, SMALL, SMALL, st.sampled_from(["s", "u", ""]), st.sampled_from(["sip+d2u", "x"]), NAMES),
)
ANSWERS = st.builds(
    Answer,
    st.lists(RECORDS, max_size=60).map(tuple),
    st.floats(0, 1e6),
    st.one_of(st.just(""), NAMES),
    st.integers(0, 9),
    st.sampled_from(["", "", "SERVFAIL"]),
)
TTLS = st.floats(0, 1e10)


@given(st.data(), st.sampled_from(["udp", "tcp", "tls"]))
def test_a_search_ends_whatever_is_answered(data: st.DataObject, transport: str) -> None:
    search, asked = Search("a.example", transport), 0  # type: ignore[arg-type]
    while search.outcome is None:
        assert search.wanted
        asked += len(search.wanted)
        search.answered({each: data.draw(ANSWERS) for each in search.wanted if data.draw(SMALL)})
    assert asked <= MOST_QUESTIONS
    targets = search.outcome.targets
    assert len(targets) <= MOST_HOSTS * MOST_ADDRESSES
    assert len({each.address for each in targets}) == len(targets)
    assert all(each.address.port and each.host not in ("", ".") for each in targets)


@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_random_octets_are_no_answer(data: bytes, number: int) -> None:
    try:
        found = read(Question("a.example", "SRV"), number, data)
    except NotTheAnswer:
        return
    assert found.failure, "by chance the right header: but no question that was asked"


@given(st.data())
def test_a_broken_answer_is_none_or_one_to_the_question(data: st.DataObject) -> None:
    question = Question("a.example", "SRV")
    packet = bytearray(query(question, 7))
    packet[2] |= 0x80
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(question, 7, bytes(packet))
    except NotTheAnswer:
        pass


@given(st.lists(st.tuples(TTLS, st.sampled_from(["", "SERVFAIL"]), st.floats(0, 1e4)), max_size=20))
def test_it_is_asked_neither_all_the_time_nor_never(learned: list[tuple[float, str, float]]) -> None:
    known, at = Known(), 0.0
    for ttl, failure, later in learned:
        at += later
        known.learn(Outcome((), ttl, failure), at)
        wait = known.due - at
        assert (0.99 <= wait <= LAST_RETRY + 0.01) if failure else (SHORTEST * 0.89 <= wait <= LONGEST)
        assert failure or known.due <= known.until


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=8))
def test_turns_share_by_weight_and_everybody_is_tried(records: list[tuple[int, int]]) -> None:
    targets = [
        Target(f"h{number}.example", Address(f"192.0.2.{number}", 5060), priority, weight)
        for number, (priority, weight) in enumerate(records)
    ]
    servers = Servers(tuple(targets))
    for rank in servers.ranks:
        total = sum(each.weight for each in rank)
        rounds = total or len(rank)
        orders = [servers.in_turn(rank) for _ in range(rounds)]
        assert all(set(order) == {each.address for each in rank} for order in orders)
        firsts = Counter(order[0] for order in orders)
        assert firsts == Counter(
            {each.address: each.weight if total else 1 for each in rank if each.weight or not total}
        )
