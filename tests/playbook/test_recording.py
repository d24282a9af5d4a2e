"""`record` in a rule: from the answer on, and after failover, a redirect and a transfer still."""

from __future__ import annotations

import pytest

from sbc.b2bua.commands import AnswerMedia, DeleteMedia, OfferMedia, RecordMedia
from tests.playbook import test_redirects as redirects
from tests.playbook import transfers
from tests.playbook.stage import Stage, snapshot
from tests.playbook.test_replaces import Taken

RULES = """
rules:
  - name: out
    when: trunk == "office"
    then: |
      record
      route "carrier" then "backup" on 503
"""


def recorded(stage: Stage) -> list[str]:
    return [each.call for each in stage.media if isinstance(each, RecordMedia)]


def calls(stage: Stage) -> list[str]:
    """Every call that has media, in the order in which they began."""
    asked = [each.call for each in stage.media if isinstance(each, OfferMedia)]
    return list(dict.fromkeys(asked))


def test_a_call_is_recorded_from_its_answer_until_its_end() -> None:
    stage = Stage(snapshot(RULES))
    _, answer = stage.established()
    stage.within("office", answer, "BYE")
    kinds = [type(each) for each in stage.media]
    assert kinds == [OfferMedia, AnswerMedia, RecordMedia, DeleteMedia]


def test_nothing_is_recorded_of_who_only_rings_and_of_a_call_whose_rule_does_not_say_so() -> None:
    stage = Stage(snapshot(RULES))
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=b"v=0 early")
    stage.carrier.respond(invite, 503)
    second = stage.peers["backup"].hears_request("INVITE")
    assert recorded(stage) == []
    stage.peers["backup"].respond(second, 200, body=b"v=0 answer")
    assert len(recorded(stage)) == 1
    other = Stage()
    other.established()
    assert recorded(other) == []


def test_with_a_tone_in_the_words_of_the_rule_and_where_a_redirect_leads() -> None:
    toned = 'record with tone\nallow codecs "PCMA"\nroute "carrier"'
    stage = redirects.staged(out=toned)
    redirects.moved(stage, "<sip:+12125550199@10.9.8.7>")
    invite = stage.backup.hears_request("INVITE")
    stage.backup.respond(invite, 200, body=b"v=0 answer")
    (one,) = [each for each in stage.media if isinstance(each, RecordMedia)]
    assert one.tone
    plain = Stage(snapshot(RULES))
    plain.established()
    (other,) = [each for each in plain.media if isinstance(each, RecordMedia)]
    assert not other.tone


def test_who_is_redirected_is_recorded_where_he_goes() -> None:
    stage = redirects.staged(out='record\nroute "carrier"')
    redirects.moved(stage, "<sip:+12125550199@10.9.8.7>")
    invite = stage.backup.hears_request("INVITE")
    stage.backup.respond(invite, 200, body=b"v=0 answer")
    assert recorded(stage) == calls(stage)[-1:]


def test_who_is_transferred_is_recorded_still() -> None:
    stage = transfers.staged(out='record\nroute "carrier"')
    transfer = transfers.Transfer(stage).accepted()
    _, again = transfer.answers()
    stage.carrier.respond(again, 200, body=b"v=0 moved")
    assert recorded(stage) == calls(stage) and len(recorded(stage)) == 2


@pytest.mark.parametrize("taken", ['route "office"', 'record\nroute "office"'])
def test_whose_place_is_taken_has_a_successor_who_is_recorded_if_either_rule_says_so(taken: str) -> None:
    taking = taken.replace("\n", "\n      ")
    rules = RULES + f'  - name: in\n    when: trunk == "backup"\n    then: |\n      {taking}\n'
    words = {"backup": "perform", "carrier": "pass", "office": "refuse"}
    stage = Stage(transfers.transferring(rules, {}, **words))
    made = Taken(stage=stage)
    made.asks()
    again = stage.office.hears_request("INVITE")
    stage.office.respond(again, 200, body=b"v=0 stays")
    assert len(recorded(stage)) == 2 and recorded(stage) == calls(stage)
