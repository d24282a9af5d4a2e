"""``sbc trunks``: what each setting of a trunk is and where it comes from, and how the trunk is now.

It tells what profiles there are, and takes trunks out of service and puts them back.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sbc.base import LocalError
from sbc.commands.parser import Commands, configured, json_option

if TYPE_CHECKING:
    from sbc.config.read_files import ReadTrunk
    from sbc.config.snapshot import Snapshot


def add(commands: Commands) -> None:
    """Add these commands."""
    group = commands.group("trunks", "what a trunk's settings are, and where they come from")
    text = "what a trunk's profile sets and its file says, and how it is now, where an SBC runs"
    show = json_option(configured(group.add_parser("show", help=text, description=text), _show))
    show.add_argument("trunk", metavar="NAME")
    show.add_argument("--all", action="store_true", help="what nobody has set too, with its default")
    for act, text in (
        ("disable", "let a trunk have no new calls, in or out, until it is enabled again; calls go on"),
        ("enable", "let a trunk that was disabled so have calls again"),
    ):
        each = json_option(configured(group.add_parser(act, help=text, description=text), _switch))
        each.add_argument("trunk", metavar="NAME")
        each.set_defaults(act=act)
    text = "the profiles that a trunk may have, or what one of them sets and asks for"
    profiles = json_option(configured(group.add_parser("profiles", help=text, description=text), _profiles))
    profiles.add_argument("profile", nargs="?", metavar="NAME")


def _show(options: argparse.Namespace) -> int:
    from sbc.config.load import build_snapshot

    answer = shown(build_snapshot(options.config, time.time()), options.trunk, options.all)
    live, why = _ask(options)
    if options.json:
        print(json.dumps({**answer, "now": live, "why": why}, indent=2))
        return 0
    from sbc.commands.trunk_now import now

    profile = f", profile {answer['profile']}: {answer['about']}" if answer["profile"] else ""
    print(f"trunk {answer['trunk']}{profile}")
    print(_table(answer["settings"]))
    print(f"\n{now(live)}" if live is not None else f"\nnow: not known: {why}")
    return 0


def _ask(options: argparse.Namespace) -> tuple[dict[str, Any] | None, str]:
    """How the trunk is in the SBC that runs; or None, and why nothing is known."""
    from sbc.commands.running import ask_running

    try:
        return ask_running(options, "trunks-show", trunk=options.trunk), ""
    except LocalError as error:
        return None, str(error)


def _switch(options: argparse.Namespace) -> int:
    from sbc.commands.running import ask_running

    answer = ask_running(options, f"trunks-{options.act}", trunk=options.trunk)
    if options.json:
        print(json.dumps(answer, indent=2))
        return 0
    state = "enabled" if answer["enabled"] else f"disabled {answer['why']}"
    print(f"trunk {answer['trunk']} is {state}" + ("" if answer["changed"] else "; it was so already"))
    return 0


def shown(snapshot: Snapshot, name: str, everything: bool = False) -> dict[str, Any]:
    """Each setting of a trunk, with who has set it; LocalError where there is no such trunk."""
    from sbc.config.profiles import PROFILES

    if name not in snapshot.trunks:
        raise LocalError(f"there is no trunk {name!r}; there are {', '.join(snapshot.trunks)}")
    path, file = next(
        (path, file) for path, file in snapshot.trunk_files.items() if file.document.data.get("trunk") == name
    )
    chosen = snapshot.trunks[name].profile
    profile = PROFILES[chosen] if chosen is not None else None
    rows = list(_rows(path, file, profile.sets if profile is not None else {}))
    if everything:
        rows += _defaults(snapshot, name, {row["key"] for row in rows})
    return {
        "trunk": name, "profile": chosen or "", "about": profile.about if profile is not None else "",
        "settings": rows,
    }  # fmt: skip


def _rows(path: str, file: ReadTrunk, sets: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the file says, with what it overrides, and then what only the profile says."""
    from sbc.config.profiles import settings

    below = dict(settings(sets))
    for key, value in settings(file.document.data):
        line = file.document.place(key.split("."))[0]
        row = {"key": key, "value": value, "from": f"{path}:{line}"}
        if below.get(key, value) != value:
            row["overrides"] = below[key]
        elif isinstance(sets.get(key), dict):  # one word in place of keys
            row["overrides"] = sets[key]
        below = {name: each for name, each in below.items() if name != key and not name.startswith(f"{key}.")}
        yield row
    for key, value in below.items():
        yield {"key": key, "value": value, "from": "profile"}


def _defaults(snapshot: Snapshot, name: str, said: set[str]) -> Iterator[dict[str, Any]]:
    from sbc.config.profiles import settings

    whole = snapshot.trunks[name].model_dump(mode="json", by_alias=True)
    for key, value in settings(whole):
        if key not in said and not any(each == key or each.startswith(f"{key}.") for each in said):
            above = key.rpartition(".")[0]
            if above not in said:
                yield {"key": key, "value": value, "from": "default"}


def _table(rows: list[dict[str, Any]]) -> str:
    from sbc.commands.status_text import table

    return table(
        ("SETTING", "VALUE", "FROM"),
        [(row["key"], _text(row["value"]), _origin(row)) for row in rows if row["key"] != "trunk"],
    )


def _origin(row: Mapping[str, Any]) -> str:
    origin = str(row["from"])
    return f"{origin}, over the profile's {_text(row['overrides'])}" if "overrides" in row else origin


def _text(value: Any) -> str:
    """A value as a file of YAML would have it, in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _profiles(options: argparse.Namespace) -> int:
    from sbc.config.profiles import PROFILES, settings

    name = options.profile
    if name is not None and name not in PROFILES:
        raise LocalError(f"there is no profile {name!r}; there are {', '.join(PROFILES)}")
    chosen = {name: PROFILES[name]} if name is not None else dict(PROFILES)
    if options.json:
        told = {
            key: {"about": each.about, "sets": each.sets, "needs": each.needs} for key, each in chosen.items()
        }
        print(json.dumps(told, indent=2))
        return 0
    for key, each in chosen.items():
        print(f"{key}: {each.about}")
        if name is not None:
            print("\n".join(f"  {word}: {_text(value)}" for word, value in settings(each.sets)))
            print("\n".join(f"  needs {word}: {why}" for word, why in each.needs.items()))
    return 0
