"""What is asked of a service: answers that are kept and shared, and a service that is left alone."""

from __future__ import annotations

import pytest

from dsl.services import Answer
from sbc.policy.inquiries import (
    ANSWERED,
    BROKEN_OFF,
    BUSY,
    KEPT,
    MOST_KEPT,
    NO_ANSWER,
    OPEN,
    SERVER_ERROR,
    SHARED,
    TIMEOUT,
    UNREACHABLE,
    Inquiries,
    Inquiry,
)

GOOD = Answer({"number": "+1"})
BETTER = Answer({"number": "+2"})


def inquiries(keep: float = 60.0, most: int = 3, failures: int = 2, pause: float = 5.0) -> Inquiries:
    return Inquiries(keep, most, failures, pause)


def fails(service: Inquiries, at: float, ending: str = TIMEOUT, question: bytes = b"x") -> Inquiry:
    inquiry = service.ask(question, "t", at)
    assert not inquiry.over
    service.end(inquiry, None, ending, at)
    return inquiry


def test_an_answer_is_used_again_until_its_time_is_over() -> None:
    service = inquiries()
    first = service.ask(b"a", "t", 100.0)
    assert not first.over
    service.end(first, GOOD, ANSWERED, 100.1)
    again = service.ask(b"a", "t", 160.0)
    assert (again.over, again.answer, again.ending) == (True, GOOD, KEPT)
    assert not service.ask(b"a", "t", 160.1).over
    assert not service.ask(b"b", "t", 101.0).over


def test_nothing_is_kept_where_the_operator_keeps_nothing() -> None:
    service = inquiries(keep=0.0)
    service.end(service.ask(b"a", "t", 1.0), GOOD, ANSWERED, 1.0)
    assert not service.ask(b"a", "t", 1.0).over and service.kept == 0


def test_a_failure_is_not_kept() -> None:
    service = inquiries()
    fails(service, 1.0, NO_ANSWER, b"a")
    assert not service.ask(b"a", "t", 1.0).over


def test_what_is_kept_has_an_end() -> None:
    service = inquiries()
    for at in range(MOST_KEPT + 5):
        service.end(service.ask(b"%d" % at, "t", 1.0), GOOD, ANSWERED, 1.0)
    assert service.kept == MOST_KEPT
    assert not service.ask(b"4", "t", 1.0).over
    assert service.ask(b"5", "t", 1.0).over


def test_an_answer_that_is_renewed_is_the_newest() -> None:
    service = inquiries(keep=1.0)
    service.end(service.ask(b"a", "t", 1.0), GOOD, ANSWERED, 1.0)
    service.end(service.ask(b"a", "t", 3.0), BETTER, ANSWERED, 3.0)
    assert service.ask(b"a", "t", 3.5).answer is BETTER and service.kept == 1


def test_equal_questions_at_one_time_share_one_answer() -> None:
    service = inquiries(most=1)
    first, second = service.ask(b"a", "t", 1.0), service.ask(b"a", "t", 1.0)
    assert first is second and service.under_way == 1
    service.end(first, GOOD, ANSWERED, 1.1)
    assert second.over and second.answer is GOOD
    assert service.counts[ANSWERED] == 1 and service.counts[SHARED] == 1


def test_over_what_may_be_under_way_nothing_is_asked() -> None:
    service = inquiries(most=2)
    first = service.ask(b"a", "t", 1.0)
    service.ask(b"b", "t", 1.0)
    refused = service.ask(b"c", "u", 1.0)
    assert (refused.over, refused.answer, refused.ending) == (True, None, BUSY)
    assert service.ask(b"a", "t", 1.0) is first
    service.end(first, GOOD, ANSWERED, 1.0)
    assert not service.ask(b"c", "t", 1.0).over


def test_no_trunk_has_more_than_are_left_to_all_others() -> None:
    service = inquiries(most=10)
    greedy = [service.ask(b"%d" % at, "greedy", 1.0) for at in range(10)]
    assert [each.ending for each in greedy] == [""] * 6 + [BUSY] * 4
    others = [service.ask(b"o%d" % at, f"t{at}", 1.0) for at in range(4)]
    assert not any(each.over for each in others)
    for each in (*greedy[:6], *others):
        service.end(each, GOOD, ANSWERED, 1.0)
    assert not service.ask(b"x", "greedy", 1.0).over


