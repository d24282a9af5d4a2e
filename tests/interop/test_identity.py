"""Kamailio reads what we write of who calls and where a call has been, by parsers of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbc.demo.lab import HOST
from sbc.sip.message import serialize
from tests.edge.attacked import attacked
from tests.edge.test_udp_calls import GATEWAY, Gateway, final_of, request_of
from tests.peers.kamailio import Kamailio, KamailioSettings
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.waiting import until

pytestmark = pytest.mark.interop

# P-Asserted-Identity, Remote-Party-ID, P-Preferred-Identity, Diversion (reason, counter), the user called.
READ = "said |$ai|$re|$pu|$di|$dir|$dic|$rU"
NOTHING = "<null>"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Kamailio]]:
    needs("kamailio")
    directory = tmp_path_factory.mktemp("judge")
    settings = KamailioSettings(free_port(), transport="udp", forward_transport="udp", answer=READ)
    with (
        Kamailio("judge", directory / "judge", settings) as judge,
        attacked(directory / "s", srtp="accept") as sbc,
    ):
        made = Gateway(sbc)
        plain = sbc.directory / "trunks.d" / "plain.yaml"
        plain.write_text(plain.read_text() + "identity: trusted\n")
        yield made, judge
        made.close()


def read(shared: tuple[Gateway, Kamailio], words: str, then: str = "", **headers: str) -> list[str]:
    """What Kamailio reads of a call to a trunk with these words."""
    gateway, judge = shared
    gateway.caller.heard.clear()
    trunk = gateway.sbc.directory / "trunks.d" / "gateway.yaml"
    trunk.write_text(GATEWAY % (HOST, judge.port) + words)
    rules = f'rules:\n  - name: over\n    when: true\n    then: |\n      {then}route "gateway"\n'
    (gateway.sbc.directory / "routes.d" / "10-lab.yaml").write_text(rules)
    gateway.reload()
    request = request_of(gateway.caller)
    for name, value in headers.items():
        request.headers.add(name.replace("_", "-"), value)
    gateway.caller.send(serialize(request))
    answer = until(lambda: final_of(gateway.caller))
    assert answer is not None and answer.status == 486, answer
    return answer.reason.split("|")[1:]


ASSERTED = '"Alice, of Sales" <sip:+1-212-555-0111@plain.secret;user=phone>'


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("identity: screened\n", 0),
        ("identity: {out: trusted, header: Remote-Party-ID}\n", 1),
        ("identity: {out: screened, header: P-Preferred-Identity}\n", 2),
    ],
)
def test_who_calls(shared: tuple[Gateway, Kamailio], words: str, at: int) -> None:
    found = read(shared, words, P_Asserted_Identity=ASSERTED)
    assert found[at].startswith("sip:+12125550111@")
    assert [each for each in found[:3] if each != NOTHING] == [found[at]]


def test_what_a_rule_asserts(shared: tuple[Gateway, Kamailio]) -> None:
    then = 'set asserted.user = "+49301000"; set asserted.display = "Büro \\"1\\""; '
    assert read(shared, "identity: screened\n", then)[0].startswith("sip:+49301000@")


def test_where_a_call_has_been(shared: tuple[Gateway, Kamailio]) -> None:
    history = (
        "<sip:+4911@a.secret>;index=1,<sip:+4922@b.secret;cause=486>;index=1.1;mp=1,"
        "<sip:+4933@c.secret;cause=408>;index=1.1.1;mp=1.1"
    )
    found = read(shared, "diversion: diversion\n", History_Info=history)
    assert found[3:6] == ["sip:+4922@anonymous.invalid", "no-answer", "1"]


def test_what_stands_behind_a_number(shared: tuple[Gateway, Kamailio]) -> None:
    then = 'set to.param("rn") = "+12125550000"; set to.param("npdi") = "npdi"; '
    assert read(shared, "", then)[6] == "+12125550100;npdi;rn=+12125550000"
