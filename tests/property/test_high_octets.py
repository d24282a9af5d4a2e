"""Octets from 0x80 up wherever a peer can write one: in every header, parameter and body, both ways.

What is not UTF-8 goes through as it came or is refused; nothing of ours fails on it, neither the engine nor
the rules and hooks that look at it, nor the journal and the records that tell of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from random import Random

import pytest

from sbc.config.hooks import load_hooks
from sbc.config.snapshot import Snapshot
from sbc.net.media.embedded import MediaIO
from sbc.sip.message import Message, serialize
from tests.playbook.stage import snapshot
from tests.property.driven import DrivenStage, media_plane
from tests.property.test_faults import AGAIN, OFFER, RELIABLE, Step, ack, answers, caller, invite, says

pytestmark = [pytest.mark.pure, pytest.mark.slow]

# No UTF-8 (the first eight); letters, digits that int() knows and such that it does not, line ends, blanks.
OCTETS = (
    b"\x80", b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80" * 40, b"\xc0\x80",
    "\u00e9".encode(), "\U0001f600".encode(), "\u0663".encode(), "\u00b2".encode(), "\uff11".encode(),
    "\u0085".encode(), "\u2028".encode(), "\u00a0".encode(), "\ufeff".encode(), "\u0130\u017f".encode(),
)  # fmt: skip
HEADERS = (
    "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Route", "Record-Route", "Max-Forwards", "Require",
    "Proxy-Require", "Supported", "Unsupported", "Allow", "RSeq", "RAck", "Content-Type", "Content-Length",
    "Content-Encoding", "Content-Disposition", "Reason", "Subject", "Accept", "Accept-Language", "Priority",
    "History-Info", "Diversion", "Privacy", "P-Asserted-Identity", "P-Early-Media", "Resource-Priority",
    "Alert-Info", "Info-Package", "User-to-User", "Session-ID", "Session-Expires", "Min-SE", "Retry-After",
    "Warning", "User-Agent", "Server", "Date", "Timestamp", "Expires", "Event", "Replaces", "Refer-To",
    "Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate", "X-Number", "X-Odd",
)  # fmt: skip
FRESH = {
    "Via": "SIP/2.0/TLS h;branch=z9hG4bKx", "Call-ID": "c", "CSeq": "1 X", "Max-Forwards": "70", "RSeq": "1",
    "Contact": "<sip:a@b>", "Route": "<sip:a@b;lr>", "Record-Route": "<sip:a@b;lr>", "RAck": "1 1 INVITE",
    "Content-Type": "application/sdp", "Content-Length": "0", "Retry-After": "5",
    "History-Info": "<sip:a@b>;index=1", "Diversion": '"A" <sip:a@b>;reason=no-answer',
    "Alert-Info": "<urn:alert:x>", "Warning": '399 h "x"',
    "Authorization": 'Digest username="u", realm="r", nonce="n", uri="sip:a", response="0"',
    "Proxy-Authorization": 'Digest username="u", realm="r", nonce="n", uri="sip:a", response="0", opaque="x"',
}  # fmt: skip
RULES = """
rules:
  - name: asked for a password
    when: header("X-Number") == "challenge" or auth.user == "nobody"
    then: |
      challenge "r"
      route "carrier"
  - name: elsewhere
    when: header("X-Odd") starts with "redirect" or from.display matches /redirect/
    then: redirect "sip:" + header("X-Odd") + "@b.example"
  - name: out
    when: trunk == "office" and not to.param("tgrp") == "x" and not e164(header("X-Number"), "49") == "+1"
    then: |
      limit 50 calls per header("X-Number") + from.display
      tag header("X-Odd")
      set from.user = header("X-Number") + from.display
      set from.display = replace(header("X-Odd"), /./, "x") + header("Subject") + from.display
      set to.user = to.user + header("X-Odd")
      set header "X-Seen" = header("User-Agent") + lower(header("Subject"))
      copy header "X-Odd"
      route "carrier" then "backup" on 503, timeout, unreachable
  - name: in
    when: trunk == "carrier"
    then: route "office"
