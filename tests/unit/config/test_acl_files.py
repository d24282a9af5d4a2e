"""The files of the access list: what they may say, what is wrong with them, and what they become."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.config.emptied import emptied
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.config.watched import Watched, watched

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp()
SBC = """\
listeners: {udp: {bind: 127.0.0.1:5060, transport: udp}, phones: {bind: 127.0.0.1:5070, transport: udp}}
acl: acl.d
"""
FILES = {
    "sbc.yaml": SBC,
    "routes.d/10.yaml": "rules: [{name: all, when: true, then: reject 403}]\n",
    "trunks.d/a.yaml": "trunk: a\nlistener: udp\nsources: [192.0.2.1]\n",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "acl.d").mkdir()
    return tmp_path


def load(directory: Path, *rules: str, former: Snapshot | None = None, head: str = "") -> Snapshot:
    text = head + "rules:\n" + "".join(f"  - {rule}\n" for rule in rules)
    (directory / "acl.d" / "10.yaml").write_text(text)
    return build_snapshot(directory, NOW, former)


def wrong(directory: Path, *rules: str, head: str = "") -> list[str]:
    """What is wrong, with the remedy, and warnings if nothing is."""
    try:
        found = load(directory, *rules, head=head).warnings
    except ConfigError as error:
        found = error.diagnostics
    return [f"{each.path}:{each.line}: {each.message}: {each.hint}" for each in found]


def test_files_come_by_name_and_rules_in_order(directory: Path) -> None:
    (directory / "acl.d" / "20.yaml").write_text("rules: [{deny: {address: public}}]\n")
    (directory / "acl.d" / "05.yaml").write_text("rules: [{allow: {glob: 192.0.2.*}}]\n")
    (directory / "acl.d" / ".hidden.yaml").write_text("rules: {")
    acl = load(directory, "deny: {cidr: [198.51.100.0/24, 203.0.113.0/24]}", "deny: {sip-did: +4990*}").acl
    assert [(rule.place, str(rule)) for rule in acl.rules] == [
        ("acl.d/05.yaml:1", "allow glob 192.0.2.*"),
        ("acl.d/10.yaml:2", "deny cidr 198.51.100.0/24, 203.0.113.0/24"),
        ("acl.d/10.yaml:3", "deny sip-did +4990*"),
        ("acl.d/20.yaml:1", "deny address public"),
    ]


@pytest.mark.parametrize(
    ("written", "kind", "read"),
    [
        ("{address: '::FFFF:203.0.113.9'}", "address", "203.0.113.9"),
        ("{address: '2001:DB8:0::9'}", "address", "2001:db8::9"),
        ("{address: Public}", "address", "public"),
        ("{cidr: 203.0.113.9/24}", "cidr", None),
        ("{glob: '2001:DB8:*'}", "glob", "2001:db8:*"),
        ("{sip-user: 0049}", "sip-user", "0049"),
        ("{sip-user: 100}", "sip-user", "100"),
        ("{sip-user: '+49 (30) 1'}", "sip-user", None),
        ("{sip-user: '+49-30-1'}", "sip-user", "+49301"),
        ("{sip-user: '0049-30*'}", "sip-user", "004930*"),
        ("{sip-user: 'a-b*'}", "sip-user", "a-b*"),
        ("{sip-user: 'Bob@Example.COM'}", "sip-user", "Bob@example.com"),
        ("{sip-user: 'sip:bob@example.com'}", "sip-user", None),
        ("{sip-from: '*@[2001:DB8::1]'}", "sip-from", "*@2001:db8::1"),
        ("{sip-did: '+49 (30) 1?'}", "sip-did", "+49301?"),
        ("{sip-did: +4930}", "sip-did", "+4930"),
        ("{sip-did: alice}", "sip-did", None),
        ("{glob: '203.0.113.9'}", "glob", None),
        ("{glob: '*.example'}", "glob", None),
        ("{address: 203.0.113.0/24}", "address", None),
        ("{cidr: carrier.example}", "cidr", None),
        ("{address: []}", "address", None),
        ("{address: 203.0.113.9, cidr: 203.0.113.0/24}", "address", None),
        ("{}", "address", None),
        ("{adress: 203.0.113.9}", "address", None),
    ],
)
def test_what_is_compared_is_read_into_the_form_that_is_met(
    directory: Path, written: str, kind: str, read: str | None
) -> None:
    if read is None:
        (line,) = wrong(directory, f"deny: {written}")
        assert line.startswith("acl.d/10.yaml:2: ") and not line.endswith(": "), line
    else:
        (rule,) = load(directory, f"deny: {written}").acl.rules
        assert (rule.kind, rule.values) == (kind, (read,))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{note: nothing}", "neither allow nor deny: write one of them"),
        ("{allow: {address: 203.0.113.9}, deny: {address: 203.0.113.8}}", "allow and deny in one rule"),
        ("{deny: {address: 203.0.113.9}, silent: true}", "silent is for a deny of sip-user"),
        ("{allow: {sip-user: a}, silent: true}", "silent is for a deny of sip-user"),
        ("{deny: {address: 203.0.113.9}, until: tomorrow}", "'tomorrow' is not a day: write year-month-day"),
        ("{deny: {address: 203.0.113.9}, until: 2027-02-30}", "'2027-02-30' is not a day"),
        ("{deny: {address: 203.0.113.9}, until: 9999-12-31}", "'9999-12-31' is not a day"),
        ("{deny: {address: 203.0.113.9}, force: yes}", "write true"),
    ],
)
def test_a_rule_that_says_nothing_or_too_much_is_named(directory: Path, rule: str, said: str) -> None:
    (line,) = wrong(directory, rule)
    assert line.startswith("acl.d/10.yaml:2: ") and said in line, line


@pytest.mark.parametrize(
    ("compared", "said", "instead", "host"),
    [
        ("{glob: '2001:0db8:*'}", "matches no address", "{glob: '2001:db8:*'}", "2001:db8::1"),
        ("{glob: '198.051.100.*'}", "matches no address", "{glob: '198.51.100.*'}", "198.51.100.9"),
        ("{glob: '::ffff:203.0.113.*'}", "write 203.0.113.*", "{glob: '203.0.113.*'}", "203.0.113.9"),
        ("{address: '2001:db8::1%eth0'}", "leave it out", "{address: '2001:db8::1'}", "2001:db8::1"),
        ("{cidr: '2001:db8::%eth0/64'}", "leave it out", "{cidr: '2001:db8::/64'}", "2001:db8::1"),
    ],
)
def test_what_would_compare_with_nothing_is_refused_and_its_remedy_works(
    directory: Path, compared: str, said: str, instead: str, host: str
) -> None:
    (line,) = wrong(directory, f"deny: {compared}")
    assert said in line
    assert load(directory, f"deny: {instead}").acl.bars("udp", host, "", NOW)


@pytest.mark.parametrize("pattern", ["10.0.*", "*.0", "0*", "2001:db8:0:*", "::?", "*:0"])
def test_a_zero_alone_is_no_leading_one(directory: Path, pattern: str) -> None:
    assert load(directory, f"{{deny: {{glob: '{pattern}'}}, force: true}}").acl.rules


@pytest.mark.parametrize(
    ("compared", "shared"),
    [
        ("{address: 127.0.0.1}", "127.0.0.0/8"), ("{address: '::1'}", "::1/128"),
        ("{address: 10.1.2.3}", "10.0.0.0/8"), ("{address: '::ffff:192.168.1.1'}", "192.168.0.0/16"),
        ("{address: 'fe80::1'}", "fe80::/10"), ("{address: 'fd00::1'}", "fc00::/7"),
        ("{cidr: 0.0.0.0/0}", "127.0.0.0/8"), ("{cidr: '::/0'}", "::1/128"),
        ("{cidr: 172.0.0.0/8}", "172.16.0.0/12"),
        ("{cidr: [203.0.113.0/24, 169.254.0.0/16]}", "169.254.0.0/16"),
        ("{glob: '*'}", "127.*"), ("{glob: '1*.1'}", "127.*"), ("{glob: '172.2?.*'}", "172.20.*"),
        ("{glob: 'fe[8]*'}", None), ("{glob: 'f*:1'}", "fc??:*"),
    ],
)  # fmt: skip
def test_a_lockout_is_refused_and_its_remedies_work(
    directory: Path, compared: str, shared: str | None
) -> None:
    lines = wrong(directory, f"deny: {compared}")
    assert len(lines) == 1 and lines[0].startswith("acl.d/10.yaml:2: ")
    if shared is None:
        assert "is not a pattern of addresses" in lines[0]
        return
    assert f"would shut out private addresses or this machine's own ({shared})" in lines[0]
    assert "force: true" in lines[0]
    assert load(directory, f"{{deny: {compared}, force: true}}").acl.rules
    assert load(directory, f"{{allow: {compared}}}").acl.rules, "to let in shuts out nobody"
    if "address: public" in lines[0]:
        acl = load(directory, "deny: {address: public}").acl
        assert not acl.bars("udp", "10.0.0.1", "", NOW) and acl.bars("udp", "203.0.113.1", "", NOW)


@pytest.mark.parametrize(
    "compared",
    ["{address: 203.0.113.9}", "{cidr: 192.0.2.0/24}", "{cidr: 100.64.0.0/10}", "{glob: '203.0.*'}"],
)
def test_what_python_calls_private_may_be_shut_out(directory: Path, compared: str) -> None:
    assert wrong(directory, f"deny: {compared}") == []


def test_a_rule_holds_to_the_end_of_its_day_and_is_named_after(directory: Path) -> None:
    acl = load(directory, "{deny: {address: 203.0.113.9}, until: 2027-01-31}").acl
    midnight = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
    assert acl.bars("udp", "203.0.113.9", "", midnight - 1)
    assert not acl.bars("udp", "203.0.113.9", "", midnight)
    assert wrong(directory, "{deny: {address: 203.0.113.9}, until: 2027-01-30}") == [
        "acl.d/10.yaml:2: it is over: the rule holds no more: remove the rule, or write a later day"
    ]


def test_what_changes_nothing_is_named(directory: Path) -> None:
    assert wrong(directory, "allow: {cidr: 203.0.113.0/24}") == [
        "acl.d/10.yaml:2: no rule denies anything: all of them change nothing:"
        " write what is denied, such as deny: {address: public} at the end"
    ]
    assert wrong(directory, "deny: {sip-user: a}", "allow: {sip-user: a}") == [
        "acl.d/10.yaml:3: the rule decides nothing:"
        " remove it: acl.d/10.yaml:2, of the same, decides before it"
    ]
    assert wrong(directory, "{deny: {sip-user: a}, until: 2027-02-01}", "deny: {sip-user: a}") == []


def test_names_that_are_not_there_are_named(directory: Path) -> None:
    lines = wrong(directory, "deny: {sip-user: a}", head="tenant: acme\nlisteners: [phone]\n")
    assert lines == [
        "acl.d/10.yaml:1: unknown tenant 'acme': define it under `tenants:` in sbc.yaml",
        "acl.d/10.yaml:2: unknown listener 'phone': did you mean 'phones'?",
    ]
    acl = load(directory, "deny: {address: 203.0.113.9}", head="listeners: phones\n").acl
    assert acl.bars("phones", "203.0.113.9", "", NOW) and not acl.bars("udp", "203.0.113.9", "", NOW)


def test_patterns_that_are_slow_are_few(directory: Path) -> None:
    rules = [f"deny: {{sip-user: '*{number}*'}}" for number in range(101)]
    (line,) = wrong(directory, *rules)
    assert line.startswith(
        "acl.d/10.yaml:102: more than 100 patterns have * or ? at both ends: write how each"
    )
    assert wrong(directory, *rules[:100]) == []


def test_a_directory_that_is_missing_is_a_mistake_and_one_that_is_empty_a_remark(directory: Path) -> None:
    (snapshot,) = [build_snapshot(directory, NOW)]
    assert [each.message for each in snapshot.warnings] == ["no *.yaml is here"]
    (directory / "acl.d").rmdir()
    with pytest.raises(ConfigError, match="there is no such directory"):
        build_snapshot(directory, NOW)


def test_a_list_that_is_gone_as_a_whole_is_put_in_force_only_if_somebody_insists(directory: Path) -> None:
    former = load(directory, "deny: {sip-user: a}")
    (directory / "acl.d" / "10.yaml").unlink()
    (lost,) = emptied(former, build_snapshot(directory, NOW, former))
    assert str(lost).startswith("acl.d: error: no rule is left: nobody would be barred any more")
    (directory / "sbc.yaml").write_text(SBC.replace("acl: acl.d\n", ""))
    (lost,) = emptied(former, build_snapshot(directory, NOW, former))
    assert str(lost).startswith("acl.d: error: no rule is left")


def test_a_change_makes_a_new_version_and_keeps_the_counts(directory: Path) -> None:
    former = load(directory, "deny: {sip-user: a}", "deny: {address: 203.0.113.9}")
    assert former.acl.at_door("udp", "203.0.113.9", (), NOW) is not None
    same = build_snapshot(directory, NOW, former)
    assert same.version == former.version
    fresh = load(directory, "deny: {address: 203.0.113.9}", former=former)
    assert fresh.version != former.version and fresh.acl.rules[0].count.hits == 1


def test_a_file_that_was_read_before_still_knows_its_places(directory: Path) -> None:
    former = load(directory, "deny: {sip-user: a}", "deny: {sip-user: b}", head="listeners: [phones]\n")
    (directory / "sbc.yaml").write_text(SBC.replace("phones:", "desk:"))
    for _ in range(2):
        with pytest.raises(ConfigError) as wrong_:
            build_snapshot(directory, NOW, former)
        (found,) = wrong_.value.diagnostics
        assert (found.path, found.line, found.col) == ("acl.d/10.yaml", 1, 13)
        assert found.source == "listeners: [phones]"
    (directory / "sbc.yaml").write_text(SBC + "user_agent: other\n")
    again = build_snapshot(directory, NOW, former)
    assert [rule.place for rule in again.acl.rules] == ["acl.d/10.yaml:3", "acl.d/10.yaml:4"]
    assert again.acl_files["acl.d/10.yaml"] is former.acl_files["acl.d/10.yaml"]


def test_its_files_are_watched(directory: Path) -> None:
    assert Watched(directory / "acl.d", "*.yaml") in watched(directory)
    (directory / "sbc.yaml").write_text(SBC.replace("acl.d", "lists/acl") + "nonsense: [")
    assert all("acl" not in str(each.directory) for each in watched(directory)), "it cannot be read"
    (directory / "sbc.yaml").write_text(SBC.replace("acl.d", "lists/acl") + "nonsense: 1\n")
    assert Watched(directory / "lists/acl", "*.yaml") in watched(directory)
