"""The access list in a running SBC: every kind of rule on every transport, and what a reload does to it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from sbc.base import Address
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.pki import write_lab
from sbc.demo.tls import Credentials, Refused, TlsStream, connect
from sbc.sip.message import Response
from sbc.sip.stream import MessageStream
from tests.edge.attacked import attacked
from tests.edge.own_files import OwnFiles
from tests.edge.sbc_command import sbc
from tests.peers.asking import ask
from tests.peers.ports import free_ports
from tests.peers.waiting import until, until_said

pytestmark = pytest.mark.slow

TRANSPORTS = ("udp", "tcp", "tls")
SETTINGS = """\
listeners:
  udp: {{bind: 127.0.0.1:{0}, transport: udp}}
  tcp: {{bind: 127.0.0.1:{1}, transport: tcp}}
  tls: {{bind: 127.0.0.1:{2}, transport: tls}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
trust:
  lab-ca: {{ca: tls/lab-ca.pem}}
  carrier-ca: {{ca: tls/carrier-ca.pem}}
tenants:
  acme: {{domains: [sbc.lab.example], server_identity: sbc}}
emergency: {{numbers: [112]}}
media: {{address: 127.0.0.1, ports: 21000-21009}}
acl: acl.d
"""
PLAIN = "trunk: {0}\nlistener: {0}\nsources: [127.0.0.0/8]\n"
SECURE = """\
trunk: {0}
listener: tls
{1}
sources: [127.0.0.0/8]
tls: {{mode: required, server_identity: sbc, trust: [{2}], names: [{0}.lab.example]}}
"""
ROUTES = "rules: [{name: all, when: true, then: 'reject 486'}]\n"
RULES = """\
rules:
  - {deny: {address: 127.0.0.11}, force: true, note: one machine}
  - {deny: {cidr: 127.0.1.0/24}, force: true}
  - {deny: {glob: "127.0.2.*"}, force: true}
  - deny: {sip-user: "barred*"}
  - deny: {sip-from: "*@scanner.example"}
  - deny: {sip-did: "+4990*"}
"""
NEW = "sip:alice@x.example"


class Lab(OwnFiles):
    """An SBC with a listener of each transport, and who speaks to it from any address of the loopback."""

    def __init__(self, directory: Path, acl: dict[str, str]) -> None:
        self.ports = dict(zip(TRANSPORTS, free_ports(3), strict=True))
        write_lab(directory, time.time())
        files = {
            "sbc.yaml": SETTINGS.format(*self.ports.values()) + acl.pop("more.yaml", ""),
            "routes.d/10.yaml": ROUTES,
            "trunks.d/udp.yaml": PLAIN.format("udp"), "trunks.d/tcp.yaml": PLAIN.format("tcp"),
            "trunks.d/office.yaml": SECURE.format("office", "tenant: acme", "lab-ca"),
            "trunks.d/carrier.yaml": SECURE.format("carrier", "# of no tenant", "carrier-ca"), **acl,
        }  # fmt: skip
        ports = self.ports
        super().__init__(directory, files, tcp=[ports["tcp"], ports["tls"]], udp=[ports["udp"]])

    def wire(self, transport: str, source: str = HOST, shows: str = "office") -> Wire:
        """A way to it from ``source``; over TLS with the lab's certificate of that name."""
        made = Wire(self, transport, source, shows)
        self.wires.append(made)
        return made

    def ask(self, verb: str, **arguments: Any) -> Any:
        """What it answers on its control socket."""
        return ask(self.directory / "run" / "sbc.sock", verb, **arguments)

    def hits(self) -> list[int]:
        """How often each rule has decided."""
        return [each["hits"] for each in self.ask("acl")["rules"]]

    def write(self, text: str, name: str = "10.yaml") -> dict[str, Any]:
        """Put a file of rules there, and reload."""
        (self.directory / "acl.d" / name).write_text(text)
        answer: dict[str, Any] = self.ask("reload")
        return answer


class Wire:
    """One connection, or a UDP socket; ``refused`` says that there is none, or none any more."""

    def __init__(self, lab: Lab, transport: str, source: str, shows: str) -> None:
        self.transport = transport
        self.refused = False
        self.heard: list[Response] = []
        address = Address(HOST, lab.ports[transport])
        tls = lab.directory / "tls"
        self._stream: TlsStream | None = None
        self._socket: Any = None
        try:
            if transport == "tls":
                shown = Credentials(tls / f"{shows}.pem", tls / f"{shows}.key")
                self._stream = connect(address, SBC_NAME, tls / "lab-ca.pem", shown, source)
            elif transport == "tcp":
                self._socket = socket.create_connection(tuple(address), timeout=5, source_address=(source, 0))
            else:
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._socket.bind((source, 0))
                self._socket.connect(tuple(address))
        except (Refused, OSError):
            self.refused = True
        self._reader = gevent.spawn(self._read)

    def close(self) -> None:
        """End it from our side."""
        self._reader.kill()
        for each in (self._stream, self._socket):
            if each is not None:
                each.close()

    def _read(self) -> None:
        messages = MessageStream()
        try:
            while not self.refused:
                data = self._stream.recv() if self._stream is not None else self._socket.recv(65535)
                if not data:
                    break
                self.heard += [each for each in messages.feed(data) if isinstance(each, Response)]
        except (Refused, OSError):
            pass
        self.refused = True

    def send(self, method: str = "OPTIONS", to: str = NEW, caller: str = "sip:bob@y.example") -> str:
        """Send a request; its Call-ID."""
        call_id = os.urandom(8).hex()
        text = (
            f"{method} {to} SIP/2.0\r\nVia: SIP/2.0/{self.transport.upper()} 127.0.0.1:5999;rport;"
            f"branch=z9hG4bK{call_id}\r\nMax-Forwards: 70\r\nFrom: <{caller}>;tag=1\r\nTo: <{to}>\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 1 {method}\r\nContact: <sip:bob@127.0.0.1:5999>\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
        try:
            if self._stream is not None:
                self._stream.send(text)
            elif self._socket is not None:
                self._socket.send(text)
        except (Refused, OSError):
            self.refused = True
        return call_id

    def said(self, call_id: str) -> list[int]:
        """Every final status that came for a request."""
        return [each.status for each in self.heard if each.call_id == call_id and each.status >= 200]

    def asks(self, method: str = "OPTIONS", to: str = NEW, caller: str = "sip:bob@y.example") -> int | str:
        """What a request is answered; "closed" where the connection is."""
        call_id = self.send(method, to, caller)

        def outcome() -> int | str | None:
            found = self.said(call_id)
            return found[0] if found else ("closed" if self.refused else None)

        answer = until(outcome, f"an answer over {self.transport}")
        assert answer is not None
        return answer


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("acl"), {"acl.d/10.yaml": RULES}) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Makes an SBC of the test's own."""
    made: list[Lab] = []

    def make(text: str, **more: str) -> Lab:
        files = {f"acl.d/{name}.yaml": each for name, each in more.items()}
        lab = Lab(tmp_path, {"acl.d/10.yaml": text, **files})
        made.append(lab)
        return lab.__enter__()

    yield make
    for each in made:
        each.__exit__()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("index", "source"), [(0, "127.0.0.11"), (1, "127.0.1.200"), (2, "127.0.2.1")])
