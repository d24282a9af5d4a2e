"""REGISTER by the book: RFC 3261 10.3 steps 6 to 8, RFC 3327, RFC 5626 6."""

from __future__ import annotations

import pytest

from sbc.base import Address
from sbc.flow import Flow, Transport
from sbc.registrar.binding import Binding
from sbc.registrar.equal import same_contact
from sbc.registrar.register import Change, Refused, Terms, register
from sbc.sip.grammar import ParseError
from sbc.sip.message import Request
from sbc.sip.parse import parse_message
from sbc.sip.uri import parse_uri

NOW = 1_795_000_000.0
TERMS = Terms(least=60, most=7200, default=1800, contacts=3)
OURS = "<sip:alice@192.0.2.7:5060>"
PHONE = 'Contact: <sip:alice@192.0.2.7;transport=tls;ob>;+sip.instance="<urn:uuid:1>";reg-id='


def flow(transport: Transport = "tls") -> Flow:
    return Flow(1, transport, Address("198.51.100.1", 5061), Address("192.0.2.7", 40000), trunk="phones")


def asked(*lines: str, call_id: str = "one", cseq: int = 1) -> Request:
    head = [
        "REGISTER sip:example.com SIP/2.0", "Via: SIP/2.0/TLS 192.0.2.7;branch=z9hG4bK1",
        "From: <sip:alice@example.com>;tag=a", "To: <sip:alice@example.com>", f"Call-ID: {call_id}",
        f"CSeq: {cseq} REGISTER", *lines,
    ]  # fmt: skip
    message = parse_message(("\r\n".join(head) + "\r\n\r\n").encode())
    assert isinstance(message, Request)
    return message


def change(request: Request, known: list[Binding] | None = None, path: Flow | None = None) -> Change:
    return register(request, "alice", known or [], path or flow(), TERMS, NOW)


def refused(request: Request, known: list[Binding] | None = None, path: Flow | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        change(request, known, path)
    return caught.value


def contacts(found: Change) -> list[str]:
    return [str(each.contact) for each in found.bindings]


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ((f"Contact: {OURS}",), 1800),
        ((f"Contact: {OURS}", "Expires: 600"), 600),
        ((f"Contact: {OURS};expires=300", "Expires: 600"), 300),
        ((f"Contact: {OURS};expires=99999",), 7200),
        ((f"Contact: {OURS};expires=soon", "Expires: 600"), 3600),
        ((f"Contact: {OURS}", "Expires: soon"), 1800),
    ],
)
def test_how_long_a_binding_is_for(lines: tuple[str, ...], seconds: int) -> None:
    found = change(asked(*lines))
    assert [each.expires_at - NOW for each in found.bindings] == [seconds]
    assert ("Contact", f"<sip:alice@192.0.2.7:5060>;expires={seconds}") in found.headers
    assert "Date" in dict(found.headers)


def test_too_brief_is_refused_with_the_least() -> None:
    why = refused(asked(f"Contact: {OURS};expires=59"))
    assert (why.status, why.headers) == (423, (("Min-Expires", "60"),))


def test_a_register_without_contact_asks_what_there_is() -> None:
    first = change(asked(f"Contact: {OURS};q=0.5"))
    found = change(asked(call_id="another"), first.bindings)
    assert not found.changed
    assert ("Contact", "<sip:alice@192.0.2.7:5060>;expires=1800;q=0.5") in found.headers


def test_a_refresh_takes_the_place_of_what_was_there() -> None:
    first = change(asked(f"Contact: {OURS}"))
    found = change(asked("Contact: <sip:alice@192.0.2.7:5060;x=1>;expires=60", cseq=2), first.bindings)
    assert [each.expires_at - NOW for each in found.bindings] == [60]
    assert found.added == [] and found.removed == []


@pytest.mark.parametrize("cseq", [4, 5])
def test_what_comes_late_changes_nothing(cseq: int) -> None:
    known = change(asked(f"Contact: {OURS}", cseq=5)).bindings
    assert refused(asked(f"Contact: {OURS}", cseq=cseq), known).status == 500
    assert refused(asked(f"Contact: {OURS};expires=0", cseq=cseq), known).status == 500
    assert refused(asked("Contact: *", "Expires: 0", cseq=cseq), known).status == 500
    # A phone that was started anew has another Call-ID, and any CSeq will do.
    assert contacts(change(asked(f"Contact: {OURS};expires=0", call_id="new", cseq=1), known)) == []