"""
HOOKS = f"""
from sbc.hookapi import SetHeader, SetPart, amend
TIME_LIMIT = 60
NAMES = {HEADERS!r}
def on_invite(facts):
    seen = "".join(facts.header(name) or "" for name in NAMES)[:200]
    repr(facts), str(facts.from_display).upper().split(), facts.from_user.isdigit()
    return amend(SetHeader("X-All", seen), SetPart("from.user", facts.from_display), tags=(seen[:20],))
def on_route(facts, decision): return decision
def on_answer(facts, answer): repr((facts, answer))
def on_end(facts, end): repr((facts, end))
"""

# Where the octets are put into a value: before, behind, in the middle, as a parameter, in quotes, in a list.
SHAPES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "before": lambda value, octets: octets + value,
    "behind": lambda value, octets: value + octets,
    "within": lambda value, octets: value[: len(value) // 2] + octets + value[len(value) // 2 :],
    "a parameter": lambda value, octets: value + b";x=" + octets,
    "a quoted parameter": lambda value, octets: value + b';x="' + octets + b'"',
    "a display name": lambda value, octets: b'"' + octets + b'" ' + value[value.find(b"<") :],
    "a list": lambda value, octets: value + b", " + octets,
    "in angle brackets": lambda value, octets: value.replace(b"<sip:", b"<sip:" + octets),
    "alone": lambda value, octets: octets,
}  # fmt: skip

SCENE: tuple[Step, ...] = (
    invite(), says("carrier", 100), says("carrier", 183, OFFER, **RELIABLE),
    caller("PRACK", status=183, RAck="1 1 INVITE"), answers("carrier", "PRACK"), says("carrier", 200), ack(),
    caller("INVITE", AGAIN), says("carrier", 200, AGAIN), ack(),
    caller("INFO", b"digit=1", Content_Type="application/dtmf-relay"), answers("carrier", "INFO"),
    caller("UPDATE", AGAIN), answers("carrier", "UPDATE", 200, AGAIN), caller("OPTIONS"), caller("BYE"),
)  # fmt: skip
REFUSED: tuple[Step, ...] = (invite(), says("carrier", 180), says("carrier", 603))


@cache
def configuration() -> Snapshot:
    loaded, problems = load_hooks({"hooks/a.py": HOOKS})
    assert not problems
    made = snapshot(RULES, srtp="off", limits={"calls": 50})
    return replace(made, hooks=loaded)


@pytest.fixture(scope="module")
def media() -> Iterator[MediaIO]:
    plane = media_plane()
    yield plane
    plane.close()


class Soiled(DrivenStage):
    """A stage on which one kind of message, or all, arrives with ``spoil`` done to its octets."""

    def __init__(self, media: MediaIO, spoil: Callable[[bytes], bytes]) -> None:
        super().__init__(configuration(), media)
        self.spoil = spoil

    def play(self, flow: object, message: Message) -> None:
        data = serialize(message)
        self.say(flow, self.spoil(data))  # type: ignore[arg-type]


def in_header(name: str, shape: str, octets: bytes) -> Callable[[bytes], bytes]:
    """Octets in one header of every message, which gets that header where it has none."""
    start = f"{name}: ".encode()

    def spoil(data: bytes) -> bytes:
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if not any(line.startswith(start) for line in lines):
            if name in ("From", "To", "Via", "CSeq", "RAck", "RSeq", "Content-Length"):
                return data
            lines.append(start + FRESH.get(name, "x").encode())
        lines = [
            start + SHAPES[shape](line.removeprefix(start), octets) if line.startswith(start) else line
            for line in lines
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    return spoil


def in_start_line(place: int, octets: bytes) -> Callable[[bytes], bytes]:
    """Octets in a word of the start line: method, URI, version; version, status, reason."""

    def spoil(data: bytes) -> bytes:
        line, _, rest = data.partition(b"\r\n")
        words = line.split(b" ", 2)
        at = min(place, len(words) - 1)
        middle = len(words[at]) // 2
        words[at] = words[at][:middle] + octets + words[at][middle:]
        return b" ".join(words) + b"\r\n" + rest

    return spoil


def in_body(octets: bytes, dice: Random) -> Callable[[bytes], bytes]:
    """Octets at one to four places of every body, or around it as a part of several."""

    def spoil(data: bytes) -> bytes:
        head, _, body = data.partition(b"\r\n\r\n")
        if not body:
            return data
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(body) + 1)
            body = body[:at] + octets + body[at:]
        lines = [each for each in head.split(b"\r\n") if not each.startswith(b"Content-Length")]
        if dice.random() < 0.4:
            mark = dice.choice((b"x", octets, b'"' + octets + b'"', b"x" + octets))
            kind = b"Content-Type: multipart/mixed;boundary=" + mark
            lines = [kind if each.startswith(b"Content-Type") else each for each in lines]
            inner = dice.choice((b"application/sdp", octets, b"application/sdp;" + octets))
            body = (
                b"--" + mark + b"\r\nContent-Type: " + inner + b"\r\n\r\n" + body + b"\r\n--" + mark + b"--"
            )
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])

    return spoil


def everywhere(dice: Random) -> Callable[[bytes], bytes]:
    """Each message has octets in every third header, and now and then in its start line and its body."""

    def spoil(data: bytes) -> bytes:
        octets = dice.choice(OCTETS)
        for name in HEADERS:
            if dice.random() < 0.06:
                data = in_header(name, dice.choice(tuple(SHAPES)), octets)(data)
        if dice.random() < 0.1:
            data = in_start_line(dice.randrange(3), octets)(data)
        return in_body(octets, dice)(data) if dice.random() < 0.3 else data

    return spoil


def endure(media: MediaIO, spoil: Callable[[bytes], bytes], which: str, steps: tuple[Step, ...]) -> list[str]:
    """Play the scene as far as it goes, with either side's messages spoilt; what went wrong."""
    stage = Soiled(media, lambda data: data)

    def soil(data: bytes) -> bytes:
        response = data.startswith(b"SIP/")
        return spoil(data) if which == "all" or response == (which == "responses") else data

    stage.spoil = soil
    for _, act in steps:
        try:
            act(stage)
            stage.settle()
        except IndexError:
            break  # what the next step answers never came
    stage.spoil = lambda data: data
    for call in list(stage.engine.calls):
        stage.run(stage.engine.end_call, call, "over")
    stage.wind_up()
    for line in stage.lines:
        assert line.isprintable() and line.encode()
    for record in stage.records:
        json.loads(record)
    return [*stage.faults, *stage.left_over()]


