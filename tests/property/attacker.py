"""An attacker for the engine: two peers that say whatever they like, sometimes spoilt, at any time.

Calls are begun, answered, changed, cancelled and hung up in no order; requests come within dialogs
that are early, up or over; what was said is said again; connections die. With ``spoiling`` above zero
that share of the messages has headers taken out, doubled or replaced; ``soil`` does what it likes to the
octets of each. All of it follows from a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response, response_to, serialize
from sbc.sip.parse import ParseError, parse_message, validate
from tests.playbook.stage import SDP, Peer, Stage

PEERS = ("office", "carrier", "backup", "office", "carrier")
WITHIN = ("ACK", "ACK", "ACK", "BYE", "INVITE", "UPDATE", "PRACK", "INFO", "CANCEL", "OPTIONS")
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK", "INFO", "OPTIONS", "REFER", "REGISTER", "X")
STATUSES = (100, 180, 183, 200, 200, 200, 302, 401, 408, 422, 481, 487, 488, 491, 503)
REALM = "of the attacker"  # it challenges in
BODIES = (
    b"", b"v=0", b"v=0 unusable", b"\xff\x00\r\n",
    b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--",
)  # fmt: skip
NAMES = (
    "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Route", "Record-Route", "Max-Forwards", "Require",
    "Supported", "RSeq", "RAck", "Content-Type", "Reason", "Subject", "Accept", "History-Info", "Privacy",
    "Diversion", "P-Asserted-Identity", "Content-Encoding", "Retry-After", "Alert-Info", "Info-Package",
    "Session-Expires", "Min-SE", "Allow",
)  # fmt: skip
VALUES = (
    "", "*", "<>", '"', "sip:", "0", "-1", "4294967296", "1 INVITE", "2 BYE", "1 ACK", "a" * 3000, "\u20ac",
    "sip:x@y;tag=1;tag=2", "<sip:a@b;lr>", "<sip:a@b>;tag=", "<tel:+1>", "<mailto:x>", "SIP/2.0/UDP x",
    "SIP/2.0/TLS h:99999;branch=z9hG4bKx", "100rel, foo", "1 1 INVITE", "99999999999 1 INVITE",
    "multipart/mixed;boundary=x", "multipart/mixed", "text/plain", "<sip:%41%00@x>", "<sip:a:b@c>", "id",
    "90;refresher=uac", "90;refresher=uas", "timer", "UPDATE", "3600",
)  # fmt: skip


def spoil(dice: Random, data: bytes) -> bytes:
    """``data`` with one to three things wrong; its Content-Length stays right."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [each for each in head.split(b"\r\n") if not each.startswith(b"Content-Length")]
    for _ in range(dice.choice((1, 1, 2, 3))):
        at, name, value = dice.randrange(len(lines)), dice.choice(NAMES), dice.choice(VALUES)
        field = f"{name}: {value}".encode()
        match dice.randrange(7):
            case 0 if at:
                del lines[at]
            case 1 if at:
                lines.append(lines[at])
            case 2:
                lines.append(field)
            case 3 if lines[at]:
                line = bytearray(lines[at])
                line[dice.randrange(len(line))] = dice.randrange(256)
                lines[at] = bytes(line)
            case 4:
                body = dice.choice(BODIES)
            case 5 if not lines[0].startswith(b"SIP/"):
                lines[0] = b" ".join([dice.choice(METHODS).encode(), *lines[0].split(b" ")[1:]])
            case _:
                start = name.encode() + b":"
                lines = [field if each.startswith(start) else each for each in lines]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


Soil = Callable[[Random, bytes], bytes]


