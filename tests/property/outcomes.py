"""What the product makes of what follows from a seed, as text, so that two builds of it can be compared.

``python -m tests.property.outcomes KIND:FIRST:COUNT ...`` prints, for each seed, its name and a hash of the
outcome; with ``show`` at the end, the outcome itself. A seed is a message or a description with pieces of
it replaced, a conversation with the engine, or a call before rules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from random import Random
from typing import Any

from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.ruleset import RuleSet
from sbc.b2bua.commands import Note
from sbc.base import PeerError
from sbc.flow import Flow
from sbc.media.policy import SUITES
from sbc.media.quality import quality
from sbc.media.relay import packet
from sbc.release import is_compiled
from sbc.sip.machine import Send
from sbc.sip.message import Message, serialize
from sbc.sip.parse import ParseError, parse_message, validate
from sbc.sip.stream import MessageStream
from tests.property.attacker import Attacker, spoil
from tests.unit.media.kit import ACCEPT, ALICE, BOB, OFF, OSRTP, REQUIRED, audio, crypto, sdp, session
from tests.unit.media.reports import A, B, block, legs, receiver_report, sender_report, voice, voip_metrics
from tests.unit.sip_message.sample import INVITE, RINGING

BREAKS = (b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\r\n ", b"\0")
PIECES = (
    b" ", b"\t", b":", b";", b",", b'"', b"\\", b"<", b">", b"@", b"[", b"]", b"%", b"?", b"=", b"Via: ",
    b"sip:", b"sips:", b"tel:+1", b"SIP/2.0", b"tag=", b"\r\nContact: *\r\n", b"\r\nRoute: <sip:a;lr>\r\n",
    b"99999999999", b"\xd9\xa3", b"\xc2\x85", b"\xff", b"%41", b"[::1]", b"sip:a@b", b"65536",
    b"\r\nl: 3\r\n", b'"x" <sip:a@b>;tag=1',
)  # fmt: skip
VIEWS = (
    "via", "call_id", "cseq", "from_", "to", "from_tag", "to_tag", "contact", "routes", "record_routes",
    "max_forwards", "target",
)  # fmt: skip
DESCRIPTIONS = (
    sdp(audio()),
    sdp(audio(40000, "RTP/SAVP", crypto(1), crypto(2, SUITES[1], 2))),
    sdp(audio(40000, "RTP/SAVP", crypto(1)), "m=video 40010 RTP/AVPF 96\r\nb=AS:90\r\n"),
    sdp("a=inactive\r\n", audio(40000, "RTP/AVP", "rtcp:5 IN IP4 10.0.0.1"), "m=image 5 udptl t38\r\n"),
)
STEPS = 60
TEXTS = (
    "", "0", "00", "+1", "+12125550100", "0049301234567", "911", "teams", "x", "a", "b", "10.0.0.1", "é", "A",
)  # fmt: skip
CONDITIONS = (
    'trunk == "teams"', 'to.user in ["911", "112"]', 'to.user matches /^(00|\\+)\\d+/', "sips", "calls > 3",
    'to.host in ["a", "b"]', "source in [10.0.0.0/8, ::1]", 'has header "X-A"', 'header("X-A") == "x"',
    'to.param("x") == "1"', 'number(header("X-A")) < length(from.user)', 'sdp.codecs == "PCMA"',
    'from.user in "100".."199"', 'peer.san matches /\\w+$/', 'user_agent ends with "a"', "day in sat..mon",
    'from.user starts with "00"', "time in 22:00..06:00",
)  # fmt: skip
ACTIONS = (
    'route "x" then "teams" on 503', 'route "teams"', 'reject 404 "No"', "continue",
    'set to.user = e164(to.user, "49") + replace_prefix(from.user, "0", "1")',
    'set to.user = replace(to.user, /^00/, "+") + header("X-B")', "tag lower(from.user)",
    'route "x" with { set from.user = to.user; set header "X-D" = header("X-A") } then "teams" on 5xx, 486',
    "at most 2 hours", 'answer 603, 5xx as 486 "No"', "limit 3 calls per from.user",
    'set header "X-E" = capture(header("X-A"), /(.)x?/)',
    'set header "X-C" = replace(header("X-A"), /(.)(.)?/, "\\2\\1")',
    'redirect "sip:" + strip_prefix(to.user, "+") + lower(from.user) + "@" + add_prefix(to.host, "a")',
)  # fmt: skip
CALLS_OF_ONE_BOOK = 50


def message(seed: int) -> str:
    """A message with something wrong: read from a datagram and a stream, asked for its parts, written."""
    dice = Random(seed)
    data = damaged(dice, dice.choice((INVITE, RINGING)))
    if dice.random() < 0.5:
        data = spoil(dice, data)
    cut = dice.randrange(len(data) + 1)
    stream = MessageStream()
    items: list[object] = [*stream.feed(data[:cut]), *stream.feed(data[cut:] + RINGING)]
    try:
        items.append(parse_message(data))
    except ParseError as error:
        items.append(error)
    return "\n".join(map(told, items))


def told(item: object) -> str:
    """Everything that can be asked of what was read."""
    if isinstance(item, ParseError):
        return f"{item} {item.status} {item.fatal} {item.answerable} {told(item.message)}"
    if not isinstance(item, Message):
        return str(item)
    parts = [attempt(lambda name=name: plain(getattr(item, name))) for name in VIEWS]  # type: ignore[misc]
    return f"{serialize(item)!r} {attempt(lambda: validate(item))} {' | '.join(parts)}"


def attempt(ask: Callable[[], object]) -> str:
    """What ``ask`` returns, or what it raises."""
    try:
        return str(ask())
    except PeerError as error:
        return f"{error.status} {error}"
    except Exception as error:
        return type(error).__name__


def plain(value: object) -> str:
    """A value as text that is the same in every process; where it has no text of its own, by its type."""
    if isinstance(value, Flow):
        return f"flow {value.id}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(plain, value))}]"
    kind = type(value)
    silent = (kind.__str__, kind.__repr__) == (object.__str__, object.__repr__)
    return kind.__name__ if silent else str(value)


def damaged(dice: Random, data: bytes) -> bytes:
    """``data`` with one to three pieces replaced, seldom with what breaks lines."""
    pieces: Sequence[bytes] = BREAKS if dice.random() < 0.1 else PIECES
    for _ in range(dice.randrange(1, 4)):
        start = dice.randrange(len(data) + 1)
        piece = dice.choice(pieces) if dice.random() < 0.8 else dice.randbytes(dice.randrange(5))
        data = data[:start] + piece + data[start + dice.randrange(7) :]
    return data


def description(seed: int) -> str:
    """An offer and an answer, mostly with something wrong, through the media of one call."""
    dice = Random(seed)
    call, _ = session()
    ours, theirs = dice.choice((OFF, ACCEPT, OSRTP, REQUIRED)), dice.choice((OFF, OSRTP, REQUIRED))
    offer, answer = dice.choices(DESCRIPTIONS, k=2)
    if dice.random() < 0.7:
        offer = damaged(dice, offer)
    if dice.random() < 0.5:
        answer = damaged(dice, answer)
    offered = attempt(lambda: call.offer("a", offer, ours, theirs, 0.0))
    answered = attempt(lambda: call.answer("b", answer.replace(ALICE.encode(), BOB.encode()), 0.0))
    return f"{offered}\n{answered}\n{call.stats()}"


def heard(seed: int) -> str:
    """What is known of two legs after packets that are late, twice or lost, and reports that may lie."""
    dice, (a, b) = Random(seed), legs()
    first, at = dice.randrange(0x10000), 0.0
    for turn in range(dice.randrange(40, 400)):
        at += dice.random() / 25
        number = first + turn - (dice.randrange(150) if dice.random() < 0.1 else 0)
        kind, ssrc = dice.choice((0, 0, 0, 101)), 9 if seed % 3 == 0 and turn > 90 else 7
        if dice.random() < 0.9:
            packet(a.port_rtp, voice(number, None if dice.random() < 0.9 else turn, ssrc, kind), A, at)
        if dice.random() < 0.1:
            stamp = dice.randrange(3)
            packet(a.port_rtcp, sender_report(stamp), (A[0], A[1] + 1), at)
            said = block(dice.randrange(-9, 99), dice.getrandbits(9), stamp, dice.getrandbits(14), ssrc)
            extended = voip_metrics(dice.randrange(256), dice.randrange(256), ssrc)
            packet(b.port_rtcp, receiver_report(said) + extended, (B[0], B[1] + 1), at + dice.random() / 9)
    return "\n".join([f"{leg.lost} {leg.loss} {quality(leg, 'PCMU')}" for leg in (a, b)])


def conversation(seed: int) -> str:
    """All that the engine says and notes while two peers say what they like."""
    attacker, said = Attacker(seed, (0.0, 0.1, 0.5)[seed % 3]), []
    carry_out = attacker.stage._one

    def watched(command: Any) -> list[Any]:
        if isinstance(command, Send):
            said.append(f"{command.flow.id} {serialize(command.message)!r}")
        elif isinstance(command, Note):
            fields = ", ".join(f"{name}: {plain(value)}" for name, value in command.fields.items())
            said.append(f"{command.event} {command.call} {fields}")
        else:
            said.append(f"{type(command).__name__} {getattr(command, 'call', '')}")
        return carry_out(command)

    attacker.stage._one = watched  # type: ignore[method-assign]

    def play() -> None:
        for _ in range(STEPS):
            attacker.step()
        attacker.stage.wait(1000)

    raised = attempt(play)
    counted = [
        f"{trunk} {way} {found.codes} {found.ended} {found.seconds} {found.delays.counts}"
        for trunk in ("office", "carrier", "backup", "plain")
        for way, found in attacker.stage.engine.outcomes.known(trunk)
    ]
    return "\n".join([*said, *counted, raised])


def decision(seed: int) -> str:
    """A call before one of some dozens of files of rules: what is decided, and why."""
    dice, rules = Random(seed), book(seed // CALLS_OF_ONE_BOOK)

    def text() -> str:
        return dice.choice(TEXTS)

    held, parameter = dice.randrange(9), dice.choice(("1", "2"))
    headers = {name: text() for name in ("X-A", "X-B") if dice.random() < 0.6}
    facts = Facts(
        trunk=text(), source=text(), ruri_user=text(), ruri_host=text(), from_user=text(), from_host=text(),
        from_display=text(), user_agent=text(), sips=dice.random() < 0.5, calls=lambda trunk: held,
        ruri_param={"x": parameter}.get, header=headers.get, now=dice.random() * 2e9,
        peer_sans=(text(), text()), sdp_codecs=(dice.choice(("PCMA", "PCMU")),),
    )  # fmt: skip
    decided, trace = rules.explain(facts)
    return f"{rules.decide(facts)!r}\n{decided!r}\n{trace!r}"


@cache
def book(number: int) -> RuleSet:
    """A file of rules that follows from ``number``."""
    dice = Random(number)
    lines = ["zone: Asia/Tokyo", "rules:"]
    for each in range(dice.randrange(2, 25)):
        joined = dice.choice((" and ", " or ", " and not "))
        lines += [f"  - name: r{each}", "    when: |"]
        lines += [
            f"      {joined.join(dice.choices(CONDITIONS, k=dice.choice((1, 1, 2, 3))))}",
            "    then: |",
        ]
        action = dice.choice(ACTIONS)
        goes_on = action.startswith(("set", "tag", "at", "answer", "limit"))
        lines += [f"      {action}", *["      continue"] * goes_on]
    rules, problems = load({"book.yaml": "\n".join(lines)}, Known(trunks=frozenset(("teams", "x"))))
    assert rules is not None, problems
    return rules


KINDS = {each.__name__: each for each in (message, description, heard, conversation, decision)}


def lines(words: list[str]) -> Iterator[str]:
    """What is printed; the first line says which build it is."""
    yield "compiled" if is_compiled() else "pure"
    show = words[-1] == "show"
    for kind, first, count in (word.split(":") for word in words if word != "show"):
        for seed in range(int(first), int(first) + int(count)):
            outcome = KINDS[kind](seed)
            yield outcome if show else f"{kind}:{seed}:1 {sha256(octets(outcome)).hexdigest()[:16]}"


def octets(text: str) -> bytes:
    """``text`` in UTF-8; what came as other octets is those octets again."""
    return text.encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    for line in lines(sys.argv[1:]):
        print(octets(line).decode("utf-8", "backslashreplace"))
