"""Every remedy mends: a fault is injected, its line read, what that says is done, and it works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.edge.remedies.agreement import AGREEMENT
from tests.edge.remedies.certificates import CERTIFICATES
from tests.edge.remedies.ours import OURS
from tests.edge.remedies.rows import Row
from tests.edge.remedies.site import Site
from tests.edge.remedies.trust import TRUST

pytestmark = pytest.mark.slow  # some hundred and fifty handshakes, with new keys each

OURS_OF = {"inbound": "tls.server_identity", "outbound": "tls.client_identity"}
ROWS: tuple[Row, ...] = (*AGREEMENT, *TRUST, *CERTIFICATES, *OURS)
CASES = [(row, version) for row in ROWS for version in row.versions]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("row", "version"), CASES, ids=[f"{row.fault}, {row.direction}, {version}" for row, version in CASES]
)
def test_what_is_said_of_a_fault_mends_it(site: Site, row: Row, version: str) -> None:
    peer = row.inject(site, version)
    assert not site.works(row.direction, peer)
    line = site.line()
    assert (line["kind"], line["direction"], line["trunk"]) == (row.kind, row.direction, "carrier"), line
    assert re.search(row.detail, line["detail"]), line
    said = re.search(row.remedy, line["remedy"])
    assert said is not None, line
    key = OURS_OF[row.direction] if row.where == "*" else row.where
    assert line["where"].endswith(f"({key})") if key else line["where"] == "-", line
    mended = row.mend(site, version, said)
    site.reload()
    assert site.works(row.direction, mended), site.door.ours.failure().failure