class Attacker:
    """Both peers' ends of all calls of one ``Stage``."""

    def __init__(
        self, seed: int, spoiling: float, stage: Stage | None = None, soil: Soil = lambda dice, data: data
    ) -> None:
        self.dice = Random(seed)
        self.spoiling = spoiling
        self.soil = soil
        self.offer = SDP
        self.answers: tuple[bytes, ...] = b"v=0 one", b"v=0 two", b"v=0 unusable"
        self.statuses: tuple[int, ...] = STATUSES
        self.methods: tuple[str, ...] = WITHIN
        self.described = 0.6  # so many of its answers have SDP
        self.peers: tuple[str, ...] = PEERS
        self.stage = stage or Stage()
        self.said: list[tuple[Peer, bytes]] = []
        self.heard: dict[str, list[Request | Response]] = {name: [] for name in self.stage.peers}
        if seed % 2 and stage is None:  # half of them find a call that is up
            invite, answer = self.stage.established()
            self.heard["carrier"].append(invite)
            self.heard["office"].append(answer)

    def step(self) -> None:
        """One thing happens."""
        self._listen()
        peer = self.stage.peers[self.dice.choice(self.peers)]
        self.act(peer)

    def act(self, peer: Peer) -> None:
        """``peer`` does something, or something happens to it."""
        act = self.dice.choice((
            self._wait, self._call, self._respond, self._respond, self._respond, self._respond,
            self._within, self._within, self._within, self._within, self._repeat, self._disturb,
        ))  # fmt: skip
        act(peer)

    def _listen(self) -> None:
        for name, peer in self.stage.peers.items():
            while peer.heard:
                message = peer.heard.popleft()
                if isinstance(message, Request | Response) and _sound(message):
                    self.heard[name].append(message)

    def _say(self, peer: Peer, data: bytes) -> None:
        if self.dice.random() < self.spoiling:
            data = spoil(self.dice, data)
        data = self.soil(self.dice, data)
        self.said.append((peer, data))
        stage = self.stage
        try:
            message = parse_message(data)
        except ParseError as error:
            stage.carry_out(stage.engine.malformed(peer.flow, error, stage.now))
        else:
            stage.play(peer.flow, message)

    def _wait(self, peer: Peer) -> None:
        self.stage.wait(self.dice.choice((0.1, 0.5, 1, 4, 35, 200)))

    def _call(self, peer: Peer) -> None:
        self.stage.cseq += 1
        self._send(peer, "INVITE", "sip:+12125550100@sbc.example", self.stage.cseq, "", "", "")

    def _within(self, peer: Peer) -> None:
        found: list[tuple[str, str, Request | Response]] = [
            (each.headers.get("From") or "", each.headers.get("To") or "", each)
            for each in self.heard[peer.name]
            if isinstance(each, Response) and each.to_tag and each.cseq.method == "INVITE"
        ]
        found += [
            (f"{each.headers.get('To')};tag=callee", each.headers.get("From") or "", each)
            for each in self.heard[peer.name]
            if isinstance(each, Request) and each.method == "INVITE" and not each.to_tag
        ]
        if found:
            own, other, known = self.dice.choice(found[-3:])
            method = self.dice.choice(self.methods)
            again = method in ("ACK", "CANCEL")
            self.stage.cseq += not again
            target = str(known.contact.uri) if known.contact else "sip:x@y"
            number = known.cseq.number if again else self.stage.cseq
            self._send(peer, method, target, number, own, other, known.call_id)

    def _send(
        self, peer: Peer, method: str, uri: str, number: int, own: str, other: str, call_id: str
    ) -> None:
        dice = self.dice
        branch = dice.randrange(1 << 30) if method == "ACK" else number
        fields = [
            ("Via", f"SIP/2.0/TLS {peer.name}.example;branch=z9hG4bK-{peer.name}-{branch}"),
            ("Max-Forwards", "70"),
            ("From", own or f"<sip:alice@{peer.name}.example>;tag=from-{peer.name}"),
            ("To", other or f"<{uri}>"),
            ("Call-ID", call_id or f"call-{dice.randrange(4)}"),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<sip:alice@{peer.name}.example>"),
        ]
        if method == "PRACK":
            fields.append(("RAck", f"1 {dice.randrange(1, 4)} INVITE"))
        if dice.random() < 0.3:
            fields.append(("Subject", "carried"))
        fields += self.further(method, other)
        body = b""
        if dice.random() < (0.4 if call_id else 0.8) and method not in ("BYE", "CANCEL", "OPTIONS"):
            body = self.offer
            fields.append(("Content-Type", "application/sdp"))
        self._say(peer, serialize(Request(method, uri, Headers(fields), body)))

    def further(self, method: str, other: str) -> list[tuple[str, str]]:
        """More headers of a request; ``other`` is its To where it is within a dialog."""
        return []

    def _respond(self, peer: Peer) -> None:
        dice = self.dice
        asked = [each for each in self.heard[peer.name] if isinstance(each, Request) and each.method != "ACK"]
        if not asked:
            return
        request = dice.choice(asked[-3:])
        tag = "" if request.to_tag else dice.choice(("callee", "callee", "callee", "fork"))
        response = response_to(request, dice.choice(self.statuses), "", tag)
        response.headers.add("Contact", f"<sip:bob@{peer.name}.example;transport=tls>")
        if response.status == 401:
            stale = ", stale=true" if request.cseq.number % 2 else ""
            nonce = f"{request.method}{request.cseq.number}"
            response.headers.add("WWW-Authenticate", f'Digest realm="{REALM}", nonce="{nonce}"{stale}')
        for name, value, share in (
            ("Require", "100rel", 0.3), ("RSeq", "1", 0.3), ("Subject", "carried", 0.3),
            ("Record-Route", "<sip:edge.example;lr>", 0.3), ("Session-Expires", "90;refresher=uac", 0.3),
            ("Min-SE", "2000", 0.3), ("Allow", "INVITE, UPDATE", 0.3),
        ):  # fmt: skip
            if dice.random() < share:
                response.headers.add(name, value)
        if dice.random() < self.described:
            response.headers.add("Content-Type", "application/sdp")
            response.body = dice.choice(self.answers)
        self._say(peer, serialize(response))

    def _repeat(self, peer: Peer) -> None:
        if self.said:
            self._say(*self.dice.choice(self.said[-6:]))

    def _disturb(self, peer: Peer) -> None:
        """A connection dies, or the operator ends a call."""
        stage, dice = self.stage, self.dice
        if dice.random() < 0.15:
            stage.carry_out(stage.engine.flow_closed(peer.flow, stage.now))
            peer.flow = stage.flow(stage.engine.store.current.trunks[peer.name])
        elif dice.random() < 0.2 and stage.engine.calls:
            call = dice.choice(list(stage.engine.calls))
            stage.carry_out(stage.engine.end_call(call, "the operator's wish", stage.now))


def _sound(message: Request | Response) -> bool:
    """Whether a peer could make anything of it: answers to spoilt requests echo what was spoilt."""
    try:
        validate(message)
    except ParseError:
        return False
    return True
