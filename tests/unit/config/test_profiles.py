"""Profiles: what they set, what a file overrides, what they ask for, and what `sbc trunks` says of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sbc.base import ConfigError, LocalError
from sbc.cli import main
from sbc.commands.trunks import shown
from sbc.config.load import build_snapshot
from sbc.config.model import Trunk
from sbc.config.profiles import PROFILES, settings
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import LabAuthority

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "profiles.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```yaml\n# (trunks\.d\S+)\n(.*?)```", PAGE, re.DOTALL))
SETTINGS = """\
listeners: {trunk-tls: {bind: 127.0.0.1:5061, transport: tls}}
identities: {sbc: {chain: tls/sbc.pem, key: tls/sbc.key}}
trust:
  teams-roots: {ca: tls/ca.pem, public: true}
  platform-roots: {ca: tls/ca.pem, public: true}
  carrier-ca: {ca: tls/ca.pem}
  partner-ca: {ca: tls/ca.pem}
media: {address: 127.0.0.1}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with certificates."""
    path = tmp_path_factory.mktemp("profiles")
    for each in ("tls", "trunks.d", "routes.d"):
        (path / each).mkdir()
    authority = LabAuthority("lab")
    issued = authority.issue(dns=["sbc.customer.example"])
    for name, data in (
        ("ca.pem", authority.cert_pem),
        ("sbc.pem", issued.chain_pem),
        ("sbc.key", issued.key_pem),
    ):
        (path / "tls" / name).write_bytes(data)
    (path / "sbc.yaml").write_text(SETTINGS)
    (path / "routes.d" / "10.yaml").write_text("rules: [{name: no, when: true, then: reject 404}]\n")
    yield path


def built(lab: Path, files: dict[str, str]) -> Snapshot:
    """The configuration with these trunks."""
    for old in (lab / "trunks.d").iterdir():
        old.unlink()
    for name, text in files.items():
        (lab / name).write_text(text)
    return build_snapshot(lab, time.time())


def test_the_examples_of_the_page_are_right(lab: Path) -> None:
    snapshot = built(lab, EXAMPLES)
    assert set(snapshot.trunks) == {"teams", "carrier", "partner", "contact-centre"}
    assert [each.message for each in snapshot.warnings if "no intermediate" not in each.message] == []


def test_the_page_knows_every_profile() -> None:
    assert [name for name in PROFILES if f"| `{name}` |" not in PAGE] == []


@pytest.mark.parametrize("name", PROFILES)
def test_every_setting_of_a_profile_is_one_of_a_trunk(name: str) -> None:
    """What a profile sets is really in force, word for word."""
    given = {"trunk": "x", "listener": "main", "profile": name}
    plain = Trunk.model_validate({"trunk": "x", "listener": "main", **PROFILES[name].sets})
    profiled = Trunk.model_validate(given)
    assert profiled.model_copy(update={"profile": None}) == plain


def test_teams_is_all_that_its_page_asks_for() -> None:
    teams = Trunk.model_validate({"trunk": "teams", "listener": "main", "profile": "teams"})
    assert [str(each) for each in teams.peers] == [
        "sip.pstnhub.microsoft.com:5061", "sip2.pstnhub.microsoft.com:5061",
        "sip3.pstnhub.microsoft.com:5061",
    ]  # fmt: skip
    assert teams.sources == ("52.112.0.0/14", "52.120.0.0/14")
    assert teams.tls is not None and teams.tls.mode == "required"
    assert (teams.tls.client_eku, teams.tls.min_version) == ("allow-server-auth", "1.2")
    assert (teams.scheme, teams.srtp, teams.suites) == ("sip", "required", ("AES_CM_128_HMAC_SHA1_80",))
    assert teams.options is not None and teams.options.every == 60.0
    assert teams.delayed_offer == "refuse"


def test_what_the_file_writes_comes_first_key_by_key() -> None:
    given: dict[str, Any] = {
        "trunk": "x", "listener": "main", "profile": "teams", "sources": ["192.0.2.0/24"], "identity": "none",
        "options": {"every": "10s"}, "tls": {"client_eku": "require", "trust": ["own"]},
    }  # fmt: skip
    trunk = Trunk.model_validate(given)
    assert trunk.sources == ("192.0.2.0/24",) and trunk.identity.into == trunk.identity.out == "none"
    assert trunk.options is not None and (trunk.options.every, trunk.options.down_after) == (10.0, 3)
    assert trunk.tls is not None
    assert (trunk.tls.client_eku, trunk.tls.names, trunk.tls.trust) == (
        "require", ("*.pstnhub.microsoft.com",), ("own",),
    )  # fmt: skip
    again = Trunk.model_validate({"trunk": "y", "listener": "main", "profile": "teams"})
    assert again.options is not None and again.options.every == 60.0


MISTAKES = [
    ("teams", r"domain: .*\n", "", "profile 'teams' needs domain", "Teams answers 403"),
    ("teams", "client_identity: sbc, ", "", "profile 'teams' needs tls.client_identity", "it shows"),
    ("teams", "sbc.customer.example", "192.0.2.7", "192.0.2.7 is no name", "write the name"),
    ("teams", "profile: teams", "profile: team", "profile: 'team' is not a choice", "did you mean 'teams'?"),
    ("teams", r", trust: \[.*?\]", "", "mode 'required' without trust", "write trust: [NAME]"),
    ("carrier", r"peers: .*\n", "", "profile 'carrier-mtls' needs peers", "write peers: [host:port]"),
    ("carrier", r", names: \[.*?\]", "", "profile 'carrier-mtls' needs tls.names", "a certificate says"),
    ("partner", r"sources: .*\n", "", "profile 'federation' needs sources", "write sources: [NETWORK]"),
    ("contact-centre", r"sources: .*\n", "", "profile 'byoc-tls' needs sources", "the address is all"),
    ("contact-centre", r", names: \[.*?\]", "", "profile 'byoc-tls' needs tls.names", "anybody has"),
]


@pytest.mark.parametrize(("trunk", "old", "new", "message", "hint"), MISTAKES)
def test_what_is_missing_is_asked_for(
    lab: Path, trunk: str, old: str, new: str, message: str, hint: str
) -> None:
    name = f"trunks.d/{trunk}.yaml"
    text = re.sub(old, new, EXAMPLES[name], count=1)
    assert text != EXAMPLES[name]
    with pytest.raises(ConfigError) as refused:
        built(lab, {name: text})
    found = [each for each in refused.value.diagnostics if each.message == message]
    assert found and found[0].hint.startswith(hint) and found[0].path == name
    assert found[0].line == 2 or "profile" not in message or "not a choice" in message


def test_what_holds_is_shown_with_where_it_comes_from(lab: Path) -> None:
    answer = shown(built(lab, EXAMPLES), "teams")
    rows = {row["key"]: row for row in answer["settings"]}
    assert rows["options.every"] == {
        "key": "options.every", "value": "30s", "from": "trunks.d/teams.yaml:5", "overrides": "60s",
    }  # fmt: skip
    assert rows["tls.mode"] == {"key": "tls.mode", "value": "required", "from": "profile"}
    assert rows["tls.server_identity"]["from"] == "trunks.d/teams.yaml:6"
    assert set(dict(settings(PROFILES["teams"].sets))) <= set(rows)
    assert "ring_timeout" not in rows
    every = {row["key"]: row for row in shown(built(lab, EXAMPLES), "teams", True)["settings"]}
    assert every["ring_timeout"]["from"] == "default" and every["tls.name_match"]["value"] == "rfc5922"
    assert len(every) == len(shown(built(lab, EXAMPLES), "teams", True)["settings"])


def test_one_word_in_place_of_keys_overrides_them_all(lab: Path) -> None:
    files = {"trunks.d/partner.yaml": EXAMPLES["trunks.d/partner.yaml"] + "identity: none\n"}
    rows = {row["key"]: row for row in shown(built(lab, files), "partner")["settings"]}
    assert rows["identity"]["overrides"] == {"in": "screened", "out": "screened"}
    assert "identity.in" not in rows


def test_the_commands_say_so(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built(lab, EXAMPLES)
    assert main(["trunks", "show", "teams", "-c", str(lab)]) == 0
    out = capsys.readouterr().out
    quoted = re.search(r"\$ sbc trunks show teams\n(.*?)\n```", PAGE, re.DOTALL)
    assert quoted is not None
    said = [line.split() for line in out.splitlines()]
    for line in quoted[1].splitlines():
        words = line.split()
        assert words == ["..."] or words in said, line
    assert main(["trunks", "show", "teams", "--json", "-c", str(lab)]) == 0
    assert json.loads(capsys.readouterr().out)["profile"] == "teams"
    assert main(["trunks", "show", "nobody", "-c", str(lab)]) == 1
    assert "there is no trunk 'nobody'" in capsys.readouterr().err


def test_profiles_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trunks", "profiles"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list(PROFILES)
    assert main(["trunks", "profiles", "byoc-tls"]) == 0
    out = capsys.readouterr().out
    assert "  tls.mode: server\n" in out and "  needs sources: the address is all" in out
    assert main(["trunks", "profiles", "byoc"]) == 1


def test_a_domain_stands_for_the_peers_of_a_profile() -> None:
    given = {"trunk": "x", "listener": "main", "profile": "teams", "srv": "teams.lab.example"}
    assert Trunk.model_validate(given).servers == ()


def test_a_domain_is_enough_where_a_profile_asks_for_peers(lab: Path) -> None:
    name = "trunks.d/carrier.yaml"
    text = re.sub(r"peers: .*", "srv: carrier.lab.example", EXAMPLES[name])
    assert built(lab, {name: text}).trunks["carrier"].srv == "carrier.lab.example"


def test_a_trunk_that_is_not_there(lab: Path) -> None:
    with pytest.raises(LocalError, match="there are carrier"):
        shown(built(lab, {"trunks.d/carrier.yaml": EXAMPLES["trunks.d/carrier.yaml"]}), "teams")
