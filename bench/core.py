"""What the pure core costs for one INVITE of 700 bytes with SDP, step by step; no socket is involved.

Each figure is CPU time, the best of several timed loops: the machine's noise only ever adds.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable

from bench.report import Row
from dsl.decision import Route
from dsl.load import load
from dsl.ruleset import RuleSet
from sbc.b2bua.call_ids import CallIds
from sbc.b2bua.facts import facts_of
from sbc.b2bua.leg import Leg
from sbc.b2bua.translate import invite
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.observe.tap import Follower, Rings, Tap
from sbc.observe.trace.frames import Encoder
from sbc.observe.trace.masking import masked
from sbc.observe.trace.view import View
from sbc.sip.message import Request, serialize
from sbc.sip.parse import parse_message, validate
from sbc.sip.stream import MessageStream
from tests.playbook.stage import Stage

_SDP = """\
v=0
o=alice 53655765 2353687637 IN IP4 198.51.100.7
s=-
c=IN IP4 198.51.100.7
t=0 0
m=audio 30000 RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=sendrecv
"""

_HEAD = """\
INVITE sip:+12125550100@sbc.example.net:5061;transport=tls SIP/2.0
Via: SIP/2.0/TLS 198.51.100.7:5061;branch=z9hG4bK776asdhds;rport
Max-Forwards: 70
From: "Alice" <sip:+12125550199@office.example.net>;tag=1928301774
To: <sip:+12125550100@sbc.example.net>
Call-ID: a84b4c76e66710@198.51.100.7
CSeq: 314159 INVITE
Contact: <sip:+12125550199@198.51.100.7:5061;transport=tls>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK
Supported: 100rel
User-Agent: Bench/1
Content-Type: application/sdp
Content-Length: {length}

"""

_RULES = """\
rules:
  - name: emergency
    when: to.user in ["911", "112"]
    then: route "emergency"
  - name: no premium numbers
    when: to.user matches /^\\+1900\\d{7}$/
    then: reject 403 "Not allowed"
  - name: to the carrier
    when: trunk == "office" and to.user matches /^\\+1[2-9]\\d{9}$/
    then: |
      set from.host = "sbc.example.net"
      route "carrier"
"""


def invite_bytes() -> bytes:
    """The INVITE that is measured."""
    sdp = _SDP.replace("\n", "\r\n").encode()
    return _HEAD.format(length=len(sdp)).replace("\n", "\r\n").encode() + sdp


def rules() -> RuleSet:
    """Three rules, of which the last decides."""
    loaded, diagnostics = load({"routes.d/10.yaml": _RULES})
    if loaded is None:
        raise ValueError("\n".join(map(str, diagnostics)))
    return loaded


def steps() -> list[tuple[str, Callable[[], object]]]:
    """Each step of an INVITE's way, ready to be timed."""
    data, decide = invite_bytes(), rules().decide
    here, there = Address("192.0.2.1", 5061), Address("198.51.100.7", 5061)
    flow = Flow(1, "tls", here, there, listener="trunk-tls", trunk="office")
    request = parse_message(data)
    assert isinstance(request, Request)
    facts = facts_of(request, flow, None, 0.0)
    decision = decide(facts)
    assert isinstance(decision, Route), decision
    leg = Leg("b", Trunk(trunk="carrier", listener="trunk-tls"), flow, "192.0.2.1:5061", "sip")
    leg.call_id, leg.local_tag = "0123456789abcdef", "fedcba9876543210"

    def build() -> Request:
        return invite(leg, request, decision, there, "z9hG4bK0", request.body, leg)

    built = build()

    def check() -> None:
        validate(_fresh(data))

    def describe() -> object:
        return facts_of(_fresh(data), flow, None, 0.0)

    return [
        ("frame and parse from a stream", lambda: MessageStream().feed(data)),
        ("parse", lambda: parse_message(data)),
        ("parse, validate", check),
        ("parse, facts for routing", describe),
        ("route decision (third rule)", lambda: decide(facts)),
        ("build the other leg's INVITE", build),
        ("serialise", lambda: serialize(built)),
        ("tell the rings of a message that goes", told(built, Rings(200), flow)),
        ("show a reader a message that goes", shown(built, flow)),
        ("whole call through the engine, with its peers", whole_call()),
    ]


def told(message: Request, follower: Follower | Rings, flow: Flow) -> Callable[[], object]:
    """What each message costs that ``follower`` is told of."""
    tap, octets = Tap(CallIds(set()), print), serialize(message)
    tap.follow(follower)
    return lambda: tap.sent(flow, message, octets, 0.0, 0.0)


def shown(message: Request, flow: Flow) -> Callable[[], object]:
    """What it costs to mask it too, and to write it for one who follows live."""
    view = View(Encoder(masked))
    tell = told(message, view, flow)

    def show() -> bytes:
        tell()
        return view.frames(1)

    return show


def whole_call() -> Callable[[], object]:
    """A call that is set up and hung up: the engine and both its peers, which parse and serialise too."""
    stage = Stage()

    def call() -> int:
        _, answer = stage.established()
        stage.within("office", answer, "BYE")
        stage.office.hears(200)
        stage.carrier.respond(stage.carrier.hears_request("BYE"), 200)
        stage.wait(40)  # until nothing waits for a retransmission any more
        stage.notes.clear()
        stage.media.clear()
        return len(stage.engine.calls)

    return call


def core(seconds: float = 0.3) -> list[Row]:
    """Time every step for about ``seconds``."""
    return [Row(name, "portcullis", (_microseconds(step, seconds),), "us CPU") for name, step in steps()]


def _fresh(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def _microseconds(step: Callable[[], object], seconds: float) -> float:
    timer = timeit.Timer(step, timer=time.process_time)
    once = max(timer.timeit(100) / 100, 1e-7)
    number = max(1, int(seconds / 5 / once))
    return min(timer.repeat(5, number)) / number * 1e6
