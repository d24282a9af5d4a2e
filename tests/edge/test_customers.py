"""Two customers behind one carrier's TLS connection: a real SBC tells them apart, call by call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.tls import Credentials, connect
from sbc.sip.message import Response
from tests.edge.attacked import Attacked, attacked
from tests.edge.raw_sip import Stream
from tests.edge.sbc_command import sbc as sbc_command
from tests.peers.asking import ask
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

ACME, BOLT, NOBODY = "+4930100", "+4940100", "+1212"
_TENANTS = """\
tenants:
  one: {domains: [one.example], server_identity: sbc, limits: {calls: 0}}
  two: {domains: [sbc.lab.example], server_identity: sbc}
"""
_TRUNK = """\
trunk: {name}
tenant: {tenant}
sources: [127.0.0.0/8]
listener: tls
match: {{number: "{number}"}}
tls: {{mode: required, trust: [carrier-ca], names: [carrier.lab.example]}}
"""
_RULES = """\
rules:
  - name: acme
    when: trunk == "acme"
    then: reject 486 "acme"
  - name: bolt
    when: trunk == "bolt" and tenant == "two"
    then: reject 603 "bolt"
"""


@pytest.fixture
def sbc(tmp_path: Path) -> Iterator[Attacked]:
    """An SBC that got its two customers by a reload, and lost all trunks without a tenant."""
    with attacked(tmp_path) as made:
        settings = tmp_path / "sbc.yaml"
        settings.write_text(settings.read_text() + _TENANTS.replace("limits: {calls: 0}", "limits: {}"))
        for name in ("office", "carrier", "plain"):
            (tmp_path / "trunks.d" / f"{name}.yaml").unlink()
        for name, tenant, number in (("acme", "one", "+4930"), ("bolt", "two", "+4940")):
            text = _TRUNK.format(name=name, tenant=tenant, number=number)
            (tmp_path / "trunks.d" / f"{name}.yaml").write_text(text)
        (tmp_path / "routes.d" / "10-lab.yaml").write_text(_RULES)
        ask(tmp_path / "run" / "sbc.sock", "reload")
        made.lines("[reload]")
        yield made


def carrier(sbc: Attacked) -> Stream:
    """A connection with the carrier's certificate, that asks for the name of the second tenant."""
    tls = sbc.directory / "tls"
    shown = Credentials(tls / "carrier.pem", tls / "carrier.key")
    return Stream(connect(sbc.address, SBC_NAME, tls / "lab-ca.pem", shown))


def answer(stream: Stream, number: str) -> int:
    """The status of the final answer to a call to ``number``, which is acknowledged."""
    call = os.urandom(8).hex()
    head = (
        f"Via: SIP/2.0/TLS {HOST}:5061;branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:caller@carrier.lab.example>;tag=1\r\nCall-ID: {call}\r\n"
    )
    to = f"sip:{number}@{SBC_NAME}"
    stream.send(
        f"INVITE {to} SIP/2.0\r\n{head}To: <{to}>\r\nContact: <sip:caller@{HOST}:5061;transport=tls>\r\n"
        "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n".encode()
    )

    def finals() -> list[Response]:
        heard = [each for each in stream.heard if isinstance(each, Response) and each.call_id == call]
        return [each for each in heard if each.status >= 200]

    response = until(finals, f"an answer to {number}")[0]
    there = response.headers.get("To")
    stream.send(f"ACK {to} SIP/2.0\r\n{head}To: {there}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n".encode())
    return response.status


def test_each_call_is_its_customer_s_and_the_papers_know(sbc: Attacked) -> None:
    stream = carrier(sbc)
    assert [answer(stream, each) for each in (ACME, BOLT, NOBODY)] == [486, 603, 404]
    stream.close()
    assert [each["a"]["trunk"] for each in sbc.records(2)] == ["acme", "bolt"]
    (refused,) = sbc.lines("[call-refused]")
    assert refused["remedy"].endswith("acme has number +4930; bolt has number +4940")
    trust = ask(sbc.directory / "run" / "sbc.sock", "trust")
    views = {each["trunk"]: each["shares"] for each in trust["trunks"]}
    assert views["bolt"] == [["bolt", "number +4940"], ["acme", "number +4930"]]
    printed = sbc_command(sbc.directory, "trust", "bolt").out
    assert "its calls         number +4940" in printed and "acme: number +4930" in printed


def test_a_customer_without_room_leaves_the_other_s_alone(sbc: Attacked) -> None:
    settings = sbc.directory / "sbc.yaml"
    settings.write_text(settings.read_text().replace("limits: {}", "limits: {calls: 0}"))
    ask(sbc.directory / "run" / "sbc.sock", "reload")
    stream = carrier(sbc)
    assert [answer(stream, each) for each in (ACME, BOLT)] == [503, 603]
    stream.close()
    assert sbc.lines("[call-refused]")[0]["reason"] == "tenant one has 0 calls and its limit is 0"
    status = ask(sbc.directory / "run" / "sbc.sock", "status")
    assert [(each["name"], each["call_limit"]) for each in status["tenants"]] == [("one", 0), ("two", None)]


def test_a_dry_run_says_whose_a_call_is(sbc: Attacked) -> None:
    there = sbc_command(sbc.directory, "route", "test", "--trunk", "acme", "--to", BOLT)
    assert "the call is trunk bolt's: number +4940" in there.out
    assert "603" in there.out
    nobody = sbc_command(sbc.directory, "route", "test", "--trunk", "acme", "--to", NOBODY)
    assert nobody.out.startswith("\nrefused with 404 Not Found: +1212 is none of the trunks' that share")
    assert "remedy: add it to the `match` of its trunk" in nobody.out