def test_those_who_shared_a_question_without_an_answer_are_counted_as_it() -> None:
    service = inquiries()
    first = service.ask(b"a", "t", 1.0)
    assert service.ask(b"a", "u", 1.0) is first and service.ask(b"a", "v", 1.0) is first
    service.end(first, None, TIMEOUT, 1.0)
    assert service.counts[TIMEOUT] == 3 and service.counts[SHARED] == 0


@pytest.mark.parametrize("ending", [TIMEOUT, UNREACHABLE, BROKEN_OFF, SERVER_ERROR])
def test_a_service_that_fails_in_a_row_is_left_alone_and_then_asked_once(ending: str) -> None:
    service = inquiries()
    fails(service, 1.0, ending)
    assert service.state(1.0) == "closed"
    fails(service, 2.0, ending)
    assert service.state(2.0) == "open" and service.retry_in(3.0) == 4.0
    assert service.ask(b"x", "t", 6.9).ending == OPEN
    probe = service.ask(b"x", "t", 7.0)
    assert not probe.over and service.state(7.0) == "probing"
    assert service.ask(b"y", "t", 7.0).ending == OPEN, "one question goes first"
    assert service.ask(b"x", "t", 7.0) is probe, "its twin waits with it"
    service.end(probe, GOOD, ANSWERED, 7.1)
    assert service.state(7.1) == "closed"
    assert not service.ask(b"y", "t", 7.1).over


def test_a_probe_that_fails_opens_again_for_the_whole_pause() -> None:
    service = inquiries()
    fails(service, 1.0)
    fails(service, 1.0)
    fails(service, 6.0)
    assert service.ask(b"y", "t", 10.9).ending == OPEN
    assert not service.ask(b"y", "t", 11.0).over


def test_kept_answers_are_used_while_the_service_is_left_alone() -> None:
    service = inquiries()
    service.end(service.ask(b"a", "t", 1.0), GOOD, ANSWERED, 1.0)
    fails(service, 2.0)
    fails(service, 2.0)
    assert service.ask(b"a", "t", 3.0).answer is GOOD
    assert service.ask(b"b", "t", 3.0).ending == OPEN


def test_an_answer_between_begins_the_row_anew() -> None:
    service = inquiries()
    fails(service, 1.0)
    service.end(service.ask(b"a", "t", 2.0), GOOD, ANSWERED, 2.0)
    fails(service, 3.0)
    assert service.state(3.0) == "closed"


def test_what_is_no_answer_says_that_the_service_is_well() -> None:
    service = inquiries()
    for _ in range(10):
        fails(service, 1.0, NO_ANSWER)
    assert service.state(1.0) == "closed"
    fails(service, 1.0)
    fails(service, 1.0)
    fails(service, 6.0, NO_ANSWER)
    assert service.state(6.0) == "closed", "a probe that gets any answer closes it"


def test_what_was_asked_before_neither_closes_nor_prolongs_the_pause() -> None:
    service = inquiries(most=9)
    early, late = service.ask(b"early", "t", 1.0), service.ask(b"late", "t", 1.0)
    fails(service, 1.0)
    fails(service, 1.0)
    assert service.end(early, GOOD, ANSWERED, 2.0) is None
    assert service.end(late, None, TIMEOUT, 3.0) is None
    assert service.retry_in(3.0) == 3.0 and service.state(3.0) == "open"
    assert service.ask(b"early", "t", 3.0).answer is GOOD


def test_who_ends_a_question_hears_of_the_breaker() -> None:
    service = inquiries()
    assert service.end(service.ask(b"a", "t", 1.0), None, TIMEOUT, 1.0) is None
    assert service.end(service.ask(b"a", "t", 1.0), None, TIMEOUT, 1.0) == "open"
    assert service.end(service.ask(b"a", "t", 6.0), None, TIMEOUT, 6.0) is None
    assert service.end(service.ask(b"a", "t", 11.0), GOOD, ANSWERED, 11.0) == "closed"


def test_everything_is_counted_once() -> None:
    service = inquiries(most=1)
    first = service.ask(b"a", "t", 1.0)
    service.ask(b"b", "t", 1.0)
    service.end(first, GOOD, ANSWERED, 1.0)
    service.ask(b"a", "t", 1.0)
    fails(service, 1.0)
    fails(service, 1.0, UNREACHABLE)
    service.ask(b"z", "t", 1.0)
    told = {name: count for name, count in service.counts.items() if count}
    assert told == {ANSWERED: 1, BUSY: 1, KEPT: 1, TIMEOUT: 1, UNREACHABLE: 1, OPEN: 1}
