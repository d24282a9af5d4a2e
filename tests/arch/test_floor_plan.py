"""docs/floor-plan.svg is what the imports say today."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.arch.floor_plan import PLAN, draw, rooms


def test_the_plan_is_what_the_imports_say() -> None:
    assert PLAN.read_text("utf-8") == draw(rooms()), "python -m tests.arch.floor_plan"


def test_every_room_is_drawn_and_every_line_leads_to_one() -> None:
    plan = rooms()
    drawn = {
        each.text for each in ElementTree.fromstring(draw(plan)).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {"dsl", "sip", "net/transport", "tls/material", "webui"} <= drawn
    assert {other for others in plan.values() for other in others} <= plan.keys()
