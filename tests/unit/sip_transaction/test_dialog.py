"""Dialogs: how they are made, what their requests look like, what moves them (RFC 3261 12)."""

from __future__ import annotations

import pytest

from sbc.base import PeerError
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response
from tests.unit.sip_transaction import wire

VIA = "SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKnew"
CONTACT = "<sip:sbc.example;transport=tls>"
RECORD_ROUTE = ("Record-Route", "<sip:p2.example;lr>, <sip:p1.example;lr>")
BOB = ("Contact", '"Bob" <sip:bob@198.51.100.7:5080>;expires=60')


def invite(number: int = 5, extra: str = "") -> Request:
    return wire.request("INVITE", number=number, extra=extra)


def answer(status: int = 200, *fields: tuple[str, str]) -> Response:
    return wire.response(invite(), status, "bob", fields)


def uac(*fields: tuple[str, str], status: int = 200) -> Dialog:
    return Dialog.as_uac(invite(), answer(status, BOB, *fields))


def bye(dialog: Dialog) -> Request:
    return dialog.request("BYE", via=VIA, contact="")


def test_the_uac_side_of_a_2xx() -> None:
    dialog = uac(RECORD_ROUTE)
    assert (dialog.call_id, dialog.local_tag, dialog.remote_tag) == ("call-1", "alice", "bob")
    assert (dialog.local_uri, dialog.remote_uri) == ("Alice <sip:alice@example.com>", "<sip:bob@example.net>")
    assert dialog.remote_target == "sip:bob@198.51.100.7:5080"
    assert dialog.route_set == ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    assert (dialog.local_cseq, dialog.remote_cseq, dialog.state, dialog.secure) == (
        5,
        None,
        "confirmed",
        False,
    )


def test_the_uas_side_of_an_invite() -> None:
    dialog = Dialog.as_uas(invite(9, "Record-Route: <sip:p2.example;lr>, <sip:p1.example;lr>\r\n"), "ours")
    assert (dialog.local_tag, dialog.remote_tag, dialog.state) == ("ours", "alice", "early")
    assert (dialog.local_uri, dialog.remote_uri) == ("<sip:bob@example.net>", "Alice <sip:alice@example.com>")
    assert dialog.remote_target == "sip:alice@192.0.2.9"
    assert dialog.route_set == ["<sip:p2.example;lr>", "<sip:p1.example;lr>"]
    assert (dialog.local_cseq, dialog.remote_cseq) == (0, 9)
    dialog.confirm()
    assert dialog.state == "confirmed"


def test_a_sips_request_makes_a_secure_dialog() -> None:
    request = invite()
    request.uri = "SIPS:bob@example.net"
    assert Dialog.as_uas(request, "ours").secure
    assert Dialog.as_uac(request, answer(200, BOB)).secure


def test_a_missing_contact() -> None:
    assert Dialog.as_uac(invite(), answer(180)).remote_target == invite().uri
    with pytest.raises(PeerError, match="no Contact") as caught:
        Dialog.as_uac(invite(), answer(200))
    assert caught.value.status == 502
    request = invite()
    request.headers.remove("Contact")
    with pytest.raises(PeerError, match="no Contact") as caught:
        Dialog.as_uas(request, "ours")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("<sip:a@b>;tag=1", "<sip:a@b>"),
        ("<sip:a@b;tag=no>;x=y;tag=1", "<sip:a@b;tag=no>;x=y"),
        ("<sip:a@b> ; TAG = 1 ;x=y", "<sip:a@b>;x=y"),
        ("sip:a@b;tag=1", "sip:a@b"),
        ('"A > ;tag=no" <sip:a@b>;tag=1', '"A > ;tag=no" <sip:a@b>'),
        ("<sip:a@b>;tagged=x;tag=1", "<sip:a@b>;tagged=x"),
        ('<sip:a@b>;x=";tag=no";tag=1', '<sip:a@b>;x=";tag=no"'),
        ("A B  <sip:a@b>;tag=1", "A B  <sip:a@b>"),
    ],
)
def test_from_is_kept_as_written_without_its_tag(value: str, kept: str) -> None:
    request = invite()
    request.headers.set("From", value)
    dialog = Dialog.as_uas(request, "ours")
    assert dialog.remote_uri == kept
    assert bye(dialog).to_tag == dialog.remote_tag == "1"


def test_a_peer_without_a_tag_is_rfc2543() -> None:
    request = invite()
    request.headers.set("From", "<sip:a@b>")
    assert bye(Dialog.as_uas(request, "ours")).headers.get("To") == "<sip:a@b>"


# Requests within the dialog


def test_a_request_has_what_the_dialog_knows() -> None:
    request = uac(RECORD_ROUTE).request("INVITE", via=VIA, contact=CONTACT, max_forwards=69)
    assert request.uri == "sip:bob@198.51.100.7:5080"
    assert request.headers.fields == [
        ("Via", VIA),
        ("Max-Forwards", "69"),
        ("From", "Alice <sip:alice@example.com>;tag=alice"),
        ("To", "<sip:bob@example.net>;tag=bob"),
        ("Call-ID", "call-1"),
        ("CSeq", "6 INVITE"),
        ("Route", "<sip:p1.example;lr>"),
        ("Route", "<sip:p2.example;lr>"),
        ("Contact", CONTACT),
    ]