@pytest.mark.parametrize("name", HEADERS)
def test_in_every_header(name: str, media: MediaIO) -> None:
    wrong: dict[str, str] = {}
    for number, shape in enumerate(SHAPES, HEADERS.index(name)):
        for octets in OCTETS[number % 9 :: 9]:  # each of them in each header, if not in each shape
            for which in ("requests", "responses"):
                for line in endure(media, in_header(name, shape, octets), which, SCENE):
                    wrong.setdefault(line[-200:], f"{which}, {shape}: {octets!r}")
    assert wrong == {}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_in_the_start_line(place: int, media: MediaIO) -> None:
    wrong = {}
    for octets in OCTETS:
        for steps in (SCENE, REFUSED):
            for which in ("requests", "responses"):
                for line in endure(media, in_start_line(place, octets), which, steps):
                    wrong[line[-200:]] = octets
    assert wrong == {}


@pytest.mark.parametrize("octets", OCTETS, ids=range(len(OCTETS)))
def test_in_every_body(octets: bytes, media: MediaIO) -> None:
    wrong = {}
    for seed in range(25):
        for which in ("requests", "responses"):
            for line in endure(media, in_body(octets, Random(seed)), which, SCENE):
                wrong[line[-200:]] = f"{which}, seed {seed}"
    assert wrong == {}


@pytest.mark.parametrize("steps", [SCENE, REFUSED], ids=["a whole call", "refused"])
def test_everywhere_at_once(steps: tuple[Step, ...], media: MediaIO) -> None:
    wrong = {}
    for seed in range(300):
        for line in endure(media, everywhere(Random(seed)), "all", steps):
            wrong[line[-200:]] = seed
    assert wrong == {}