def test_a_long_call_id_is_told_apart_and_not_kept() -> None:
    """What is kept for a user is bounded, and the order of its requests holds all the same (10.3 step 7)."""
    long, other = "a" * 2000 + "@one", "a" * 2000 + "@two"
    known = change(asked(f"Contact: {OURS}", call_id=long, cseq=5)).bindings
    assert len(known[0].call_id) <= 255
    assert refused(asked(f"Contact: {OURS}", call_id=long, cseq=5), known).status == 500
    assert change(asked(f"Contact: {OURS}", call_id=other, cseq=5), known).changed


def test_either_all_of_it_holds_or_nothing() -> None:
    known = change(asked(f"Contact: {OURS}", cseq=5)).bindings
    both = f"Contact: <sip:alice@192.0.2.8>, {OURS};expires=30"
    assert refused(asked(both, cseq=6), known).status == 423
    assert [str(each.contact) for each in known] == ["sip:alice@192.0.2.7:5060"]


def test_one_contact_is_taken_back_and_others_stay() -> None:
    known = change(asked(f"Contact: {OURS}, <sip:alice@192.0.2.8>")).bindings
    found = change(asked(f"Contact: {OURS};expires=0", cseq=2), known)
    assert contacts(found) == ["sip:alice@192.0.2.8"]
    assert [str(each.contact) for each in found.removed] == ["sip:alice@192.0.2.7:5060"]


@pytest.mark.parametrize(
    "lines",
    [("Contact: *",), ("Contact: *", "Expires: 1"), (f"Contact: *, {OURS}", "Expires: 0")],
)
def test_a_star_stands_alone_and_with_expires_0(lines: tuple[str, ...]) -> None:
    known = change(asked(f"Contact: {OURS}")).bindings
    assert refused(asked(*lines, cseq=2), known).status == 400


def test_a_star_takes_back_everything() -> None:
    known = change(asked(f"Contact: {OURS}, <sip:alice@192.0.2.8>")).bindings
    found = change(asked("Contact: *", "Expires: 0", cseq=2), known)
    assert found.bindings == [] and found.removed == known and found.changed


def test_no_more_contacts_than_allowed() -> None:
    four = ", ".join([f"<sip:alice@192.0.2.{each}>" for each in range(1, 5)])
    assert refused(asked(f"Contact: {four}")).status == 403
    three = change(asked("Contact: " + four.rpartition(",")[0]), path=flow("udp")).bindings
    assert refused(asked("Contact: <sip:alice@192.0.2.9>", call_id="b"), three).status == 403
    # Taking back and asking what there is need no room.
    assert len(change(asked("Contact: <sip:alice@192.0.2.1>;expires=0", cseq=2), three).bindings) == 2
    assert len(change(asked(call_id="b"), three).bindings) == 3


def test_a_contact_that_nobody_can_be_reached_at_makes_room() -> None:
    known = [
        change(asked(f"Contact: <sip:alice@192.0.2.{each}>", call_id=str(each))).bindings[0]
        for each in range(1, 4)
    ]
    known[1].flow = None
    found = change(asked("Contact: <sip:alice@192.0.2.9>", call_id="b"), known)
    assert contacts(found) == ["sip:alice@192.0.2.1", "sip:alice@192.0.2.3", "sip:alice@192.0.2.9"]
    assert found.removed == [known[1]]


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_a_phone_that_comes_back_with_another_address_makes_room_for_itself(transport: Transport) -> None:
    """It is known by its instance (RFC 5626 4.1); else it would be locked out until one expires."""
    path = flow(transport)
    known: list[Binding] = []
    for port, phone in ((1, "softphone"), (2, "desk"), (3, "softphone")):
        line = f'Contact: <sip:alice@192.0.2.7:{port}>;+sip.instance="<urn:uuid:{phone}>"'
        known = change(asked(line, call_id=str(port)), known, path).bindings
    again = 'Contact: <sip:alice@192.0.2.7:4>;+sip.instance="<urn:uuid:softphone>"'
    found = change(asked(again, call_id="4"), known, path)
    assert [each.contact.port for each in found.bindings] == [2, 3, 4]
    assert [each.contact.port for each in found.removed] == [1]
    stranger = 'Contact: <sip:alice@192.0.2.7:5>;+sip.instance="<urn:uuid:another>"'
    assert refused(asked(stranger, call_id="5"), found.bindings, path).status == 403
    assert refused(asked("Contact: <sip:alice@192.0.2.7:5>", call_id="5"), found.bindings, path).status == 403


