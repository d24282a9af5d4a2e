"""Session timers as RFC 4028 has them: who may ask for what, and who refreshes (table 2)."""

from __future__ import annotations

import pytest

from sbc.base import PeerError
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response
from sbc.sip.session_timer import (
    Terms,
    add_option,
    as_uac,
    as_uas,
    ask,
    grant,
    min_se,
    session_expires,
    supports,
    too_small,
)

KNOWS = ("Supported", "timer")


def request(*fields: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:x@example.net", Headers(fields))


def accepted(*fields: tuple[str, str]) -> Response:
    return Response(200, "OK", Headers(fields))


def shown(terms: Terms | None) -> tuple[int, bool, bool] | None:
    return None if terms is None else (terms.interval, terms.ours, terms.known)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("1800", (1800, "")),
        ("1800;refresher=uac", (1800, "uac")),
        ("1800 ; Refresher = UAS", (1800, "uas")),
        ("90;x=y;refresher=uas", (90, "uas")),
        ("90;refresher=nobody", (90, "")),
    ],
)
def test_session_expires_is_read(value: str, read: tuple[int, str]) -> None:
    assert session_expires(request(("Session-Expires", value))) == read
    assert session_expires(request(("x", value))) == read, "the compact form"


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "90s", "99999999999"])
def test_what_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(PeerError):
        session_expires(request(("Session-Expires", value)))
    with pytest.raises(PeerError):
        min_se(request(("Min-SE", value)))


def test_no_session_is_shorter_than_ninety_seconds() -> None:
    """RFC 4028 5: 90 is what Min-SE says where it is not there."""
    assert [min_se(request()), min_se(request(("Min-SE", "5"))), min_se(request(("Min-SE", "300;x=y")))] == [
        90, 90, 300,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "known", "answered"),
    [  # table 2: the refresher of the request, whether the UAC knows the extension, who refreshes
        ("1800", False, (1800, True, False)),
        ("1800;refresher=uas", False, (1800, True, False)),
        ("1800;refresher=uac", False, (1800, True, False)),
        ("1800", True, (1800, True, True)),
        ("1800;refresher=uas", True, (1800, True, True)),
        ("1800;refresher=uac", True, (1800, False, True)),
    ],
)
def test_who_refreshes_what_we_accept(asked: str, known: bool, answered: tuple[int, bool, bool]) -> None:
    fields = [("Session-Expires", asked)] + [KNOWS] * known
    assert shown(as_uas(request(*fields), 0, None)) == answered


@pytest.mark.parametrize(
    ("asked", "least", "wanted", "interval"),
    [
        ("3600", None, 1800, 1800),
        ("3600", "2400", 1800, 2400),
        ("600", None, 1800, 600),
        ("3600", None, 0, 3600),
    ],
)
def test_an_interval_may_be_lowered_but_not_under_min_se(
    asked: str, least: str | None, wanted: int, interval: int
) -> None:
    fields = [("Session-Expires", asked), KNOWS] + ([("Min-SE", least)] if least else [])
    terms = as_uas(request(*fields), wanted, None)
    assert terms is not None and terms.interval == interval


def test_without_session_expires_our_own_wish_counts_or_what_held_before() -> None:
    assert as_uas(request(KNOWS), 0, None) is None
    assert shown(as_uas(request(KNOWS), 1800, None)) == (1800, True, True)
    assert shown(as_uas(request(), 1800, None)) == (1800, True, False)
    assert shown(as_uas(request(KNOWS), 0, Terms(600, False, True))) == (600, True, True)
    assert shown(as_uas(request(KNOWS, ("Min-SE", "2000")), 1800, None)) == (2000, True, True)


def test_a_proxy_s_short_interval_for_a_caller_without_timers_is_not_kept() -> None:
    """It cannot be told so with 422, which it would not know (RFC 4028 9)."""
    short = request(("Session-Expires", "2"))
    assert not too_small(short, 90)
    assert as_uas(short, 0, None) is None


@pytest.mark.parametrize(
    ("asked", "least", "refused"),
    [("89", 90, True), ("90", 90, False), ("200", 300, True), ("300", 300, False)],
)
def test_what_is_too_short_is_refused(asked: str, least: int, refused: bool) -> None:
    assert too_small(request(("Session-Expires", asked), KNOWS), least) is refused


@pytest.mark.parametrize(
    ("asked", "fields", "terms"),
    [
        ("1800", [("Session-Expires", "1800;refresher=uac")], (1800, True, True)),
        ("1800", [("Session-Expires", "900;refresher=uas")], (900, False, True)),
        ("1800", [("Session-Expires", "900")], (900, True, True)),
        ("1800", [], (1800, True, False)),
        ("1800", [("Session-Expires", "soon")], (1800, True, False)),
        (None, [("Session-Expires", "600;refresher=uas")], (600, False, True)),
        (None, [("Session-Expires", "1;refresher=uac")], (90, True, True)),
        (None, [], None),
    ],
)
def test_who_refreshes_what_the_peer_accepts(
    asked: str | None, fields: list[tuple[str, str]], terms: tuple[int, bool, bool] | None
) -> None:
    ours = request(*([("Session-Expires", asked)] if asked else []))
    assert shown(as_uac(ours, accepted(*fields))) == terms


def test_what_is_asked_keeps_the_roles() -> None:
    """RFC 4028 7.4: a refresh says who refreshes now; the first request leaves that to the peer."""
    for former, said in (
        (None, "1800"),
        (Terms(1800, True, True), "1800;refresher=uac"),
        (Terms(1800, False, True), "1800;refresher=uas"),
    ):
        headers = Headers([("Supported", "100rel")])
        ask(headers, 1800, 90, former)
        assert headers.get("Session-Expires") == said
        assert headers.get("Supported") == "100rel, timer"
        assert "Min-SE" not in headers
    headers = Headers()
    ask(headers, 1800, 2400, None)
    assert (headers.get("Session-Expires"), headers.get("Min-SE")) == ("2400", "2400")
    headers = Headers()
    ask(headers, 0, 90, None)
    assert headers.fields == [("Supported", "timer")]


def test_what_is_granted_requires_the_extension_of_whoever_knows_it() -> None:
    headers = Headers()
    grant(headers, Terms(600, False, True))
    assert headers.fields == [
        ("Supported", "timer"), ("Session-Expires", "600;refresher=uac"), ("Require", "timer"),
    ]  # fmt: skip
    headers = Headers()
    grant(headers, Terms(600, True, False))
    assert headers.fields == [("Supported", "timer"), ("Session-Expires", "600;refresher=uas")]
    assert supports(accepted(*headers.fields))
    add_option(headers, "Require")
    assert headers.get("Require") == "timer"


@pytest.mark.parametrize(("interval", "expires"), [(90, 60.0), (96, 64.0), (1800, 1768.0)])
def test_who_waits_for_a_refresh_hangs_up_a_little_early(interval: int, expires: float) -> None:
    """RFC 4028 10: by 32 seconds, or a third of the interval where that is less."""
    assert Terms(interval, False, True).expires_after == expires
    assert Terms(interval, True, True).expires_after == interval
    assert Terms(interval, True, True).refresh_after == interval / 2
