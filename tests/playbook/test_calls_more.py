"""More calls through the engine: the rarer turns of RFC 3261, 3262, 3264 and 3311, told as conversations."""

from __future__ import annotations

import pytest

from tests.playbook.stage import Stage, snapshot


@pytest.mark.parametrize("strangers", [(), ("office",), ("carrier",)])
def test_an_asserted_identity_passes_between_verified_peers_only(strangers: tuple[str, ...]) -> None:
    stage = Stage(strangers=strangers)
    stage.office.invite(P_Asserted_Identity="<sip:alice@office.example>")
    invite = stage.carrier.hears_request("INVITE")
    assert ("P-Asserted-Identity" in invite.headers) == (not strangers)
    stage.carrier.respond(invite, 180, P_Asserted_Identity="<sip:bob@carrier.example>")
    stage.office.hears(100)
    ringing = stage.office.hears_response(180)
    assert ("P-Asserted-Identity" in ringing.headers) == (not strangers)


def test_an_asserted_identity_never_comes_in_over_plain_transport() -> None:
    rules = 'rules: [{name: all, when: true, then: route "carrier"}]'
    stage = Stage(snapshot(rules))
    stage.plain.invite(P_Asserted_Identity="<sip:alice@plain.example>")
    assert "P-Asserted-Identity" not in stage.carrier.hears_request("INVITE").headers
