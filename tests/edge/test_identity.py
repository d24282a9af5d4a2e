"""A real SBC between two trunks on UDP: who is believed and told, why a call ends, and where it has been."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sbc.demo.lab import HOST
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.attacked import attacked
from tests.edge.test_udp_calls import GATEWAY, Gateway, final_of, request_of
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

ROUTES = """\
rules:
  - name: numbers of the house
    when: trunk == "plain" and asserted.user starts with "+4930"
    then: |
      set asserted.user = asserted.user
      route "gateway"
  - name: out
    when: true
    then: route "gateway"
"""
PLAIN_WORDS = "identity: {in: %s, out: screened}\nq850: write\n"
CALLEE_WORDS = "identity: {in: trusted, out: screened}\nq850: read\ndiversion: history-info\n"


@pytest.fixture
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with attacked(tmp_path_factory.mktemp("id"), srtp="accept") as sbc:
        made = Gateway(sbc)
        yield made
        made.close()


def believing(gateway: Gateway, word: str) -> None:
    """The caller's trunk is believed as far as ``word`` says."""
    trunks = gateway.sbc.directory / "trunks.d"
    plain = trunks / "plain.yaml"
    plain.write_text(plain.read_text() + PLAIN_WORDS % word)
    (trunks / "gateway.yaml").write_text(GATEWAY % (HOST, gateway.callee.port) + CALLEE_WORDS)
    (gateway.sbc.directory / "routes.d" / "10-lab.yaml").write_text(ROUTES)
    gateway.reload()


def calls(gateway: Gateway, **headers: str) -> Request:
    """The INVITE that the callee gets."""
    request = request_of(gateway.caller)
    for name, value in headers.items():
        request.headers.add(name.replace("_", "-"), value)
    gateway.caller.send(serialize(request))
    return gateway.hears(gateway.callee, "INVITE")


@pytest.mark.parametrize(
    ("word", "user", "crosses"),
    [
        ("trusted", "+12125550111", True),
        ("screened", "+12125550111", False),
        ("screened", "+49-30-100", True),
        ("none", "+4930100", False),
    ],
)
def test_what_a_trunk_is_believed(gateway: Gateway, word: str, user: str, crosses: bool) -> None:
    believing(gateway, word)
    invite = calls(gateway, P_Asserted_Identity=f'"Alice" <sip:{user}@plain.secret>', Reason="SIP;text=x")
    told = invite.headers.get("P-Asserted-Identity")
    assert (told is not None) is crosses
    if told is not None:
        assert told.startswith(f'"Alice" <sip:{user.replace("-", "")}@') and "secret" not in told
    refusal = response_to(invite, 503, "", "callee")
    refusal.headers.add("Reason", "Q.850;cause=17")
    gateway.callee.send(serialize(refusal))
    answer = until(lambda: final_of(gateway.caller))
    assert isinstance(answer, Response) and answer.status == 486
    assert answer.headers.get("Reason") == "Q.850;cause=17"
    (line,) = gateway.sbc.lines("cause-read")
    assert (line["cause"], line["was"], line["status"]) == ("17", "503", "486")
    [record] = gateway.sbc.records(1)
    assert record["asserted"] == ("" if word == "none" else user.replace("-", ""))


def test_who_withholds_itself_stays_unknown(gateway: Gateway) -> None:
    believing(gateway, "trusted")
    invite = calls(gateway, P_Asserted_Identity="<sip:+12125550111@plain.secret>", Privacy="id;user")
    assert invite.from_.uri.host == "anonymous.invalid" and b"2125550111" not in serialize(invite)
    assert invite.headers.get("Privacy") == "id"


def test_where_a_call_has_been_and_what_is_signed(gateway: Gateway) -> None:
    believing(gateway, "trusted")
    signed = f"..{os.urandom(8).hex()};info=<https://c.example/cert>"
    invite = calls(gateway, Diversion="<sip:+4911@pbx.secret>;reason=no-answer", Identity=signed)
    first, last = invite.headers.values("History-Info")
    assert first == "<sip:+4911@anonymous.invalid>;index=1" and last.endswith(";cause=408>;index=1.1;mp=1")
    assert "Identity" not in invite.headers  # the caller is no number
    (line,) = gateway.sbc.lines("identity-dropped")
    assert line["reason"].startswith("it")