def test_an_address_is_barred_before_anything_is_made_for_it(
    lab: Lab, transport: str, index: int, source: str
) -> None:
    before = lab.hits()
    wire = lab.wire(transport, source)
    call_id = wire.send()
    hits = until(lambda: lab.hits()[index] - before[index], "a hit")
    assert hits == 1
    if transport != "udp":
        until(lambda: wire.refused, "a reset")
    free = lab.wire(transport, "127.0.0.12")
    assert free.asks() == 200 and wire.said(call_id) == []
    after = lab.hits()
    assert [now - then for now, then in zip(after, before, strict=True)] == [
        1 if at == index else 0 for at in range(6)
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("index", "to", "caller"),
    [
        (3, "sip:barred7@x.example", "sip:bob@y.example"),
        (3, "sip:b%61rred@x.example", "sip:bob@y.example"),
        (4, NEW, "sip:100@scanner.example"),
        (5, "sip:+49-90-1234@x.example;user=phone", "sip:bob@y.example"),
        (5, "tel:+49(90)1234", "sip:bob@y.example"),
    ],
)
def test_a_request_is_denied_by_what_it_says(
    lab: Lab, transport: str, index: int, to: str, caller: str
) -> None:
    before = lab.hits()
    wire = lab.wire(transport)
    for method in ("OPTIONS", "INVITE", "REGISTER"):
        assert wire.asks(method, to, caller) == 403, method
    assert wire.asks("INVITE") == 486 and wire.asks() == 200
    assert lab.hits()[index] - before[index] == 3


