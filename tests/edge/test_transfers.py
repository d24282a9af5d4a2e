"""A real SBC and a caller that transfers its callee, who reaches whom a rule lets it reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbc.demo.lab import HOST
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.attacked import attacked
from tests.edge.beyond import Beyond
from tests.edge.test_udp_calls import via_of
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

ROUTES = """\
rules:
  - name: no premium numbers
    when: to.user starts with "+1900"
    then: reject 403
  - name: transferred
    when: trunk == "plain" and referred_by == "caller" and to.user starts with "+1212"
    then: route "beyond"
  - name: out
    when: trunk == "plain" and referred_by == ""
    then: route "gateway"
"""


class Transferring(Beyond):
    """The caller on trunk ``plain`` transfers."""

    def transfers(self, word: str) -> None:
        """The trunk's word for transfers."""
        plain = (self.sbc.directory / "trunks.d" / "plain.yaml").read_text()
        self.extend("plain", plain + f"transfers: {word}\n", ROUTES)

    def refers(self, dialog: Dialog, user: str) -> Response:
        """The caller refers its callee to ``user``, where nobody may look for him; what it is answered."""
        refer = dialog.request(
            "REFER", via=via_of(self.caller), contact=f"<sip:caller@{HOST}:{self.caller.port}>"
        )
        refer.headers.add("Refer-To", f"<sip:{user}@{HOST}:{self.trap.port}>")
        self.speaks.send(serialize(refer))
        return until(lambda: self.answers(refer), "an answer to REFER")[0]

    def answers(self, request: Request) -> list[Response]:
        """What came back to ``request``."""
        heard = [each for each in self.caller.heard if isinstance(each, Response)]
        return [each for each in heard if each.cseq == request.cseq]

    def told(self, status: int) -> None:
        """The caller is told this of its transfer, and says that it has heard it."""
        line = b"SIP/2.0 %d " % status

        def notified() -> list[Request]:
            heard = [each for each in self.caller.heard if isinstance(each, Request)]
            return [each for each in heard if each.method == "NOTIFY" and each.body.startswith(line)]

        self.speaks.send(serialize(response_to(until(notified, f"a NOTIFY of {status}")[0], 200)))


@pytest.fixture
def transferring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transferring]:
    with attacked(tmp_path_factory.mktemp("tr"), srtp="accept") as sbc:
        made = Transferring(sbc)
        yield made
        made.close()


def test_a_transfer_reaches_whom_a_rule_lets_it_reach(transferring: Transferring) -> None:
    it = transferring
    it.transfers("perform")
    near, far = it.invite()
    assert it.refers(near, "+12125550199").status == 202
    assert it.takes() == f"sip:+12125550199@{HOST}:{it.beyond.port}"
    it.hears(it.beyond, "ACK")
    it.told(200)
    it.hears(it.caller, "BYE")
    it.callee.send(serialize(far.request("BYE", via=via_of(it.callee), contact="")))
    it.hears(it.beyond, "BYE")
    first, second = it.sbc.records(2)
    assert (first["reason"], first["b"]["trunk"]) == ("transferred", "gateway")
    assert (second["referred_by"], second["referred_trunk"]) == ("caller", "plain")
    assert (second["a"]["trunk"], second["b"]["trunk"]) == ("gateway", "beyond")
    (line,) = it.sbc.lines("event=transferred")
    assert (line["call"], line["as"]) == (first["call"], second["call"])
    assert not it.trap.heard and it.sbc.held() == {"calls": 0, "ports": 0}


@pytest.mark.parametrize(("user", "status"), [("+19005550100", 403), ("+442071838750", 404)])
def test_what_the_rules_do_not_route_is_not_reached_by_a_transfer(
    transferring: Transferring, user: str, status: int
) -> None:
    it = transferring
    it.transfers("perform")
    near, _ = it.invite()
    assert it.refers(near, user).status == 202
    it.told(status)
    assert not it.trap.heard and not it.beyond.heard
    it.speaks.send(serialize(near.request("BYE", via=via_of(it.caller), contact="")))
    it.hears(it.callee, "BYE")


def test_nobody_transfers_unless_the_trunk_says_so(transferring: Transferring) -> None:
    it = transferring
    it.transfers("refuse")
    near, _ = it.invite()
    assert it.refers(near, "+12125550199").status == 405
    it.speaks.send(serialize(near.request("BYE", via=via_of(it.caller), contact="")))
    it.hears(it.callee, "BYE")
    assert not it.trap.heard and not it.beyond.heard
