"""docs/report.md: the page that it shows is what comes of such records."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import get_args

from sbc.commands.report import counted
from sbc.commands.report_text import render
from sbc.flow import Flow
from sbc.tls.revocation.finding import State
from tests.unit.commands.test_report import HERE, THERE, media, over, record, refused

PAGE = (Path(__file__).parents[3] / "docs" / "report.md").read_text("utf-8")


def test_the_report_is_as_it_is_shown(tmp_path: Path) -> None:
    unasked = over("TLSv1.2", "unanswered")
    turned_away = json.loads(refused(403, "us", to="", b=None)) | {"refused": 2}
    made = [
        record(b=unasked), record(b=unasked), refused(486, "callee", b=unasked), json.dumps(turned_away),
        record(media("AEAD_AES_128_GCM", ""), to="legacy", b=Flow(2, "udp", HERE, THERE), downgraded=True),
    ]  # fmt: skip
    path = tmp_path / "calls.jsonl"
    path.write_text("\n".join([*made, ""]))
    report = counted(path, date(2026, 5, 1), date(2026, 5, 31), "Europe/Berlin")
    (shown,) = re.findall(r"^```console\n\$ sbc report .*?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown == render(report) + "\n"


def test_every_reason_why_revocation_is_not_known_is_explained() -> None:
    explained = set(re.findall(r"`([\w-]+)`: ", PAGE))
    assert explained == set(get_args(State)) - {"good", "revoked"}