def test_whom_nothing_denies_the_rules_of_routes_d_hear_of(lab: Lab) -> None:
    for transport in TRANSPORTS:
        wire = lab.wire(transport)
        assert wire.asks("INVITE", "sip:notbarred@x.example") == 486
        assert wire.asks("INVITE", "sip:+4980@x.example", "sip:a@scanner.example.org") == 486


def test_what_was_kept_out_is_told_of_everywhere(lab: Lab) -> None:
    lab.wire("tcp", "127.0.0.11").send()
    lab.wire("tls", "127.0.0.77").asks("INVITE", "sip:+4990@x.example")
    until_said(lab.log, 'denies it: deny address 127.0.0.11 (one machine)"')
    until_said(lab.log, 'reason="acl.d/10.yaml:7 denies it: deny sip-did +4990*"')
    listed = sbc(lab.directory, "acl", "list").out.splitlines()
    assert listed[0].split() == ["RULE", "ACT", "KIND", "VALUES", "FOR", "HITS", "LAST", "NOTE"]
    assert listed[1].split()[:5] == ["acl.d/10.yaml:2", "deny", "address", "127.0.0.11", "all"]
    assert listed[1].endswith("one machine") and "ago" in listed[1] + "just now ago"
    told = json.loads(sbc(lab.directory, "acl", "list", "--json").out)
    assert told["running"] and told["rules"][5]["hits"] >= 1 and told["rules"][5]["last"] > 0
    assert "access list of 6 rules, kept out so far: " in sbc(lab.directory, "status").out


def test_a_flood_from_whom_a_rule_denies_is_counted_and_is_one_line(lab: Lab) -> None:
    before = lab.hits()[1]
    wire = lab.wire("udp", "127.0.1.99")
    for _ in range(20):
        for _ in range(25):
            wire.send()
        gevent.sleep(0.01)
    until(lambda: lab.hits()[1] - before == 500, "every datagram counted")
    for _ in range(50):
        lab.wire("tls", "127.0.1.98").close()
    until(lambda: lab.hits()[1] - before == 550, "every connection counted")
    flooders = ("127.0.1.98", "127.0.1.99")

    def told() -> list[int]:
        lines = [each for each in lab.log().splitlines() if "[refused]" in each]
        return [sum(each in line for line in lines) for each in flooders]

    until(told, "a line for each of the two", holds=lambda lines: min(lines) > 0)
    assert lab.wire("udp").asks() == 200
    assert told() == [1, 1]


def test_files_are_tried_without_a_running_sbc(lab: Lab) -> None:
    tried = sbc(lab.directory, "acl", "test", "127.0.0.11", "--listener", "udp")
    assert tried.status == 1 and "barred" in tried.out and "acl.d/10.yaml:2" in tried.out
    tried = sbc(lab.directory, "acl", "test", "127.0.0.12", "--did", "+49 80", "--from", "bob", "--json")
    verdicts = {each["trunk"]: each["verdict"] for each in json.loads(tried.out)["found"]}
    assert verdicts == {"udp": "let in", "tcp": "let in", "office": "let in", "carrier": "let in"}
    for spelled in ("+49-90", "+49 90"):
        tried = sbc(lab.directory, "acl", "test", "::ffff:127.0.0.12", "--did", spelled)
        assert tried.status == 1 and tried.out.count("403") == 4
    tried = sbc(lab.directory, "acl", "test", "198.51.100.1")
    assert tried.status == 1 and tried.out.count("no trunk admits it") == 3
    for words, said in (
        (("nowhere",), "'nowhere' is not an address: give one such as 203.0.113.9"),
        (("127.0.0.1", "--listener", "x"), "there is no listener 'x'; there are udp, tcp, tls"),
        (("127.0.0.1", "--user", "a", "--did", "1"), "give one of them"),
    ):
        assert said in sbc(lab.directory, "acl", "test", *words).refused_in_one_line()