def test_numbers_rise_but_for_an_ack() -> None:
    dialog = uac()
    ack = dialog.request("ACK", via=VIA, contact="")
    numbers = [ack, bye(dialog), bye(dialog), dialog.request("ACK", via=VIA, contact="", cseq=5)]
    assert [each.cseq.number for each in numbers] == [5, 6, 7, 5]
    assert dialog.local_cseq == 7


def test_the_first_request_of_the_uas_has_number_one() -> None:
    assert bye(Dialog.as_uas(invite(), "ours")).cseq.number == 1


def test_a_strict_router_gets_the_request_uri() -> None:
    request = bye(uac(("Record-Route", "<sip:p2.example;lr>, <sip:strict.example;method=INVITE?x=y>")))
    assert request.uri == "sip:strict.example"
    assert request.headers.get_all("Route") == ["<sip:p2.example;lr>", "<sip:bob@198.51.100.7:5080>"]


def test_lr_may_have_a_value() -> None:
    assert bye(uac(("Record-Route", "<sip:p1.example;lr=on>"))).uri == "sip:bob@198.51.100.7:5080"


# What moves a dialog


def test_the_2xx_recomputes_what_an_early_dialog_knew() -> None:
    dialog = uac(("Record-Route", "<sip:early.example;lr>"), status=183)
    assert str(dialog.state) == "early"
    dialog.confirm(answer(200, ("Contact", "<sip:late@192.0.2.7>"), RECORD_ROUTE))
    assert dialog.state == "confirmed"
    assert dialog.route_set == ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    assert dialog.remote_target == "sip:late@192.0.2.7"


def test_the_route_set_of_a_confirmed_dialog_stays() -> None:
    dialog = uac(RECORD_ROUTE)
    dialog.confirm(answer(200, BOB, ("Record-Route", "<sip:evil.example;lr>")))
    assert dialog.route_set == ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]


def test_an_ended_dialog_is_not_confirmed_again() -> None:
    dialog = uac(status=180)
    dialog.end()
    dialog.confirm(answer(200, BOB))
    assert dialog.state == "ended"


@pytest.mark.parametrize(
    ("method", "moved"),
    [
        ("INVITE", True),
        ("UPDATE", True),
        ("SUBSCRIBE", True),
        ("NOTIFY", True),
        ("INFO", False),
        ("BYE", False),
    ],
)
def test_which_requests_and_their_2xx_move_the_target(method: str, moved: bool) -> None:
    request = wire.request(method, to_tag="alice")
    request.headers.set("Contact", "<sip:moved@192.0.2.7>")
    for message in (request, wire.response(request, 200, extra=(("Contact", "<sip:moved@192.0.2.7>"),))):
        dialog = uac()
        dialog.refresh(message)
        assert dialog.remote_target == ("sip:moved@192.0.2.7" if moved else "sip:bob@198.51.100.7:5080")


@pytest.mark.parametrize("status", [183, 302, 488])
def test_no_other_response_moves_the_target(status: int) -> None:
    dialog = uac()
    dialog.refresh(answer(status, ("Contact", "<sip:evil@192.0.2.7>")))
    assert dialog.remote_target == "sip:bob@198.51.100.7:5080"


def test_a_refresh_without_a_contact_leaves_the_target() -> None:
    dialog = uac()
    dialog.refresh(answer(200))
    assert dialog.remote_target == "sip:bob@198.51.100.7:5080"


def test_numbers_of_the_peer_must_rise() -> None:
    dialog = Dialog.as_uas(invite(5), "ours")
    for number in (5, 4):
        with pytest.raises(PeerError, match="CSeq") as caught:
            dialog.check_cseq(wire.request("BYE", number=number))
        assert caught.value.status == 500
    dialog.check_cseq(wire.request("ACK", number=5))
    dialog.check_cseq(wire.request("INFO", number=9))
    assert dialog.remote_cseq == 9
    fresh = uac()
    fresh.check_cseq(wire.request("INFO", number=0))
    assert fresh.remote_cseq == 0


def test_matching_is_by_call_id_and_both_tags() -> None:
    dialog = Dialog.as_uas(invite(), "ours")
    assert dialog.matches(wire.request("BYE", to_tag="ours"))
    assert not dialog.matches(wire.request("BYE", to_tag="other"))
    assert not dialog.matches(wire.request("BYE"))
    sent = dialog.request("BYE", via=VIA, contact="")
    assert dialog.matches(wire.response(sent, 200))
    assert not dialog.matches(sent)
    dialog.call_id = "call-2"
    assert not dialog.matches(wire.request("BYE", to_tag="ours"))
