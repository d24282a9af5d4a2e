"""A real SBC and a callee that redirects: its caller is told of us, or reaches whom a rule lets it reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbc.demo.lab import HOST
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.attacked import attacked
from tests.edge.beyond import Beyond
from tests.edge.test_udp_calls import GATEWAY, final_of, request_of, via_of
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

ROUTES = """\
rules:
  - name: no premium numbers
    when: to.user starts with "+1900"
    then: reject 403
  - name: diverted
    when: trunk == "gateway" and redirected_from == "+12125550100" and to.user starts with "+1212"
    then: route "beyond"
  - name: out
    when: trunk == "plain"
    then: route "gateway"
"""


class Moving(Beyond):
    """The callee at the trunk ``gateway`` redirects."""

    def redirects(self, policy: str) -> None:
        """The trunk's word for redirects."""
        self.extend("gateway", GATEWAY % (HOST, self.callee.port) + f"redirects: {policy}\n", ROUTES)

    def moves(self, user: str) -> Request:
        """The caller calls, and is redirected to ``user`` where nobody may look for him."""
        request = request_of(self.caller)
        self.speaks.send(serialize(request))
        answer = response_to(self.hears(self.callee, "INVITE"), 302, "", "mover")
        answer.headers.add("Contact", f"<sip:{user}@{HOST}:{self.trap.port}>;q=0.7")
        self.callee.send(serialize(answer))
        self.hears(self.callee, "ACK")
        return request

    def answer(self) -> Response:
        """The final answer that the caller gets."""
        answer = until(lambda: final_of(self.caller))
        assert answer is not None
        return answer


@pytest.fixture
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    with attacked(tmp_path_factory.mktemp("rd"), srtp="accept") as sbc:
        made = Moving(sbc)
        yield made
        made.close()


def test_a_followed_redirect_is_answered_by_whom_a_rule_lets_it_reach(moving: Moving) -> None:
    moving.redirects("follow")
    request = moving.moves("+12125550199")
    moving.takes()
    dialog = Dialog.as_uac(request, moving.answer())
    assert moving.hears(moving.beyond, "INVITE").uri == f"sip:+12125550199@{HOST}:{moving.beyond.port}"
    for method in ("ACK", "BYE"):
        moving.speaks.send(serialize(dialog.request(method, via=via_of(moving.caller), contact="")))
        moving.hears(moving.beyond, method)
    first, second = moving.sbc.records(2)
    assert (first["status"], first["b"]["trunk"], first["redirected_from"]) == (302, "gateway", "")
    assert (second["status"], second["b"]["trunk"]) == (200, "beyond")
    assert (second["redirected_from"], second["redirected_by"]) == ("+12125550100", "gateway")
    (line,) = moving.sbc.lines("redirect-followed")
    assert (line["call"], line["as"]) == (first["call"], second["call"])
    assert not moving.trap.heard and moving.sbc.held() == {"calls": 0, "ports": 0}


@pytest.mark.parametrize(("user", "status"), [("+19005550100", 403), ("+442071838750", 404)])
def test_what_the_rules_do_not_route_is_not_reached_by_a_redirect(
    moving: Moving, user: str, status: int
) -> None:
    moving.redirects("follow")
    moving.moves(user)
    assert moving.answer().status == status
    assert not moving.trap.heard and not moving.beyond.heard


def test_a_passed_redirect_names_us(moving: Moving) -> None:
    moving.redirects("pass")
    moving.moves("+12125550199")
    answer = moving.answer()
    assert answer.status == 302
    assert answer.headers.get_all("Contact") == [f"<sip:+12125550199@{HOST}:{moving.sbc.udp}>;q=0.7"]
    assert str(moving.trap.port) not in str(answer.headers.fields)