def test_the_first_rule_decides_and_silence_is_an_answer_too(own: Callable[..., Lab]) -> None:
    lab = own(
        "rules:\n  - allow: {address: 127.0.0.7}\n  - {deny: {sip-user: quiet}, silent: true}\n"
        '  - allow: {sip-from: boss}\n  - deny: {sip-user: "*"}\n'
    )
    for transport in TRANSPORTS:
        wire = lab.wire(transport)
        quiet = [wire.send("INVITE", "sip:quiet@x"), wire.send("OPTIONS", "sip:quiet@x", "sip:boss@y")]
        assert wire.asks("INVITE") == 403 and wire.asks("INVITE", NEW, "sip:boss@y") == 486
        assert [each for each in wire.heard if each.call_id in quiet] == [], "no 100 either"
        spared = lab.wire(transport, "127.0.0.7")
        assert spared.asks("INVITE", "sip:quiet@x") == 486
    # An address is counted once a connection; a socket of UDP is a peer of its own.
    assert lab.hits() == [3, 6, 3, 3]
    status = lab.ask("status")
    assert status["transactions"] >= 0 and not status["calls"]


def test_a_reload_moves_rules_with_their_counts_and_closes_whom_it_denies(own: Callable[..., Lab]) -> None:
    lab = own("rules:\n  - deny: {sip-user: barred}\n")
    wires = [(lab.wire(each, "127.0.0.21"), lab.wire(each, "127.0.0.22")) for each in TRANSPORTS]
    for one, other in wires:
        assert (one.asks(to="sip:barred@x"), other.asks()) == (403, 200)
    answer = lab.write("rules:\n  - {deny: {cidr: 127.0.0.21}, force: true}\n  - deny: {sip-user: barred}\n")
    assert answer["changed"], answer
    assert lab.hits() == [0, 3]
    for one, other in wires:
        if one.transport != "udp":
            until(lambda one=one: one.refused, "its connection to be closed")  # type: ignore[misc]
        assert other.asks() == 200 and other.asks(to="sip:barred@x") == 403
    gone = [wire.send() for wire, _ in wires if wire.transport == "udp"]
    until(lambda: lab.hits()[0], "a datagram to be dropped")
    assert [wire.said(each) for (wire, _), each in zip(wires, gone, strict=False)] == [[]]


def test_a_broken_file_and_a_lockout_leave_in_force_what_is(own: Callable[..., Lab]) -> None:
    lab = own("rules:\n  - deny: {sip-user: barred}\n")
    for text, said in (
        ("rules: [", "acl.d/10.yaml:"),
        ("rules: [{deny: {address: 127.0.0.1}}]\n", "would shut out private addresses"),
        ('rules: [{deny: {glob: "127.*"}}]\n', "would shut out private addresses"),
        ("rules: [{deny: {cidr: 0.0.0.0/0}}]\n", "force: true"),
        ("rules: []\n", "nobody would be barred any more"),
    ):
        answer = lab.write(text)
        assert not answer["changed"] and said in "\n".join(answer["lines"]), answer
        assert lab.wire("udp").asks(to="sip:barred@x") == 403
    checked = sbc(lab.directory, "check")
    lab.write("rules:\n  - {deny: {address: 127.0.0.31}, force: true}\n")
    assert lab.wire("udp").asks(to="sip:barred@x") == 200
    assert checked.status == 0, "an empty list is right to start with"


