"""The registrar, its users and the trunks of phones: what does not fit together is named with a remedy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.users import UserTerms, read_users

HASH = "0123456789abcdef0123456789abcdef"
SETTINGS = """\
listeners: {udp: {bind: 127.0.0.1:5060, transport: udp}}
media: {address: 127.0.0.1}
registrar: {realm: example.com, users: phones}
"""
TRUNK = "trunk: phones\nphones: true\nlistener: udp\nsources: [0.0.0.0/0]\n"
FILES = {"sbc.yaml": SETTINGS, "trunks.d/phones.yaml": TRUNK, "phones": f"alice:example.com:{HASH}\n"}


def written(directory: Path, files: dict[str, str]) -> Path:
    for name, text in {**FILES, **files}.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return directory


def said(tmp_path: Path, files: dict[str, str]) -> list[str]:
    """All that is said of a configuration, as an operator sees it."""
    directory = written(tmp_path, files)
    try:
        found = build_snapshot(directory, time.time()).warnings
    except ConfigError as error:
        found = error.diagnostics
    return [
        f"{each.path}:{each.line}: {each.message}; {each.hint}" for each in found if "route" not in each.path
    ]


def test_one_that_is_right(tmp_path: Path) -> None:
    assert said(tmp_path, {}) == []


def test_the_users_may_be_those_of_challenges(tmp_path: Path) -> None:
    settings = SETTINGS.replace(", users: phones}", "}\nusers: phones")
    assert said(tmp_path, {"sbc.yaml": settings}) == []
    snapshot = build_snapshot(written(tmp_path, {"sbc.yaml": settings}), time.time())
    assert snapshot.phones is snapshot.logins and snapshot.phones.names("example.com") == ["alice"]


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"sbc.yaml": SETTINGS.partition("registrar")[0]},
         "trunks.d/phones.yaml:2: phones without a registrar; write registrar: {realm: "),
        ({"trunks.d/phones.yaml": TRUNK.replace("phones: true\n", "")},
         "sbc.yaml:3: no trunk has phones: nobody can register; write phones: true"),
        ({"trunks.d/phones.yaml": TRUNK + "peers: [192.0.2.1:5060]\n"},
         "trunks.d/phones.yaml:5: peers in a trunk of phones; remove `peers`, or `phones`"),
        ({"sbc.yaml": SETTINGS.replace(", users: phones", "")},
         "sbc.yaml:3: nobody has a password; write users: FILE beside it"),
        ({"phones": f"alice:elsewhere.example:{HASH}\n"},
         "sbc.yaml:3: phones has no user of the realm example.com: nobody can register"),
        ({"phones": f"alice:example.com:{HASH} tls_only\n"},
         "sbc.yaml:3: phones has users who come by TLS alone, and no phones have a TLS listener"),
        ({"sbc.yaml": SETTINGS.replace("users: phones", "users: other")},
         "sbc.yaml:3: other: cannot be read: no such file or directory"),
        ({"sbc.yaml": SETTINGS.replace("realm:", "expires: {min: 2h}, realm:")},
         "sbc.yaml:3: expires: min is 7200s; an hour may not be refused (RFC 3261 10.3): write 3600s"),
        ({"sbc.yaml": SETTINGS.replace("realm:", "expires: {max: 10m}, realm:")},
         "sbc.yaml:3: expires: min 60s, default 3600s, max 600s; write them in this order"),
        ({"phones": f"alice:example.com:{HASH} contacts=many\n"},
         "phones:1: contacts= wants a number; write contacts=5"),
        ({"phones": f"alice:example.com:{HASH} tls-only\n"},
         "phones:1: behind the hash stands what is no field; write"),
        ({"phones": f"+49-30:example.com:{HASH}\n+4930:example.com:{HASH}\n"},
         "phones:2: this name and another one are the same user, differently spelled"),
    ],
)  # fmt: skip
def test_what_does_not_fit(tmp_path: Path, files: dict[str, str], wanted: str) -> None:
    found = said(tmp_path, files)
    assert any(each.startswith(wanted) for each in found), found


def test_two_lines_of_a_user_say_one_thing() -> None:
    users, problems = read_users("u", f"a:r:{HASH} contacts=2\na:r:{HASH * 2} tls_only\n")
    assert problems == [] and users.terms("r", "a") == UserTerms(2, True)
    text = f"a:r:{HASH} contacts=2 certificate=x\na:r:{HASH * 2} contacts=3 certificate=y\n"
    assert [each.line for each in read_users("u", text)[1]] == [2, 2]


def test_a_realm_may_hold_blanks_and_colons() -> None:
    users, problems = read_users("u", f"alice:Our: Realm:{HASH} contacts=2\n")
    assert problems == [] and users.names("Our: Realm") == ["alice"]


@pytest.mark.parametrize("number", ["\u00b2", "\u0663", "0", "101", "9" * 5000, ""])
def test_contacts_that_are_no_number_are_told(number: str) -> None:
    _, problems = read_users("u", f"alice:r:{HASH} contacts={number}\n")
    assert [(each.line, each.message) for each in problems] == [(1, "contacts= wants a number")]
