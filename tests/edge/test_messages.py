"""A real SBC between two UDP peers: texts and lamps cross, repeated ones once, and no log has a word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbc.demo.lab import HOST
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.attacked import attacked
from tests.edge.sbc_command import sbc
from tests.edge.test_udp_calls import GATEWAY, Gateway, request_of
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

RULES = """\
rules:
  - name: calls
    when: true
    then: route "gateway"
  - name: outside of calls
    when: method in ["MESSAGE", "NOTIFY"]
    then: route "gateway"
"""
METHODS = "methods: [MESSAGE, NOTIFY]\nlimits: {rates: {message: 3}}\n"
TEXT = "Schönes Wetter\r\n".encode()


class Texting(Gateway):
    """Both trunks let messages pass."""

    def begin(self) -> None:
        """Write it down."""
        directory = self.sbc.directory
        plain = directory / "trunks.d" / "plain.yaml"
        plain.write_text(plain.read_text() + METHODS)
        gateway = GATEWAY % (HOST, self.callee.port)
        (directory / "trunks.d" / "gateway.yaml").write_text(gateway + METHODS)
        (directory / "routes.d" / "10-lab.yaml").write_text(RULES)
        self.reload()

    def says(self, method: str = "MESSAGE", **headers: str) -> bytes:
        """The caller sends ``method``; its octets."""
        fields = dict(request_of(self.caller).headers.fields)
        fields |= {"CSeq": f"1 {method}", "Content-Type": "text/plain;charset=utf-8"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "MESSAGE":
            del fields["Contact"]
        data = serialize(Request(method, f"sip:+12125550100@{HOST}", Headers(list(fields.items())), TEXT))
        self.speaks.send(data)
        return data

    def answered(self, count: int) -> list[int]:
        """The final answers that the caller has, once there are so many."""
        return until(self._finals, holds=lambda found: len(found) >= count)

    def _finals(self) -> list[int]:
        return [
            each.status for each in self.caller.heard if isinstance(each, Response) and each.status >= 200
        ]

    def arrived(self, count: int) -> list[Request]:
        """What the callee was asked, once that is so much."""
        return until(
            lambda: [each for each in self.callee.heard if isinstance(each, Request)],
            holds=lambda found: len(found) >= count,
        )


@pytest.fixture
def texting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Texting]:
    with attacked(tmp_path_factory.mktemp("tx"), srtp="accept") as running:
        made = Texting(running)
        made.begin()
        yield made
        made.close()


def test_texts_and_lamps_cross_and_a_flood_of_them_does_not(texting: Texting) -> None:
    data = texting.says()
    (text,) = texting.arrived(1)
    assert text.method == "MESSAGE" and text.body == TEXT and "Contact" not in text.headers
    texting.speaks.send(data)  # again, for no answer has come
    lamp = texting.says("NOTIFY", Event="message-summary", Subscription_State="active")
    _, notified = texting.arrived(2)
    assert notified.method == "NOTIFY" and notified.contact is not None and lamp
    for each in (text, notified):
        texting.callee.send(serialize(response_to(each, 200, "", "callee")))
    assert texting.answered(2) == [200, 200]
    assert len(texting.arrived(2)) == 2
    for _ in range(4):
        texting.says()
    assert 503 in texting.answered(3)
    lines = texting.sbc.lines("[message]", status="200", count=2)
    assert {each["method"] for each in lines} == {"MESSAGE", "NOTIFY"} and {
        each["to_trunk"] for each in lines
    } == {"gateway"}
    assert "Wetter" not in texting.sbc.log() and not texting.sbc.records()


def test_a_dry_run_says_which_rule_takes_a_text(texting: Texting) -> None:
    given = ("route", "test", "--trunk", "plain", "--to", "+12125550100")
    told = sbc(texting.sbc.directory, *given, "--method", "MESSAGE")
    assert "calls (routes.d/10-lab.yaml:2): no, because it does not name method" in told.out
    assert "decided by outside of calls" in told.out
    assert "takes no" not in told.out
    path = texting.sbc.directory / "trunks.d" / "gateway.yaml"
    path.write_text(path.read_text().replace("MESSAGE, ", ""))
    told = sbc(texting.sbc.directory, *given, "--method", "MESSAGE")
    assert "takes no MESSAGE: its methods do not list it" in told.out
    assert "decided by calls" in sbc(texting.sbc.directory, *given).out
