"""A MESSAGE to `route registered`: all phones that a user prefers alike get it, the first 2xx answers it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.sip.message import Request
from tests.playbook.phones import Phone, configured
from tests.playbook.phones import stage as registering
from tests.playbook.ringing import Phones, with_phones
from tests.playbook.stage import Peer

TEXT = "Is it raining? Ja, übermorgen.".encode()
THEN = "route registered"


def pages(then: str = THEN, method: str = "MESSAGE", **options: Any) -> Phones:
    """A stage on which the office may send texts to bob."""
    made = with_phones(then, **{"methods": ["MESSAGE", "NOTIFY"], **options})
    lines = "\n".join(f"      {line}" for line in then.splitlines())
    rules = (
        f'rules:\n  - name: texts\n    when: method == "{method}" and trunk in ["office", "phones"]\n'
        f"    then: |\n{lines}\n"
    )
    said = configured(rules=rules)
    office = made.trunks["office"].model_copy(update={"methods": ("MESSAGE", "NOTIFY")})
    carrier = made.trunks["carrier"].model_copy(update={"methods": ("MESSAGE", "NOTIFY")})
    trunks = {**made.trunks, "office": office, "carrier": carrier}
    return Phones(replace(made, trunks=trunks, rules=said.rules))


def says(there: Phones, peer: str = "office", user: str = "bob", **headers: str) -> None:
    given = {"Contact": "", "Content_Type": "text/plain;charset=utf-8", **headers}
    there.peers[peer].request("MESSAGE", f"sip:{user}@sbc.example", TEXT, **given)


def gets(there: Phones, *names: str) -> list[Request]:
    """The phones that a copy came to."""
    return [there.peers[name].hears_request("MESSAGE") for name in names]


def nothing_left(there: Phones) -> None:
    there.ends()
    assert not there.engine._connecting


def noted(there: Phones) -> dict[str, Any]:
    (note,) = there.noted("message")
    return dict(note.fields)


def test_all_phones_get_it_and_the_first_that_takes_it_answers() -> None:
    there = pages()
    for name in ("desk", "soft"):
        there.phone(name)
    says(there)
    desk, soft = gets(there, "desk", "soft")
    assert desk.body == soft.body == TEXT and desk.call_id != soft.call_id
    for each in (desk, soft):
        assert each.uri.startswith("sip:bob@192.168.1.") and "Contact" not in each.headers
        assert "office.example" not in str(each.headers.fields) and each.max_forwards == 69
    there.peers["soft"].respond(soft, 200)
    there.office.hears(200)
    there.peers["desk"].hears_nothing()  # what is no INVITE cannot be cancelled
    there.peers["desk"].respond(desk, 200)
    there.office.hears_nothing()
    assert (noted(there)["to_trunk"], noted(there)["status"]) == ("registered", 200)
    nothing_left(there)


def test_one_that_refuses_is_not_heard_where_another_takes_it() -> None:
    there = pages()
    for name in ("desk", "soft"):
        there.phone(name)
    says(there)
    desk, soft = gets(there, "desk", "soft")
    there.peers["desk"].respond(desk, 405)
    there.office.hears_nothing()
    there.peers["soft"].respond(soft, 202)
    there.office.hears(202)
    nothing_left(there)


@pytest.mark.parametrize(
    ("statuses", "expected"), [((486, 480), 480), ((503, 486), 486), ((503, 503), 500), ((603, 415), 603)]
)
def test_where_all_refuse_the_sender_hears_the_best_of_it(statuses: tuple[int, int], expected: int) -> None:
    there = pages()
    for name in ("desk", "soft"):
        there.phone(name)
    says(there)
    for name, request, status in zip(("desk", "soft"), gets(there, "desk", "soft"), statuses, strict=True):
        there.office.hears_nothing()
        there.peers[name].respond(request, status)
    there.office.hears(expected)
    nothing_left(there)


def test_those_of_a_lower_q_get_it_where_all_before_have_refused() -> None:
    there = pages()
    there.phone("desk", 1.0)
    there.phone("soft", 0.5)
    says(there)
    (desk,) = gets(there, "desk")
    there.peers["soft"].hears_nothing()
    there.peers["desk"].respond(desk, 486)
    (soft,) = gets(there, "soft")
    there.peers["soft"].respond(soft, 200)
    there.office.hears(200)
    nothing_left(there)


def test_after_a_6xx_nobody_else_is_asked() -> None:
    there = pages()
    there.phone("desk", 1.0)
    there.phone("soft", 0.5)
    says(there)
    (desk,) = gets(there, "desk")
    there.peers["desk"].respond(desk, 603)
    there.office.hears(603)
    there.peers["soft"].hears_nothing()


def test_one_by_one_the_newest_gets_it_first_and_alone() -> None:
    there = pages("route registered one by one")
    for name in ("desk", "soft"):
        there.phone(name)
    says(there)
    (soft,) = gets(there, "soft")
    there.peers["desk"].hears_nothing()
    there.peers["soft"].respond(soft, 480)
    (desk,) = gets(there, "desk")
    there.peers["desk"].respond(desk, 200)
    there.office.hears(200)


def test_a_phone_of_several_connections_gets_one_copy_and_by_another_where_one_is_lost() -> None:
    there = pages()
    there.phone("desk", reg_id=1, instance="<urn:uuid:1>")
    there.phone("again", reg_id=2, instance="<urn:uuid:1>")
    says(there)
    (first,) = gets(there, "again")
    there.peers["desk"].hears_nothing()
    there.peers["again"].respond(first, 430)
    gets(there, "desk")
    there.office.hears_nothing()
    there.closes(there.peers["desk"])
    assert there.office.hears_response(480)
    nothing_left(there)


def test_who_is_not_registered_and_whom_nobody_knows() -> None:
    there = pages()
    says(there)
    there.office.hears(480)
    says(there, user="nobody")
    there.office.hears(404)
    notes = [each.fields["reason"] for each in there.noted("message")]
    assert notes == ["the user is not registered", "there is no such user"]


def test_a_hop_behind_the_phones_is_for_404_and_480() -> None:
    there = pages('route registered then "carrier"')
    says(there)
    kept = there.carrier.hears_request("MESSAGE")
    there.carrier.respond(kept, 202)
    there.office.hears(202)
    there.phone("desk")
    says(there)
    (desk,) = gets(there, "desk")
    there.peers["desk"].respond(desk, 480)
    there.carrier.respond(there.carrier.hears_request("MESSAGE"), 200)
    there.office.hears(200)
    nothing_left(there)


def test_phones_whose_trunk_does_not_list_it_are_sent_none() -> None:
    there = pages(methods=["NOTIFY"])
    there.phone("desk")
    says(there)
    there.office.hears(405)
    there.peers["desk"].hears_nothing()
    assert noted(there)["reason"] == "methods of phones have no MESSAGE"


def test_a_phone_that_is_silent_is_all_that_the_sender_waits_for() -> None:
    there = pages()
    there.phone("desk", 1.0)
    there.phone("soft", 0.5)
    says(there)
    gets(there, "desk")
    there.wait(33)
    there.office.hears(504)
    there.peers["soft"].hears_nothing()
    nothing_left(there)


def test_a_sender_who_is_gone_does_not_take_it_from_the_phones() -> None:
    there = pages()
    for name in ("desk", "soft"):
        there.phone(name)
    says(there)
    desk, soft = gets(there, "desk", "soft")
    there.closes(there.office)
    there.peers["desk"].respond(desk, 486)
    there.peers["soft"].respond(soft, 486)
    nothing_left(there)


def test_a_lamp_is_lit_on_all_phones() -> None:
    there = pages(method="NOTIFY")
    for name in ("desk", "soft"):
        there.phone(name)
    headers = {
        "Event": "message-summary", "Subscription_State": "active",
        "Content_Type": "application/simple-message-summary",
    }  # fmt: skip
    there.office.request("NOTIFY", "sip:bob@sbc.example", b"Messages-Waiting: yes\r\n", **headers)
    for name in ("desk", "soft"):
        request = there.peers[name].hears_request("NOTIFY")
        assert request.headers.get("Event") == "message-summary" and request.contact is not None
        there.peers[name].respond(request, 200)
    there.office.hears(200)
    nothing_left(there)


def test_who_writes_to_its_own_number_means_its_other_phones() -> None:
    made = pages().engine.store.current
    there = registering()
    there.engine.store.current = made
    one, other = Phone(there, "bob", name="one"), Phone(there, "bob", name="other")
    for number, each in enumerate((one, other)):
        each.registers(Contact=f"<sip:bob@10.0.0.{number}:5060;transport=tls>")
    headers = one.headers(Contact="", Content_Type="text/plain", Call_ID="text-1")
    one.peer.request("MESSAGE", "sip:bob@example.com", TEXT, **headers)
    copy: Request = other.peer.hears_request("MESSAGE")
    assert copy.body == TEXT
    other.peer.respond(copy, 200)
    one.peer.hears(200)


def test_it_goes_by_the_path_and_the_address_that_the_phone_registered_from() -> None:
    there = pages()
    peer: Peer = there.phone("desk", path=("<sip:edge.example;lr>",))
    says(there)
    (request,) = gets(there, "desk")
    assert request.headers.values("Route") == ["<sip:edge.example;lr>"]
    assert "192.168.1." in request.uri and peer.flow.remote.host.startswith("203.0.113.")