def test_a_file_that_changes_is_noticed_without_a_word(own: Callable[..., Lab]) -> None:
    lab = own("rules:\n  - deny: {sip-user: barred}\n")
    wire = lab.wire("tls")
    assert wire.asks(to="sip:other@x") == 200
    (lab.directory / "acl.d" / "20.yaml").write_text("rules:\n  - deny: {sip-user: other}\n")
    until(lambda: wire.asks(to="sip:other@x") == 403, "the new file in force")


def test_a_tenant_s_pool_is_asked_as_soon_as_it_shows_whose_a_connection_is(own: Callable[..., Lab]) -> None:
    pool = "rules:\n  - {deny: {address: 127.0.0.41}, force: true}\n  - deny: {sip-user: theirs}\n"
    lab = own(f"tenant: acme\n{pool}", scoped="listeners: tcp\nrules:\n  - deny: {sip-user: tcponly}\n")
    other = lab.wire("tls", "127.0.0.41", "carrier")
    assert other.asks() == 200 and other.asks(to="sip:theirs@x") == 200
    acme = lab.wire("tls", "127.0.0.41")
    acme.send()
    until(lambda: acme.refused, "its connection to be closed")
    assert acme.heard == []
    elsewhere = lab.wire("tls", "127.0.0.42")
    assert elsewhere.asks() == 200 and elsewhere.asks(to="sip:theirs@x") == 403
    assert [lab.wire(each).asks(to="sip:tcponly@x") for each in TRANSPORTS] == [200, 403, 200]
    assert lab.hits() == [1, 1, 1]
    listed = sbc(lab.directory, "acl", "list").out
    assert "tenant acme" in listed and " tcp " in listed


def test_a_tenant_s_pool_shuts_out_nobody_else_behind_the_same_address(tmp_path: Path) -> None:
    secure = SECURE.format("carrier", "# of no tenant", "carrier-ca")
    files = {
        "acl.d/10.yaml": "tenant: acme\nrules:\n  - {deny: {address: 127.0.0.61}, force: true}\n",
        **{
            f"trunks.d/a-{name}.yaml": f"{text}tenant: acme\nmatch: {{number: '+4930'}}\n"
            for name, text in (
                ("udp", PLAIN.format("udp").replace("trunk: ", "trunk: a-")),
                ("tcp", PLAIN.format("tcp").replace("trunk: ", "trunk: a-")),
                ("tls", secure.replace("trunk: ", "trunk: a-")),
            )
        },
    }
    with Lab(tmp_path, files) as lab:
        for transport in TRANSPORTS:
            wire = lab.wire(transport, "127.0.0.61", "carrier")
            assert wire.asks("INVITE", "sip:alice@x.example") == 486, "it is no call of that tenant's"
            assert wire.asks("INVITE", "sip:+49301@x.example") == 403
            lab.write("tenant: acme\nrules:\n  - {deny: {sip-user: nobody}}\n", "20.yaml")
            assert not wire.refused and wire.asks("INVITE", "sip:alice@x.example") == 486
            assert lab.wire(transport, "127.0.0.62", "carrier").asks("INVITE", "sip:+49301@x.example") == 486
            lab.write("rules:\n  - {deny: {address: 127.0.0.61}, force: true}\n", "05.yaml")
            gone = lab.wire(transport, "127.0.0.61", "carrier")
            call_id = gone.send("INVITE", "sip:alice@x.example")
            if transport != "udp":
                until(lambda gone=gone: gone.refused, "a reset")  # type: ignore[misc]
            assert gone.said(call_id) == []
            lab.write("rules:\n  - {deny: {sip-user: nobody}}\n", "05.yaml")


def test_an_emergency_call_is_barred_by_its_address_alone(own: Callable[..., Lab]) -> None:
    lab = own("rules:\n  - {deny: {address: 127.0.0.51}, force: true}\n  - deny: {sip-user: '*'}\n")
    for transport in TRANSPORTS:
        wire = lab.wire(transport)
        assert wire.asks("INVITE", "sip:112@x") == 486 and wire.asks("INVITE", "sip:113@x") == 403
        barred = lab.wire(transport, "127.0.0.51")
        call_id = barred.send("INVITE", "sip:112@x")
        if transport != "udp":
            until(lambda barred=barred: barred.refused, "a reset")  # type: ignore[misc]
        assert barred.said(call_id) == []
    until(lambda: lab.hits()[0] == 3, "three hits")


