"""The floor plan: the folders as rooms on the layers' floors, and what each imports.

``python -m tests.arch.floor_plan`` writes ``docs/floor-plan.svg`` from the imports; a test holds that it
is what the imports say.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path

from tests.arch.sources import PRODUCT, ROOT, sources
from tests.arch.test_layers import ROWS, row_of

PLAN = ROOT / "docs" / "floor-plan.svg"
WIDTH, FLOOR, ROOM, MARGIN = 1180, 92, 40, 20

Plan = dict[str, frozenset[str]]


def rooms() -> Plan:
    """Each folder with the folders that it imports; what lies directly in ``sbc/`` is a room by its name."""
    known = {source.module for source in sources(*PRODUCT)}
    found: dict[str, set[str]] = {}
    for source in sources(*PRODUCT):
        into = found.setdefault(_room(source.module), set())
        for _, name in source.imports:
            module = name if name in known else name.rpartition(".")[0]
            if module in known:
                into.add(_room(module))
    return {room: frozenset(into - {room}) for room, into in sorted(found.items()) if room != "sbc"}


@cache
def _room(module: str) -> str:
    folder = module.rpartition(".")[0]
    package = (ROOT / module.replace(".", "/")).is_dir()
    return module if package or folder == "sbc" else folder


def draw(plan: Plan) -> str:
    """The plan as SVG."""
    floors = [[room for room in plan if row_of(room) == row] for row in range(len(ROWS))]
    places = dict(_places(floors))
    height = MARGIN * 2 + FLOOR * len(floors)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            "<title>Portcullis, floor by floor: a line leads from a folder to one that it imports</title>",
            "<style>rect.floor{fill:#f4f4f1}rect.room{fill:#fff;stroke:#345;rx:4}"
            "text{font:13px sans-serif;fill:#123;text-anchor:middle}",
            "path{fill:none;stroke:#357;opacity:.28}</style>",
            *(_floor(row) for row in range(len(floors))),
            *_lines(plan, places),
            *_boxes(places),
            "</svg>\n",
        ]
    )


def _floor(row: int) -> str:
    y = MARGIN + FLOOR * row
    return f'<rect class="floor" x="0" y="{y}" width="{WIDTH}" height="{FLOOR - 14}"/>'


def _places(floors: list[list[str]]) -> Iterator[tuple[str, tuple[float, float, float]]]:
    for row, floor in enumerate(floors):
        width = (WIDTH - 2 * MARGIN) / max(1, len(floor))
        for at, room in enumerate(floor):
            yield room, (MARGIN + width * at + 4, MARGIN + FLOOR * row + 18, width - 8)


def _lines(plan: Plan, places: dict[str, tuple[float, float, float]]) -> Iterator[str]:
    for room, others in plan.items():
        for other in sorted(others):
            if room in places and other in places:
                (x, y, w), (to_x, to_y, to_w) = places[room], places[other]
                x, to_x = round(x + w / 2), round(to_x + to_w / 2)
                end = to_y if y == to_y else to_y + ROOM
                bend = round(y - 24 if y == to_y else (y + end) / 2)
                yield f'<path d="M{x} {y:.0f}C{x} {bend} {to_x} {bend} {to_x} {end:.0f}"/>'


def _boxes(places: dict[str, tuple[float, float, float]]) -> Iterator[str]:
    for room, (x, y, width) in places.items():
        name = room.removeprefix("sbc.").replace(".", "/")
        yield f'<rect class="room" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{ROOM}"/>'
        yield f'<text x="{x + width / 2:.0f}" y="{y + 25:.0f}">{escape(name)}</text>'


def write(path: Path = PLAN) -> None:
    """Write the plan as it is now."""
    path.write_text(draw(rooms()), encoding="utf-8")


if __name__ == "__main__":
    write()