def test_a_phone_whose_contact_is_rewritten_each_time_does_not_lock_itself_out() -> None:
    """A router that knows of SIP writes another port each time; the Call-ID is that of one phone (10.2)."""
    path, other = (
        flow("udp"),
        change(asked("Contact: <sip:alice@192.0.2.8>", call_id="desk"), path=flow("udp")),
    )
    known = other.bindings
    for number in range(1, 9):
        line = f"Contact: <sip:alice@192.0.2.7:{number}>"
        known = change(asked(line, call_id="softphone", cseq=number), known, path).bindings
    assert [each.contact.port for each in known] == [None, 7, 8]
    assert refused(asked("Contact: <sip:alice@192.0.2.9>", call_id="third"), known, path).status == 403


def test_a_phone_that_numbers_its_flows_takes_none_of_its_own_to_have_one_more() -> None:
    known: list[Binding] = []
    for number in (1, 2, 3):
        line = f"{PHONE}{number}"
        known = change(asked("Supported: outbound", line, call_id=str(number)), known).bindings
    assert refused(asked("Supported: outbound", f"{PHONE}4", call_id="4"), known).status == 403


@pytest.mark.parametrize(
    ("contact", "transport"),
    [("<tel:+4930123>", "tls"), ("<sips:alice@192.0.2.7>", "udp"), (f"<sip:{'a' * 1001}@192.0.2.7>", "tls")],
)
def test_contacts_that_no_call_can_be_sent_to(contact: str, transport: Transport) -> None:
    assert refused(asked(f"Contact: {contact}"), path=flow(transport)).status == 403


@pytest.mark.parametrize("q", ["1.1", "2", "0.1234", "-1", "x", "1.001"])
def test_a_q_that_is_none_is_malformed(q: str) -> None:
    with pytest.raises(ParseError):
        change(asked(f"Contact: {OURS};q={q}"))


# RFC 5626


def test_an_instance_replaces_its_own_flow_whatever_its_address() -> None:
    first = change(asked("Supported: outbound, path", f"{PHONE}1"))
    headers = dict(first.headers)
    assert headers["Require"] == "outbound" and int(headers["Flow-Timer"]) > 0
    moved = PHONE.replace("192.0.2.7", "192.0.2.99")
    found = change(asked("Supported: outbound, path", f"{moved}1", call_id="restarted"), first.bindings)
    assert [each.contact.host for each in found.bindings] == ["192.0.2.99"]
    second = change(asked("Supported: outbound, path", f"{moved}2", call_id="b"), found.bindings)
    assert [each.reg_id for each in second.bindings] == [1, 2]


def test_over_udp_and_without_the_option_tag_a_reg_id_says_nothing() -> None:
    for found in (
        change(asked("Supported: outbound", f"{PHONE}1"), path=flow("udp")),
        change(asked(f"{PHONE}1")),
    ):
        assert [each.reg_id for each in found.bindings] == [0]
        assert "Require" not in dict(found.headers)


@pytest.mark.parametrize("instance", ["<urn:\xff>", "a" * 201, "x\\\\y"])
def test_an_instance_that_is_no_urn(instance: str) -> None:
    line = f'Contact: <sip:alice@192.0.2.7>;+sip.instance="{instance}";reg-id=1'
    assert refused(asked("Supported: outbound", line)).status == 400


def test_only_one_contact_beside_a_reg_id() -> None:
    assert refused(asked("Supported: outbound", f"{PHONE}1", f"Contact: {OURS}")).status == 400


def test_a_first_hop_that_does_not_know_outbound() -> None:
    proxied = ("Via: SIP/2.0/TLS 192.0.2.50;branch=z9hG4bKp", "Supported: outbound, path", f"{PHONE}1")
    assert refused(asked(*proxied)).status == 439
    assert refused(asked(*proxied, "Path: <sip:edge.example.com;lr>")).status == 439
    found = change(asked(*proxied, "Path: <sip:edge.example.com;lr;ob>"))
    assert found.bindings[0].reg_id == 1


def test_the_path_is_kept_and_told() -> None:
    found = change(asked(f"Contact: {OURS}", "Path: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>"))
    path = ("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>")
    assert found.bindings[0].path == path
    assert tuple(value for name, value in found.headers if name == "Path") == path
    assert refused(asked(f"Contact: {OURS}", f"Path: <sip:{'p' * 2000};lr>")).status == 403


# RFC 3261 19.1.4


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", True),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", True),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", True),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", False),
        ("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
         "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", True),
        ("sip:alice@atlanta.com?subject=project%20x&priority=urgent",
         "sip:alice@atlanta.com?priority=urgent&subject=project%20x", True),
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", False),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", False),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", False),
        ("sips:bob@biloxi.com", "sip:bob@biloxi.com", False),
    ],
)  # fmt: skip
def test_which_contacts_are_the_same(one: str, other: str, same: bool) -> None:
    assert same_contact(parse_uri(one), parse_uri(other)) is same
    assert same_contact(parse_uri(other), parse_uri(one)) is same
