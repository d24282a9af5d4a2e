"""The demo's ladder and receipts: what they say, and that they say it when a promise is broken."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from sbc.demo import ladder, receipt
from sbc.demo.call import CallReport
from sbc.demo.link import Exchange
from sbc.demo.paint import Paint
from sbc.demo.process import words
from sbc.demo.receipt import Promise
from sbc.demo.tone import Heard
from sbc.demo.voice import VoiceReport
from sbc.flow import PeerIdentity, TlsFacts
from sbc.observe.trace.rung import describe
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response

INVITE = Request("INVITE", "sip:b@x", Headers(), b"m=audio 4000 RTP/SAVP 8\r\na=crypto:1 S inline:K\r\n")
PLAIN = Response(200, "OK", Headers(), b"m=audio 4000 RTP/AVP 8\r\n")
RINGING = Response(180, "Ringing", Headers())
BUSY = Response(486, "Busy Here", Headers())

PEER = PeerIdentity("CN=s", "CN=Lab CA", ("dns:sbc.lab.example",), "sha256/00", "00", 0.0, 1.0, True)
TLS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768", "", "", PEER)
VOICE = VoiceReport("AEAD_AES_128_GCM", "PCMA", 151, 150, 0, Counter(), Heard(660, 0.999))
GOOD = CallReport("office", "ended", 200, "OK", "us", TLS, VOICE)
PROMISE = Promise("sbc.lab.example", 660, 3.0)


def plain() -> Paint:
    paint = Paint(io.StringIO())
    paint.unicode = False
    return paint


def test_the_ladder_is_in_order_and_each_arrow_points_the_right_way() -> None:
    office = [Exchange(10.0, True, INVITE), Exchange(10.25, False, PLAIN)]
    carrier = [Exchange(10.125, False, INVITE), Exchange(10.2, True, RINGING)]
    lines = ladder.draw("office", "SBC", "carrier", ladder.rungs(office, carrier), plain())
    empty = " " * 26
    assert [line.split() for line in lines[:1]] == [["office", "SBC", "carrier"]]
    assert lines[1:] == [
        f"  0.000  |----- INVITE (SRTP) ----->|{empty}|",
        f"  0.125  |{empty}|----- INVITE (SRTP) ----->|",
        f"  0.200  |{empty}|<------ 180 Ringing ------|",
        f"  0.250  |<------ 200 OK (RTP) -----|{empty}|",
    ]


def test_a_ladder_without_messages_is_only_its_head() -> None:
    assert len(ladder.draw("office", "SBC", "carrier", [], plain())) == 1


@pytest.mark.parametrize(
    ("message", "text"),
    [(INVITE, "INVITE (SRTP)"), (PLAIN, "200 OK (RTP)"), (RINGING, "180 Ringing"), (BUSY, "486 Busy Here")],
)
def test_describe(message: Request | Response, text: str) -> None:
    assert describe(message) == text


def test_no_key_is_ever_drawn() -> None:
    drawn = "".join(ladder.draw("a", "b", "c", ladder.rungs([Exchange(0.0, True, INVITE)], []), plain()))
    assert "inline" not in drawn


def test_a_kept_promise_is_good_in_every_line() -> None:
    lines = receipt.receipt(GOOD, PROMISE)
    assert receipt.kept(lines)
    text = "\n".join(receipt.draw("The leg", lines, plain()))
    for phrase in (
        "TLSv1.3, TLS_AES_256_GCM_SHA384", "post-quantum", "sbc.lab.example, issued by Lab CA",
        "SRTP AEAD_AES_128_GCM", "151 sent, 150 received, 0 lost", "660 Hz", "ended by this side",
    ):  # fmt: skip
        assert phrase in text


def broken(**changes: Any) -> list[str]:
    report = replace(GOOD, **changes)
    return [line.label for line in receipt.receipt(report, PROMISE) if not line.good]


def voice(**changes: Any) -> VoiceReport:
    return replace(VOICE, **changes)


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"tls": replace(TLS, version="TLSv1.1")}, "TLS"),
        ({"tls": replace(TLS, group="")}, "key exchange"),
        ({"tls": replace(TLS, peer=replace(PEER, sans=("dns:evil.example",)))}, "the peer proved to be"),
        ({"tls": replace(TLS, peer=None)}, "the peer proved to be"),
        ({"voice": voice(suite="")}, "media"),
        ({"voice": voice(received=100)}, "packets"),
        ({"voice": voice(lost=40)}, "packets"),
        ({"voice": voice(heard=Heard(440, 0.999))}, "heard"),
        ({"voice": voice(heard=Heard(660, 0.5))}, "heard"),
        ({"state": "failed", "status": 488}, "the call"),
    ],
)
def test_each_broken_promise_is_told_by_its_own_line(changes: dict[str, Any], label: str) -> None:
    assert broken(**changes) == [label]


def test_refused_packets_are_told() -> None:
    lines = receipt.receipt(replace(GOOD, voice=voice(refused=Counter(replay=3))), PROMISE)
    assert any("refused: 3 replay" in line.text for line in lines)


RECORD: dict[str, Any] = {
    "downgraded": False,
    "a": {
        "tls": {"version": "TLSv1.3", "peer_verified": True, "peer_names": ["dns:office.lab.example"]},
        "media": {"srtp": "AEAD_AES_128_GCM", "packets_in": 150, "packets_out": 149},
    },
}
OFFICE = {"a": "office.lab.example"}


def test_the_record_of_the_sbc_proves_its_peers() -> None:
    lines = receipt.recorded(RECORD, OFFICE)
    assert receipt.kept(lines)
    assert lines[0].text == ("office.lab.example, TLSv1.3, AEAD_AES_128_GCM, 150 packets in, 149 out")


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"downgraded": False, "a": None},
        {**RECORD, "downgraded": True},
        {**RECORD, "a": {**RECORD["a"], "tls": {**RECORD["a"]["tls"], "peer_verified": False}}},
        {**RECORD, "a": {**RECORD["a"], "tls": {**RECORD["a"]["tls"], "peer_names": ["dns:evil"]}}},
        {**RECORD, "a": {**RECORD["a"], "media": {**RECORD["a"]["media"], "srtp": ""}}},
        {**RECORD, "a": {**RECORD["a"], "media": {**RECORD["a"]["media"], "packets_in": 0}}},
    ],
)
def test_a_record_that_proves_too_little_is_not_good(record: dict[str, Any]) -> None:
    assert not receipt.kept(receipt.recorded(record, OFFICE))


def test_words_of_a_journal_line() -> None:
    line = 'T WRN [tls-refused] kind=expired peer=127.0.0.1:5061 remedy="say \\"please\\" twice" detail=""'
    assert words(line) == {
        "kind": "expired",
        "peer": "127.0.0.1:5061",
        "remedy": 'say "please" twice',
        "detail": "",
    }


def test_colour_is_for_terminals_and_not_for_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Paint(Terminal())("red", "x") == "\x1b[31mx\x1b[0m"
    assert Paint(io.StringIO())("red", "x") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Paint(Terminal())("red", "x") == "x"


def test_text_fits_a_terminal_without_utf8() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    paint = Paint(out)
    paint.say(f"{paint.tick(True)} naïve {paint.tick(False)}")
    out.seek(0)
    assert out.read() == "ok na?ve FAILED\n"
