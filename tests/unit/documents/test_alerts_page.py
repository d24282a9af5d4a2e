"""docs/alerts.md: its examples are configurations that pass, its numbers and words are those of the code."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.config.alerts import SCHEMES, Alerts, QuietHours, Sink, Watched, objection
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.net.alerts.alerting import EVERY
from sbc.observe.alerts.outbox import MOST

PAGE = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n# sbc.yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
REST = "listeners: {edge: {bind: 127.0.0.1:5060, transport: udp}}\nmedia: {address: 127.0.0.1}\n"
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TEAMS = "workflows://prod-1.westeurope.logic.azure.com:443/643e69f83c8944/aTokenThatNobodySees"


def loaded(directory: Path, words: str, **secrets: str) -> Snapshot:
    rules = "rules: [{name: no, when: true, then: reject 404}]\n"
    trunk = "trunk: office\nlistener: edge\nsources: [192.0.2.0/24]\n"
    files = {"sbc.yaml": REST + words, "routes.d/10.yaml": rules, "trunks.d/office.yaml": trunk}
    files |= {f"secrets/{name}": text for name, text in secrets.items()}
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return build_snapshot(directory, time.time())


def mistakes(directory: Path, words: str, **secrets: str) -> str:
    with pytest.raises(ConfigError) as refused:
        loaded(directory, words, **secrets)
    return str(refused.value)


def test_the_first_example_passes_and_says_what_the_page_says(tmp_path: Path) -> None:
    snapshot = loaded(tmp_path, EXAMPLES[0], slack=f"{SLACK}\n", teams=TEAMS)
    assert {name: each.url for name, each in snapshot.sinks.items()} == {
        "noc": "mailto://mail.example.net?from=sbc@example.net&to=noc@example.net",
        "oncall": SLACK,
        "team": TEAMS,
    }
    assert [each.name for each in snapshot.sinks.values() if each.urgent_only] == ["oncall"]
    alerts = snapshot.settings.alerts
    assert alerts is not None and alerts.every == Alerts.model_fields["every"].default == 900
    assert alerts.quiet_hours is not None and (alerts.quiet_hours.begins, alerts.quiet_hours.ends) == (
        1320,
        390,
    )
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in repr(snapshot)


def test_the_other_example_passes_too(tmp_path: Path) -> None:
    alerts = loaded(
        tmp_path, EXAMPLES[1], mail="mailtos://u:p@mail.example.net?to=noc@example.net"
    ).settings.alerts
    assert alerts is not None and alerts.watch == Watched.model_validate(
        {"handshake_failures": 50, "blocked": 200, "within": 600, "disk_free": "5%"}
    )


def test_every_key_is_explained_and_every_default_is_as_written() -> None:
    for model in (Alerts, Sink, QuietHours, Watched):
        keys = [field.alias or name for name, field in model.model_fields.items() if name != "url"]
        assert [key for key in keys if f"`{key}" not in PAGE] == []
    watched = Watched()
    assert (
        f"`handshake_failures` ({watched.handshake_failures}) `within` ({watched.within / 60:.0f}m)" in PAGE
    )
    assert f"`blocked` ({watched.blocked})" in PAGE and f"`disk_free` ({watched.disk_free:.0%})" in PAGE
    assert (
        f"up to {MOST} notices wait" in PAGE
        and f"{EVERY:.0f}" == "10"
        and "every ten seconds" in " ".join(PAGE.split())
    )


def test_every_kind_of_address_on_the_page_is_taken() -> None:
    shown = re.findall(r"^\| .* \| `(\w+)://", PAGE, re.MULTILINE)
    assert set(shown) == set(SCHEMES)
    filled = [each.replace("...", "x") for each in re.findall(r"^\| .* \| `(\w+://\S+)`", PAGE, re.MULTILINE)]
    assert filled and [objection(each) for each in filled] == [""] * len(filled)


@pytest.mark.parametrize(
    ("words", "secret", "said"),
    [
        (f'{{to: {{a: "{SLACK}"}}}}', "", "write it to a file of its own"),
        ('{to: {a: "mailto://u:sesame@b.example?to=c@d"}}', "", "holds a secret"),
        ('{to: {a: "mailtos://b.example?user=u&pass=sesame"}}', "", "holds a secret"),
        ("{to: {a: {url_file: secrets/none}}}", "", "there is no such file"),
        ("{to: {a: {url_file: secrets/a}}}", "sesame", "its scheme is none that alerts go to"),
        ("{to: {a: {url_file: secrets/a}}}", "file:///sesame", "its scheme is none that alerts go to"),
        ("{to: {a: {url_file: secrets/a}}}", "slack://", "without blanks"),
        ("{to: {a: {url_file: secrets/a}}}", "slack://sesame two", "without blanks"),
        ("{to: {a: {url_file: secrets/a}}}", "slack://[sesame", "it is no URL"),
        ("{to: {a: {url_file: secrets/a}}}", "mailto://u:sesame@b.example?to=c@d", "write mailtos://"),
        ("{to: {a: {}}}", "", "where to is said twice or never"),
        ("{to: {}}", "", "to"),
        ('{to: {a: {url_file: secrets/a}}, QUIET {from: "25:00", to: "6:00"}}', SLACK, "no time of day"),
        (
            '{to: {a: {url_file: secrets/a}}, QUIET {from: "06:00", to: "06:00"}}',
            SLACK,
            "end when they begin",
        ),
        ("{to: {a: {url_file: secrets/a}}, QUIET {from: 22, to: 6, zone: Berlin}}", SLACK, "no time zone"),
        ("{to: {a: {url_file: secrets/a}}, watch: {disk_free: much}}", SLACK, "no share of a disk"),
    ],
)
def test_what_is_wrong_is_said_where_it_is_and_nothing_of_the_address(
    tmp_path: Path, words: str, secret: str, said: str
) -> None:
    text = mistakes(tmp_path, f"alerts: {words.replace('QUIET', 'quiet_hours:')}\n", a=secret)
    assert "sbc.yaml:3" in text and said in text, text
    assert "sesame" not in text and "TIiajkdnlazkcOXrIdevi7FQ" not in text