def test_a_listener_for_phones_is_open_to_some_and_closed_to_the_rest(tmp_path: Path) -> None:
    rules = (
        "listeners: udp\nrules:\n  - allow: {cidr: 127.0.6.0/24}\n  - deny: {sip-from: mallory}\n"
        "  - {deny: {cidr: 0.0.0.0/0}, force: true}\n"
    )
    files = {
        "acl.d/10.yaml": rules, "trunks.d/udp.yaml": PLAIN.format("udp") + "phones: true\n",
        "more.yaml": "registrar: {realm: x.example, users: users, domains: [x.example]}\n", "users": "",
    }  # fmt: skip
    with Lab(tmp_path, files) as lab:
        office = lab.wire("udp", "127.0.6.1")
        assert office.asks("REGISTER", "sip:x.example", "sip:bob@x.example") == 401
        assert office.asks("REGISTER", "sip:x.example", "sip:mallory@x.example") == 401, "it is the office"
        stranger = lab.wire("udp", "127.0.7.1")
        call_id = stranger.send("REGISTER", "sip:x.example", "sip:bob@x.example")
        until(lambda: lab.hits()[2] == 1, "a datagram to be dropped")
        assert stranger.said(call_id) == []
        assert lab.wire("tcp", "127.0.7.1").asks() == 200, "the rules are for the phones' listener alone"


def test_a_rule_that_is_over_bars_nobody_and_is_named(own: Callable[..., Lab]) -> None:
    today = datetime.now(UTC).date()
    over, holds = today - timedelta(days=1), today + timedelta(days=1)
    lab = own(
        f"rules:\n  - {{deny: {{sip-user: over}}, until: {over}}}\n"
        f"  - {{deny: {{sip-user: holds}}, until: {holds}}}\n"
    )
    assert [lab.wire("udp").asks(to=f"sip:{each}@x") for each in ("over", "holds")] == [200, 403]
    checked = sbc(lab.directory, "check")
    assert checked.status == 0
    assert "acl.d/10.yaml:2" in checked.out + checked.err and "holds no more" in checked.out + checked.err
    assert "over" in sbc(lab.directory, "acl", "list").out


def test_ten_thousand_rules_are_in_force(own: Callable[..., Lab]) -> None:
    networks = [f"198.{18 + (at >> 12)}.{at >> 4 & 255}.{(at & 15) << 4}/28" for at in range(5000)]
    rules = [f"  - deny: {{cidr: {each}}}" for each in networks]
    rules += [f"  - deny: {{sip-did: '+49{at:05}*'}}" for at in range(5000)]
    lab = own("rules:\n" + "\n".join(rules) + "\n")
    wire = lab.wire("tls")
    assert wire.asks("INVITE", "sip:+49049991@x") == 403 and wire.asks("INVITE", "sip:+49050001@x") == 486
    assert len(lab.ask("acl")["rules"]) == 10_000 and lab.hits()[9_999] == 1


def test_a_call_that_is_up_outlives_a_rule_against_it(tmp_path: Path) -> None:
    with attacked(tmp_path) as made:
        to = "sip:+12125550100@sbc.lab.example"
        settings = tmp_path / "sbc.yaml"
        made.lines("[start]")
        call = made.office.call(made.office.dial(made.address, SBC_NAME), to)
        assert call.wait_up(10)
        (tmp_path / "acl.d").mkdir()
        (tmp_path / "acl.d" / "10.yaml").write_text('rules: [{deny: {sip-did: "+1*"}}]\n')
        settings.write_text(settings.read_text() + "acl: acl.d\n")
        ask(tmp_path / "run" / "sbc.sock", "reload")
        assert len(made.calls()) == 1
        second = made.office.call(made.office.dial(made.address, SBC_NAME), to)
        assert second.wait_over(10) and second.status == 403
        assert len(made.calls()) == 1
        call.hang_up()
        (record,) = made.records(1)
        assert record["status"] == 200
