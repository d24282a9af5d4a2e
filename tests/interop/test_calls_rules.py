"""Every action of a rule on the wire: SIPp calls, Portcullis decides, and what reaches the others is read.

Trunks are told apart by their loopback addresses. A carrier that answers no call is a bound socket, one that
is dead a closed TCP port.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.peers.call_records import calls_in
from tests.peers.lab import Lab
from tests.peers.needs import needs
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.stunnel import Stunnel, out
from tests.peers.waiting import until, until_equal

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_SETTINGS = """\
listeners:
  tls: {{bind: 127.0.0.1:{tls}, transport: tls}}
  udp: {{bind: 127.0.0.1:{udp}, transport: udp}}
  tcp: {{bind: 127.0.0.1:{tcp}, transport: tcp}}
identities: {{sbc: {{chain: {sbc.cert}, key: {sbc.key}}}}}
trust: {{lab: {{ca: {sbc.ca}}}}}
media: {{address: 127.0.0.1, ports: {first}-{last}}}
users: users
tables: {{rates: rates.csv, clip: clip.yaml}}
"""
CARRIERS = {"one": "127.0.0.11", "two": "127.0.0.12"}


@dataclass(slots=True)
class Wire:
    """A running SBC between a caller and the carriers; ``heard`` is what a carrier was sent."""

    root: Path
    carriers: dict[str, Sipp]
    udp: int = field(default_factory=free_port)
    tcp: int = field(default_factory=free_port)
    tls: int = field(default_factory=free_port)
    dead: int = field(default_factory=free_port)
    silent: socket.socket = field(init=False)
    lab: Lab = field(init=False)

    def __post_init__(self) -> None:
        self.lab = Lab(self.root / "tls")
        self.silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.silent.bind(("127.0.0.13", 0))

    def configure(self, rules: str) -> Path:
        """Write the whole configuration."""
        directory = self.root / "sbc"
        first = free_port(40)
        files = {
            "sbc.yaml": _SETTINGS.format(
                tls=self.tls, udp=self.udp, tcp=self.tcp, sbc=self.lab.issue("sbc"),
                first=first + first % 2, last=first + 39,
            ),
            "users": f"alice:lab.example:{hashlib.md5(b'alice:lab.example:secret').hexdigest()}\n",
            "rates.csv": "prefix,trunk,backup\n*,two,one\n+1,one,\n+1212,dead,two\n",
            "clip.yaml": 'caller: {number: "+4930100", calls: 1}\n',
            "routes.d/10.yaml": rules,
        }  # fmt: skip
        caller = "listener: udp\nsources: [127.0.0.1]\nsrtp: off\n"
        tls = "tls: {server_identity: sbc, trust: [lab], names: [office.lab.example]}\n"
        secure = f"listener: tls\nsources: [127.0.0.1]\n{tls}"
        plain = "listener: udp\nresponse_timeout: 1s\nsrtp: off\npeers: [{}]\n"
        dead = f"listener: tcp\npeers: [127.0.0.14:{self.dead}]\n"
        trunks = {"caller": caller, "office": secure, "dead": dead}
        for name, sipp in self.carriers.items():
            trunks[name] = plain.format(f"{CARRIERS[name]}:{sipp.port}") + f"sources: [{CARRIERS[name]}]\n"
        trunks["silent"] = plain.format(f"127.0.0.13:{self.silent.getsockname()[1]}")
        files |= {f"trunks.d/{name}.yaml": f"trunk: {name}\n{text}" for name, text in trunks.items()}
        for name, text in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        return directory

    def records(self) -> list[dict[str, Any]]:
        """The call records so far."""
        return calls_in(self.root / "sbc")

    def heard(self, name: str) -> str:
        """The first INVITE that reached a carrier; fails where there is none."""
        text = self.trace(name)
        found = re.search(r"^INVITE .*?(?=^-{20,}|\Z)", text, re.MULTILINE | re.DOTALL)
        assert found is not None, f"{name} heard no INVITE"
        return found[0].replace("\r", "")

    def invites(self, name: str) -> int:
        """How many calls reached a carrier."""
        text = self.trace(name)
        return len(set(re.findall(r"^Call-ID: *(\S+)", text, re.MULTILINE)))

    def trace(self, name: str) -> str:
        """All messages of a carrier."""
        path = self.carriers[name].messages
        return path.read_text(errors="replace") if path.exists() else ""


def sipp(tmp_path: Path, name: str, scenario: str) -> Sipp:
    settings = SippSettings(scenario, address=CARRIERS[name], trace=True)
    return Sipp(name, tmp_path / name, settings)


@contextmanager
def wire(
    tmp_path: Path, then: str, one: str = "callee_busy", two: str = "callee", more: str = ""
) -> Iterator[Wire]:
    """An SBC whose one rule for the callers says ``then``, with both carriers playing their scenarios."""
    needs("sipp")
    lines = "\n      ".join(then.split("\n"))
    when = 'trunk in ["caller", "office"]'
    rules = f"{more}\nrules:\n  - name: out\n    when: {when}\n    then: |\n      {lines}\n"
    made = Wire(tmp_path, {"one": sipp(tmp_path, "one", one), "two": sipp(tmp_path, "two", two)})
    directory = made.configure(rules)
    with ExitStack() as stack:
        stack.enter_context(made.silent)
        stack.enter_context(Portcullis("sbc", directory, tcp=[made.tls, made.tcp], udp=[made.udp]))
        for each in made.carriers.values():
            stack.enter_context(each)
        yield made


def call(made: Wire, scenario: str = "caller", calls: int = 1, service: str = "+12125550100") -> str:
    """One SIPp makes its calls to the end; what it received."""
    settings = SippSettings(
        scenario, remote_port=made.udp, calls=calls, service=service, rate=5, trace=True,
        login_uri=f"{service}@127.0.0.1:{made.udp}",
    )  # fmt: skip
    with Sipp("caller", made.root / "caller", settings) as caller:
        counts = caller.finish()
        assert (counts.successful, counts.failed, counts.unexpected) == (calls, 0, 0), caller.failed(
            "refused"
        )
    return caller.messages.read_text(errors="replace").replace("\r", "")


@pytest.mark.parametrize(
    ("then", "first", "record"),
    [
        ('route "one" then "two" on 503', "callee_unavailable", "two"),
        ('route "silent" then "two" on timeout', "callee", "two"),
        ('route "dead" then "two" on unreachable', "callee", "two"),
        ('route "dead" then "silent" then "one" then "two"', "callee_unavailable", "two"),
        ("route table.rates[to.user].trunk then table.rates[to.user].backup", "callee", "two"),
    ],
)
def test_failover_on_a_status_on_silence_and_on_a_dead_peer(
    tmp_path: Path, then: str, first: str, record: str
) -> None:
    with wire(tmp_path, then, one=first) as made:
        call(made)
        made.carriers["two"].wait_until(lambda: bool(made.records()), 30, "record")
    (found,) = made.records()
    assert (found["b"]["trunk"], found["status"], found["rule"]) == (record, 200, "out (routes.d/10.yaml:3)")


def test_a_status_that_is_not_listed_ends_the_call(tmp_path: Path) -> None:
    with wire(tmp_path, 'route "one" then "two" on 503') as made:
        assert "SIP/2.0 486 " in call(made, "caller_ends")
        assert made.invites("two") == 0


def test_numbers_and_headers_are_rewritten(tmp_path: Path) -> None:
    then = (
        'set to.user = e164(to.user, "49")\nset from.user = replace_prefix(from.user, "si", "49")\n'
        'set from.display = "Desk"\nset header "X-Set" = "from " + header("X-Customer")\n'
        'remove header "Subject"\n'
        'copy header "X-Trace-*"\ncopy header "X-Customer" to "X-Account"\ntag "rewritten"\nroute "one"'
    )
    with wire(tmp_path, then) as made:
        call(made, "caller_ends", service="030123456")
        invite = made.heard("one")
        made.carriers["one"].wait_until(lambda: bool(made.records()), 30, "record")
    assert re.match(r"INVITE sip:\+4930123456@127\.0\.0\.11:\d+ SIP/2\.0", invite)
    assert re.search(r'^From: "Desk" <sip:49pp@', invite, re.MULTILINE)
    headers = dict(re.findall(r"^(X-[\w-]+|Subject): *(.*)$", invite, re.MULTILINE))
    assert headers == {"X-Set": "from gold", "X-Trace-Id": "7", "X-Account": "gold"}
    assert made.records()[0]["tags"] == ["rewritten"]


@pytest.mark.parametrize(
    ("then", "payloads"),
    [
        ('prefer codecs "PCMA"', "8 0 18 101"),
        ('allow codecs "G729", "PCMA"', "8 18 101"),
        ('deny codecs "PCMU", "TELEPHONE-EVENT"\nprefer codecs "G729"', "18 8"),
    ],
)
def test_codecs_are_chosen_and_ordered(tmp_path: Path, then: str, payloads: str) -> None:
    with wire(tmp_path, then + '\nroute "one"') as made:
        call(made, "caller_ends")
        invite = made.heard("one")
    assert re.search(rf"^m=audio \d+ RTP/AVP {payloads}$", invite, re.MULTILINE), invite
    described = re.findall(r"^a=rtpmap:(\d+)", invite, re.MULTILINE)
    assert set(described) == set(payloads.split())


def test_no_codec_left_is_488(tmp_path: Path) -> None:
    with wire(tmp_path, 'allow codecs "AMR"\nroute "one"') as made:
        assert "SIP/2.0 488 " in call(made, "caller_ends")
        assert made.invites("one") == 0


def test_redirect_and_reject(tmp_path: Path) -> None:
    with wire(tmp_path, 'redirect "sip:" + to.user + "@b.example", "sip:c.example"') as made:
        heard = call(made, "caller_ends")
    assert "SIP/2.0 302 " in heard
    assert re.findall(r"^Contact: <(sip:[^>]*example)>", heard, re.MULTILINE) == [
        "sip:+12125550100@b.example",
        "sip:c.example",
    ]
    (tmp_path / "again").mkdir()
    with wire(tmp_path / "again", 'reject 480 "Closed"') as made:
        assert "SIP/2.0 480 Closed" in call(made, "caller_ends")


def test_a_class_of_failures_and_what_the_caller_hears(tmp_path: Path) -> None:
    then = 'answer 486 as 480 "Try later"\nroute "silent" then "two" on 5xx then "one" on 4xx, timeout'
    with wire(tmp_path, then) as made:
        heard = call(made, "caller_ends")
        assert made.invites("two") == 0
        made.carriers["one"].wait_until(lambda: bool(made.records()), 30, "record")
    assert "SIP/2.0 480 Try later" in heard and "Reason: SIP;cause=486" in heard
    (record,) = made.records()
    assert (record["status"], record["reason"], record["b"]["trunk"]) == (480, "486 Busy Here", "one")


def test_each_carrier_sees_edits_of_its_own(tmp_path: Path) -> None:
    then = (
        'route "one" with { set from.user = "1"; set header "X-A" = capture(to.user, /^.1(\\d+)/) } '
        'then "two" with { set from.user = "2" } on 486'
    )
    with wire(tmp_path, then) as made:
        call(made)
        one, two = made.heard("one"), made.heard("two")
    assert re.search(r"^From: .*<sip:1@", one, re.MULTILINE) and "\nX-A: 2125550100\n" in one
    assert re.search(r"^From: .*<sip:2@", two, re.MULTILINE) and "X-A" not in two


def test_the_callers_number_and_limit_stand_in_a_table(tmp_path: Path) -> None:
    then = (
        "limit table.clip[trunk].calls calls a hour per trunk else reject 486\n"
        'set from.user = table.clip[trunk].number\nroute "two"'
    )
    with wire(tmp_path, then) as made:
        call(made)
        assert "SIP/2.0 486 " in call(made, "caller_ends")
        two = made.heard("two")
    assert re.search(r"^From: .*<sip:\+4930100@", two, re.MULTILINE)


def test_a_call_that_lasts_too_long(tmp_path: Path) -> None:
    with wire(tmp_path, 'at most 1 second\nroute "two"') as made:
        call(made, "caller_waits")
        made.carriers["two"].wait_until(lambda: bool(made.records()), 30, "record")
        until(lambda: 'Reason: SIP;cause=480;text="Longest duration"' in made.trace("two"))
    (record,) = made.records()
    assert record["reason"].startswith("longest duration reached") and record["ended_by"] == "us"


def test_a_challenged_caller_logs_in(tmp_path: Path) -> None:
    with wire(tmp_path, 'challenge "lab.example"\ntag auth.user\nroute "two"') as made:
        refused = call(made, "caller_ends")
        assert "SIP/2.0 407 " in refused and 'Proxy-Authenticate: Digest realm="lab.example"' in refused
        assert made.invites("two") == 0
        call(made, "caller_login")
        made.carriers["two"].wait_until(lambda: len(made.records()) == 3, 30, "records")
        assert "Proxy-Authorization" not in made.heard("two")
    assert [each["status"] for each in made.records()] == [407, 407, 200]
    assert made.records()[-1]["tags"] == ["alice"]


def test_a_group_shares_calls_by_weight(tmp_path: Path) -> None:
    with wire(tmp_path, "route group.both", one="callee", more="groups: {both: {one: 3, two: 1}}") as made:
        call(made, calls=8)
        until_equal(lambda: (made.invites("one"), made.invites("two")), (6, 2))


def test_limits_refuse_what_is_too_much(tmp_path: Path) -> None:
    then = 'limit 2 calls a minute per from.user else reject 486 "Slow down"\nroute "one"'
    with wire(tmp_path, then, one="callee_busy") as made:
        heard = call(made, "caller_ends", calls=3)
        until_equal(lambda: made.invites("one"), 2)
    assert heard.count("SIP/2.0 486 Slow down") == 1


def test_a_phone_that_rings_too_long(tmp_path: Path) -> None:
    with wire(tmp_path, 'ring for 1 second\nroute "one" then "two" on timeout', one="callee_rings") as made:
        call(made)
        made.carriers["two"].wait_until(lambda: bool(made.records()), 30, "record")
        until(lambda: "CANCEL" in made.trace("one"))
    assert made.records()[0]["b"]["trunk"] == "two"


@pytest.mark.parametrize("policy", ["forbid", "warn"])
def test_a_secure_call_is_not_sent_on_in_the_clear(tmp_path: Path, policy: str) -> None:
    """SIPp calls through stunnel, so the call comes in by mutual TLS; the carrier has UDP only."""
    needs("sipp", "stunnel4")
    with wire(tmp_path, f'{policy} downgrade\nroute "one"') as made:
        tunnel = out("office", made.tls, made.lab.issue("office"), made.lab.ca(), "sbc.lab.example")
        settings = SippSettings(
            "caller_ends", transport="tcp", remote_port=tunnel.accept, says="tls", trace=True
        )
        office = Sipp("office", tmp_path / "office", settings)
        with Stunnel("stunnel", tmp_path / "stunnel", [tunnel]), office:
            assert office.finish().successful == 1
        heard = office.messages.read_text(errors="replace")
        if policy == "forbid":
            assert re.search(r'SIP/2\.0 480 .*?Warning: 380 \S+ "SIPS Not Allowed"', heard, re.DOTALL)
        until_equal(lambda: made.invites("one"), int(policy == "warn"))
