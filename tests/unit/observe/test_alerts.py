"""Alerts: what is worth one, when it is told and how often, and that what peers write does no harm in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.admin import limits
from sbc.config.alerts import QuietHours, Watched
from sbc.observe.alerts.condition import Condition, Urgency, plain
from sbc.observe.alerts.conditions import LIMITS_TOLD, MOST, Found, Lookout
from sbc.observe.alerts.notice import MOST_SHOWN, Notice, message
from sbc.observe.alerts.outbox import AGAIN, GAP, MOST_PATIENCE, Outbox
from sbc.observe.alerts.outbox import MOST as MOST_WAITING
from sbc.observe.alerts.teller import MOST_OVER, Teller
from sbc.observe.edge_views import BlocklistView, DiskView, ExportView, LoadView
from sbc.observe.views import (
    CountersView,
    FailureView,
    LifeView,
    LookupView,
    NameView,
    PeerView,
    RecordingsView,
    RecordsView,
    RegistrationView,
    RevocationView,
    StatusView,
    TrunkView,
)
from sbc.policy.allowances import SpentView
from tests.unit.observe.pictures import TLS_PORT

NOW = 1_777_630_000.0
EVERY = 900.0
UP = (TrunkView("office", "tls", state="up"),)
FINE = StatusView("v1", 0.0, (TLS_PORT,), UP, (), CountersView(), now=NOW)


def trunk(**facts: Any) -> tuple[TrunkView, ...]:
    return (TrunkView("office", "tls", **facts),)


def conditions(
    *pictures: StatusView, every: float = 10.0, watched: Watched = Watched()
) -> dict[str, Condition]:
    """What is so in the last of them, so many seconds apart."""
    lookout = Lookout(0.0)
    for step, each in enumerate(pictures):
        found = lookout.look(each, watched, 1000.0 + step * every)
    return {each.key: each for each in found.conditions}


def life(state: str, whose: str = "ours") -> tuple[LifeView, ...]:
    return (
        LifeView(whose, "sbc", "CN=sbc", "ab" * 32, NOW + 86400 * 5.5, 5, state, ("office",), "order one"),
    )


STATES: list[tuple[dict[str, Any], str, Urgency]] = [
    ({"listeners": (replace(TLS_PORT, state="failed"),)}, "listener trunk-tls", "urgent"),
    ({"trunks": trunk(state="down", reason="408")}, "trunk office", "urgent"),
    ({"trunks": trunk(state="quarantined")}, "broken office", "urgent"),
    ({"trunks": trunk(state="up", held=True)}, "broken office", "warning"),
    ({"trunks": trunk(state="up", peer_states=(PeerView("a:1", "down"), PeerView("b:1", "up")))},
     "peer office a:1", "warning"),
    ({"registrations": (RegistrationView("office", "sip:a@b", "b", "failed", "403"),)},
     "registration office", "urgent"),
    ({"certificates": life("reminder")}, f"certificate ours sbc {'ab' * 32}", "info"),
    ({"certificates": life("warning")}, f"certificate ours sbc {'ab' * 32}", "warning"),
    ({"certificates": life("incident", "theirs")}, f"certificate theirs sbc {'ab' * 32}", "urgent"),
    ({"certificates": life("expired")}, f"certificate ours sbc {'ab' * 32}", "urgent"),
    ({"revocation": (RevocationView("crl", "http://ca/crl", "CN=ca", problem="404"),)},
     "revocation crl http://ca/crl CN=ca", "warning"),
    ({"revocation": (RevocationView("file", "crl.pem", "CN=ca", until=NOW - 1),)},
     "revocation file crl.pem CN=ca", "warning"),
    ({"limits": (SpentView("guard alice", "60 minutes a day", 50, 60, 1, NOW, False),)},
     "limit 60 minutes a day guard alice", "warning"),
    ({"limits": (SpentView("guard alice", "60 minutes a day", 60, 60, 1, NOW, False),)},
     "limit 60 minutes a day guard alice", "urgent"),
    ({"records": RecordsView(7, 0, "No space left on device")}, "records", "urgent"),
    ({"recordings": RecordingsView(problem="No space left on device")}, "recordings-failed", "urgent"),
    ({"load": LoadView(0.7, NOW)}, "overload", "urgent"),
    ({"lookups": (LookupView("crm", "crm.example", "open"),)}, "lookup crm", "warning"),
    ({"names": (NameView("a.example", "tls", failing=True),)}, "name a.example tls", "warning"),
    ({"exports": (ExportView("syslog", "udp:10.0.0.1:514", problem="refused"),)},
     "export syslog udp:10.0.0.1:514", "warning"),
    ({"refused": "sbc.yaml:3: unknown key"}, "reload", "warning"),
    ({"disks": (DiskView("records", 9, 100, 1),)}, "disk records", "warning"),
    ({"disks": (DiskView("records", 2, 100, 1), DiskView("journal", 2, 100, 1))},
     "disk records and journal", "urgent"),
    ({"disks": (DiskView("records", problem="it does not answer"),)}, "disk records", "warning"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "key", "urgency"), STATES)
def test_what_is_so_is_a_condition_and_says_what_to_do(
    facts: dict[str, Any], key: str, urgency: Urgency
) -> None:
    found = conditions(replace(FINE, **facts))
    assert list(found) == [key] and found[key].urgency == urgency
    assert found[key].title and (found[key].remedy or found[key].detail)


def test_where_all_is_well_there_is_none() -> None:
    fine = replace(
        FINE, certificates=life("ok"), disks=(DiskView("records", 11, 100, 1),),
        lookups=(LookupView("crm", "crm.example"),), names=(NameView("a.example", "tls"),),
        revocation=(RevocationView("crl", "http://ca/crl", "CN=ca", until=NOW + 9),),
        trunks=(*trunk(state="disabled"), *trunk(state="unknown"), *trunk(state="resting")),
    )  # fmt: skip
    assert conditions(FINE) == conditions(fine) == {}


RISES: list[tuple[Any, str, Urgency]] = [
    (lambda n: {"trunks": trunk(alerts=(("sent 48 unknown_ca", n),), failures=(("untrusted", n),))},
     "handshakes office sent 48 unknown_ca", "warning"),
    (lambda n: {"trunks": trunk(state="up", failures=(("timeout", n),))}, "handshakes office -", "warning"),
    (lambda n: {"trunks": trunk(state="up", soft_passes=(("unknown", n),))}, "soft office", "warning"),
    (lambda n: {"blocklist": BlocklistView(3, 2 * n)}, "blocklist", "warning"),
    (lambda n: {"records": RecordsView(0, n)}, "records-lost", "urgent"),
    (lambda n: {"recordings": RecordingsView(failed=n)}, "recordings-failed", "urgent"),
    (lambda n: {"lines_lost": n}, "journal-lost", "warning"),
    (lambda n: {"counters": CountersView(events=(("emergency-failed", n),))}, "emergency-failed", "urgent"),
    (lambda n: {"counters": CountersView(events=(("internal-error", n),))}, "internal-error", "warning"),
    (lambda n: {"counters": CountersView(events=(("fraud-full", n),))}, "fraud-full", "urgent"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "key", "urgency"), RISES)
def test_what_happens_often_is_a_condition_until_it_has_not_for_a_while(
    facts: Any, key: str, urgency: Urgency
) -> None:
    old, new = replace(FINE, **facts(40)), replace(FINE, **facts(51))
    assert conditions(old, old) == {}, "what was counted before anybody looked is no news"
    found = conditions(old, new)
    assert list(found) == [key] and found[key].urgency == urgency
    assert key in conditions(FINE, new), "a counter that is new has risen from nothing"
    assert conditions(old, *[new] * 32) == {}, "after five minutes it is over"
    assert key in conditions(old, *[new] * 29)


def test_what_was_counted_since_a_young_process_began_is_news_but_not_what_is_older() -> None:
    facts = {"alerts": (("sent 48 unknown_ca", 12),), "failures": (("untrusted", 12),)}
    many = replace(FINE, trunks=trunk(state="up", **facts), blocklist=BlocklistView(0, 900))
    found = Lookout(1000.0).look(many, Watched(), 1001.0)
    assert [each.key for each in found.conditions] == ["handshakes office sent 48 unknown_ca"]
    assert not Lookout(1000.0).look(many, Watched(), 1301.0).conditions


def test_fewer_failures_than_are_too_many_and_passes_without_any_source_are_no_condition() -> None:
    facts = {"alerts": (("sent 48 unknown_ca", 9),), "failures": (("untrusted", 9),)}
    few = replace(FINE, trunks=trunk(state="up", soft_passes=(("no-source", 99),), **facts))
    assert conditions(FINE, few) == {}
    assert len(conditions(FINE, few, watched=Watched(handshake_failures=9))) == 1


def test_a_spike_names_the_alert_and_what_the_last_failure_says() -> None:
    last = FailureView(NOW, "192.0.2.7:4711", "carrier,office", "inbound", "untrusted", "its CA is not ours",
                       "add its CA", "sent 48 unknown_ca")  # fmt: skip
    many = replace(FINE, failures=(last,), trunks=trunk(state="up", alerts=(("sent 48 unknown_ca", 12),)))
    (found,) = conditions(FINE, many).values()
    assert "unknown_ca (48, sent)" in found.title and "192.0.2.7" in found.detail
    assert "its CA is not ours" in found.detail and found.remedy == "add its CA"


def test_more_than_anybody_reads_is_one_condition() -> None:
    many = tuple(TrunkView(f"t{number}", "tls", state="down") for number in range(MOST + 50))
    found = conditions(replace(FINE, trunks=many))
    assert len(found) == MOST + 1 and "50 more" in found["more"].title


def test_what_there_are_many_of_hides_nothing_else_and_none_of_it_seems_over() -> None:
    many = tuple(TrunkView(f"t{number}", "tls", state="down") for number in range(MOST + 50))
    lookout, teller = Lookout(0.0), Teller()
    teller.look(lookout.look(replace(FINE, trunks=many), Watched(), 0.0), NOW, 0.0, EVERY)
    full = replace(FINE, trunks=many, records=RecordsView(7, 0, "full"), refused="sbc.yaml:3: unknown key")
    told = teller.look(lookout.look(full, Watched(), 10.0), NOW, 10.0, EVERY)
    assert [(each.kind, each.condition.key) for each in told] == [("alert", "reload"), ("alert", "records")]


def test_an_allowance_that_others_push_off_the_list_is_not_over() -> None:
    def spent(*names: int) -> StatusView:
        views = (SpentView(f"key {name}", "an hour a day", 60, 60, 1, NOW, False) for name in names)
        return replace(FINE, limits=tuple(views))

    lookout, teller = Lookout(0.0), Teller()
    kinds = []
    for step, names in enumerate((range(1), range(1, LIMITS_TOLD + 1), range(1, 3))):
        found = lookout.look(spent(*names), Watched(), step * 10.0)
        kinds.append([each.kind for each in teller.look(found, NOW, step * 10.0, EVERY)])
    assert kinds == [["alert"], ["alert"] * LIMITS_TOLD, ["over"] * (LIMITS_TOLD - 1)]
    assert LIMITS_TOLD == limits.MOST_SHOWN


def test_of_what_was_not_tried_yet_nobody_can_say() -> None:
    peers = (PeerView("a:1", "unknown"),)
    found = Lookout(0.0).look(replace(FINE, trunks=trunk(peer_states=peers)), Watched(), 0.0)
    assert found.unsure == {"trunk office", "peer office a:1"}


# When it is told

WRONG = Condition("disk", "warning", "the disk is nearly full", "9 %", "make room", "there is room again")
WORSE = replace(WRONG, urgency="urgent", rank=2)


class Told:
    """A teller, and a clock that the test moves."""

    def __init__(self) -> None:
        self.teller, self.at = Teller(), 1000.0

    def see(self, *found: Condition, after: float = 10.0, **how: Any) -> list[str]:
        """So much later these are so: the kinds of what is told."""
        return [each.kind for each in self.notices(*found, after=after, **how)]

    def notices(self, *found: Condition, after: float = 10.0, unsure: Any = (), **how: Any) -> list[Notice]:
        self.at += after
        return self.teller.look(Found(found, frozenset(unsure)), NOW + self.at, self.at, EVERY, **how)


def test_it_is_told_once_and_once_when_it_is_over() -> None:
    told = Told()
    assert [told.see(), told.see(WRONG), told.see(WRONG), told.see(WRONG, after=9e5)] == [
        [],
        ["alert"],
        [],
        [],
    ]
    assert [told.see(), told.see(), told.see(after=9e5)] == [["over"], [], []]
    assert told.see(WRONG) == ["alert"]


def test_it_is_told_again_where_it_gets_worse_and_not_where_it_gets_better() -> None:
    told = Told()
    assert told.see(WRONG) == ["alert"] and told.see(WORSE) == ["alert"]
    assert told.see(WRONG) == [] and told.see(WORSE) == [] and told.see() == ["over"]


def test_what_comes_and_goes_is_told_once_in_a_while_with_how_often() -> None:
    told = Told()
    kinds = [kind for _ in range(40) for found in ((WRONG,), ()) for kind in told.see(*found)]
    assert kinds == ["alert", "over"], "of 800 seconds of it"
    [again] = told.notices(WRONG, after=120.0)
    assert again.kind == "alert" and again.times == 40


def test_what_is_still_so_when_it_may_be_told_again_is_told_then() -> None:
    told = Told()
    assert [told.see(WRONG), told.see()] == [["alert"], ["over"]]
    assert told.see(WRONG) == [] and told.see(WRONG, after=EVERY - 40) == []
    assert told.see(WRONG, after=40) == ["alert"]


def test_quiet_hours_keep_back_what_can_wait_until_they_are_over() -> None:
    told = Told()
    urgent, brief = replace(WRONG, key="trunk", urgency="urgent"), replace(WRONG, key="brief")
    assert told.see(WRONG, urgent, brief, quiet=True) == ["alert"]
    assert told.see(WRONG, quiet=True) == ["over"], "that what is urgent is over is told too"
    assert told.see(WRONG, after=5 * EVERY, quiet=True) == []
    after = told.notices(WRONG)
    assert [(each.kind, each.condition.key) for each in after] == [("alert", "disk"), ("was", "brief")]
    assert "was so for 10 s" in after[1].line
    assert told.see(WRONG) == [] and told.see() == ["over"]


def test_that_it_is_over_waits_for_the_end_of_quiet_hours_too() -> None:
    told = Told()
    assert told.see(WRONG) == ["alert"]
    assert told.see(quiet=True) == [] and told.see(after=3 * EVERY, quiet=True) == []
    assert told.see() == ["over"]


def test_nothing_is_over_while_nobody_can_say() -> None:
    told = Told()
    assert told.see(WRONG) == ["alert"]
    assert told.see(unsure=["disk"]) == [] and told.see(settled=False) == []
    assert told.see(WRONG) == [] and told.see() == ["over"]


def test_a_restart_tells_nothing_again_whatever_became_of_the_clock() -> None:
    told = Told()
    told.see(WRONG, WORSE)
    saved = json.loads(json.dumps(told.teller.to_json(NOW, told.at)))
    for now in (NOW + 60, NOW - 9e6, NOW + 9e6):
        again = Told()
        again.at = 5.0
        for key, each in saved.items():
            again.teller.restore(key, each, now, again.at)
        assert again.see(WORSE) == [] and [each.told for each in again.teller.standing()] == [True]
        assert again.see() == ["over"] and again.see() == []


@pytest.mark.parametrize(
    "saved", [3, [1], {}, {"a": 1}, {"condition": {"x": 1}, "since": 1, "rank": 1, "told": 1}]
)
def test_what_was_not_written_by_us_is_refused(saved: Any) -> None:
    with pytest.raises(ValueError, match="not what was written"):
        Teller().restore("a", saved, NOW, 0.0)


def test_what_is_over_is_not_remembered_without_end() -> None:
    told = Told()
    for number in range(3):
        told.see(*(replace(WRONG, key=f"{number} {each}") for each in range(MOST)))
        told.see()
    assert len(told.teller._spells) <= MOST_OVER
    told.see(after=EVERY)
    told.see()
    assert not told.teller._spells


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([(), (WRONG,), (WORSE,)]), st.floats(1, 600), st.booleans()), max_size=60
    )
)
def test_whatever_happens_alerts_and_their_ends_take_turns_and_are_few(steps: list[Any]) -> None:
    told, seen = Told(), list[tuple[float, str]]()
    for found, after, quiet in steps:
        seen += [(told.at, kind) for kind in told.see(*found, after=after, quiet=quiet)]
    open_now = 0
    for _, kind in seen:
        assert kind in ("alert", "was") or open_now, "nothing is over of which nobody heard"
        open_now = 0 if kind == "over" else open_now + (kind == "alert")
        assert open_now <= 2, "an alert for each rank"
    for moment, _ in seen:
        assert sum(moment <= at < moment + EVERY for at, kind in seen if kind == "alert") <= 4


# What is sent


def test_a_storm_is_one_message_with_the_most_urgent_first() -> None:
    storm = [Notice("alert", replace(WRONG, key=str(each)), NOW) for each in range(400)]
    storm.append(Notice("alert", replace(WORSE, title="trunk office is down"), NOW))
    storm.append(Notice("over", WRONG, NOW - 60, NOW))
    sent = message(storm, 7, "sbc1")
    assert sent.title == "URGENT: 401 alerts and 1 over (sbc1)"
    assert sent.body.startswith("URGENT: trunk office is down") and len(sent.body) < 6000
    assert sent.body.count("the disk is nearly full") == MOST_SHOWN - 1
    assert f"{402 - MOST_SHOWN} more" in sent.body and "7 notices before these are lost" in sent.body


def test_one_notice_is_its_own_title() -> None:
    sent = message([Notice("over", WRONG, NOW - 60, NOW)], 0, "sbc1")
    assert (sent.title, sent.urgency) == ("there is room again (sbc1)", "info")
    sent = message([Notice("alert", WRONG, NOW, times=3)], 0, "sbc1")
    assert sent.title == "WARNING: the disk is nearly full (sbc1)"
    assert "9 %" in sent.body and "-> make room" in sent.body and "came back 3 times" in sent.body


@given(st.text())
def test_what_a_peer_wrote_is_one_line_without_links_mentions_or_secrets(text: str) -> None:
    shown = plain(f"{text} <!channel> [x](http://y) sip:a:sesame@b")
    assert shown.isprintable() and not set(shown) & set("<>[]`*|") and "sesame" not in shown
    assert len(shown) <= 203


def test_a_sink_s_notices_wait_are_tried_again_and_are_bounded() -> None:
    outbox, notice = Outbox(), Notice("alert", WRONG, NOW)
    assert outbox.take(0.0) is None
    outbox.put([notice] * 3)
    assert outbox.take(0.0) == ([notice] * 3, 0)
    assert outbox.take(0.0) is None, "one message at a time"
    outbox.put([notice])
    at, waits = 0.0, []
    for _ in range(8):
        outbox.done("refused", at)
        assert outbox.take(at) is None and len(outbox) == 4
        due = next(each for each in range(1, 1000) if outbox._due <= at + each)
        waits.append(due)
        at += due
        assert outbox.take(at) == ([notice] * 4, 0)
    assert waits[:3] == [AGAIN, 2 * AGAIN, 4 * AGAIN] and waits[-1] == MOST_PATIENCE
    outbox.done("refused", at)
    outbox.put([notice] * MOST_WAITING)
    assert (len(outbox), outbox.lost) == (MOST_WAITING, 4)
    assert outbox.take(at + MOST_PATIENCE) == ([notice] * MOST_WAITING, 4)
    outbox.done("", at + MOST_PATIENCE)
    outbox.put([notice])
    assert outbox.take(at + MOST_PATIENCE) is None, "not one message right behind the other"
    assert outbox.take(at + MOST_PATIENCE + GAP) == ([notice], 0)
    assert (outbox.sent, outbox.problem) == (MOST_WAITING, "")


def test_a_sink_for_what_is_urgent_hears_nothing_else() -> None:
    outbox = Outbox(urgent_only=True)
    outbox.put([Notice("alert", WRONG, NOW), Notice("alert", WORSE, NOW), Notice("over", WORSE, NOW)])
    assert len(outbox) == 2


# Quiet hours

NIGHT = {"from": "22:00", "to": "06:30", "zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        (1_777_665_540.0, False),  # 2026-05-01 21:59 in Berlin, summer
        (1_777_665_600.0, True),  # 22:00
        (1_777_696_140.0, True),  # 06:29
        (1_777_696_200.0, False),  # 06:30
        (1_797_195_540.0, False),  # 2026-12-13 21:59, winter
        (1_797_195_600.0, True),
    ],
)
def test_quiet_hours_go_over_midnight_in_their_own_zone(moment: float, quiet: bool) -> None:
    assert QuietHours.model_validate(NIGHT).at(moment) is quiet


def test_quiet_hours_of_a_day() -> None:
    noon = QuietHours.model_validate({"from": "12:00", "to": "13:00", "zone": "UTC"})
    assert [noon.at(hour * 3600.0) for hour in (11.99, 12, 12.99, 13)] == [False, True, True, False]


@pytest.mark.parametrize("hour", [22, 6, "22", 1320, True])
def test_an_hour_alone_is_no_time_of_day(hour: object) -> None:
    """``{from: 22, to: 6}`` as minutes would be quiet from 00:22 to 00:06: for a whole day, nearly."""
    for hours in ({"from": hour, "to": "06:00"}, {"from": "22:00", "to": hour}):
        with pytest.raises(ValueError, match=r'is no time of day: write one such as "22:00"'):
            QuietHours.model_validate(hours)


@pytest.mark.parametrize(
    ("written", "share"), [("10%", 0.1), (10, 0.1), ("2.5 %", 0.025), ("0.5%", 0.005), (0, 0.0), (1, 0.01)]
)
def test_a_share_of_a_disk_is_in_percent(written: object, share: float) -> None:
    assert Watched.model_validate({"disk_free": written}).disk_free == share


@pytest.mark.parametrize("written", [0.1, "0.1", True, -1, "all", 1000])
def test_a_share_that_may_mean_two_things_or_none_is_none(written: object) -> None:
    """A tenth of the disk, or a tenth of a percent of it?"""
    with pytest.raises(ValueError, match="is no share of a disk: write one such as 10%"):
        Watched.model_validate({"disk_free": written})
