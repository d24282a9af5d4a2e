"""Tables and users: read with the rest of the configuration, watched with it, wrong in their own lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsl.breath import breathing
from dsl.decision import Hop, Route
from dsl.facts import Facts
from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.watched import watched

SETTINGS = """\
listeners: {udp: {bind: 127.0.0.1:5060, transport: udp}}
users: users
tables: {rates: tables/rates.csv}
"""
RULES = """\
rules:
  - name: least cost
    when: trunk == "a" and to.user in table.rates
    then: |
      challenge "lab.example"
      route table.rates[to.user].trunk
"""
RATES = "prefix,trunk\n49,b\n*,a\n"
USERS = f"alice:lab.example:{'0f' * 16}\n"


def write(directory: Path, **files: str) -> Path:
    texts = {
        "sbc.yaml": SETTINGS, "routes.d/10.yaml": RULES, "tables/rates.csv": RATES, "users": USERS,
        **{f"trunks.d/{name}.yaml": _trunk(name, at) for at, name in enumerate("ab")}, **files,
    }  # fmt: skip
    for name, text in texts.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return directory


def _trunk(name: str, at: int) -> str:
    return f"trunk: {name}\nlistener: udp\npeers: [192.0.2.{at}:5060]\nsources: [192.0.2.{at}]\n"


def problems(directory: Path) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        build_snapshot(directory, 0.0)
    return [str(each).partition("\n")[0] for each in raised.value.diagnostics if each.severity == "error"]


def test_tables_and_users_are_part_of_the_snapshot(tmp_path: Path) -> None:
    snapshot = build_snapshot(write(tmp_path), 0.0)
    facts = Facts(trunk="a", ruri_user="4930", auth_user="alice", auth_realm="lab.example")
    decision = snapshot.rules.decide(facts)
    assert isinstance(decision, Route) and decision.hops == (Hop("b"),)
    assert snapshot.logins.hash_of("lab.example", "alice", "MD5") == "0f" * 16
    assert {"users", "rates.csv"} <= {each.pattern for each in watched(tmp_path)}


def test_a_change_is_a_new_version_and_an_unchanged_table_is_not_read_again(tmp_path: Path) -> None:
    first = build_snapshot(write(tmp_path), 0.0)
    (tmp_path / "users").write_text(USERS.replace("0f", "1f"))
    second = build_snapshot(tmp_path, 0.0)
    assert second.version != first.version
    tables = [each.rules.rules[0].scope.tables["rates"] for each in (first, second)]
    assert tables[0] is tables[1]
    (tmp_path / "tables/rates.csv").write_text(RATES + "43,a\n")
    assert build_snapshot(tmp_path, 0.0).version not in (first.version, second.version)


def test_a_table_that_is_written_while_it_is_read_is_no_table_yet(tmp_path: Path) -> None:
    write(tmp_path)

    def export() -> None:
        with (tmp_path / "tables/rates.csv").open("a") as file:
            file.write(f"{len(RATES)}{file.tell()},a\n")

    with breathing(export):
        assert problems(tmp_path) == ["tables/rates.csv: error: it was written while it was read"]
    build_snapshot(tmp_path, 0.0)


def test_mistakes_are_told_where_they_are(tmp_path: Path) -> None:
    files = {"tables/rates.csv": "prefix,trunk\n49,b\n49,a\n", "users": "alice\n"}
    assert problems(write(tmp_path, **files)) == [
        'routes.d/10.yaml:5:17: error: nobody has a password for the realm "lab.example"',
        "tables/rates.csv:3:1: error: the prefix '49' is there already",
        "users:1:1: error: this line is not name:realm:HASH",
    ]


def test_a_table_that_names_a_trunk_that_is_not_there(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, **{"tables/rates.csv": "prefix,trunk\n49,b\n43,bb\n"}))
    assert found == ('routes.d/10.yaml:6:13: error: tables/rates.csv:3 names a trunk "bb", and there is none')


def test_a_missing_file_is_told_in_the_settings(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "tables/rates.csv").unlink()
    (tmp_path / "users").write_bytes(b"\xff\n")
    assert problems(tmp_path) == [
        "sbc.yaml:3:17: error: tables/rates.csv: cannot be read: no such file or directory",
        'routes.d/10.yaml:5:17: error: nobody has a password for the realm "lab.example"',
        "users:1:1: error: the file is not UTF-8",
    ]
