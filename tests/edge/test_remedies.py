"""Every remedy mends: a fault is injected, its line read, what that says is done, and it works."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from sbc.base import ConfigError
from sbc.demo.pki import LabAuthority, key_bytes
from tests.edge.remedies.agreement import AGREEMENT
from tests.edge.remedies.certificates import CERTIFICATES, DATES, nameless
from tests.edge.remedies.ours import OURS
from tests.edge.remedies.revoked import REVOKED
from tests.edge.remedies.rows import Row, anew
from tests.edge.remedies.site import HOST, NAME, Site
from tests.edge.remedies.trust import TRUST

pytestmark = pytest.mark.slow  # some hundred and fifty handshakes, with new keys each

OURS_OF = {"inbound": "tls.server_identity", "outbound": "tls.client_identity"}
ROWS: tuple[Row, ...] = (*AGREEMENT, *TRUST, *CERTIFICATES, *DATES, *REVOKED, *OURS)
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


def test_a_certificate_without_a_subject_is_shown_by_its_names(site: Site) -> None:
    assert not site.works("inbound", site.shows("inbound", nameless(site), None))
    assert site.line()["presented"] == "a certificate without a subject (dns:pbx.example)"


def test_a_root_of_version_1_whose_intermediate_is_filed(site: Site) -> None:
    """Such a root is refused when it is loaded; what is said there is done."""
    root, middle = old_root(site), LabAuthority("Issuing CA")
    site.trusting("old", ca="tls/root.pem")
    with pytest.raises(ConfigError) as refused:
        site.snapshot()
    said = "".join(map(str, refused.value.diagnostics))
    assert "is of X.509 version 1" in said and "file the intermediate below it here" in said
    middle.certificate = x509.load_pem_x509_certificate(anew(middle.certificate, root))
    site.put("tls/issuing.pem", middle.cert_pem)
    site.trusting("old", ca="tls/issuing.pem")
    peer = middle.issue(dns=[NAME, HOST])
    assert site.works("inbound", site.shows("inbound", peer, None))


def old_root(site: Site) -> LabAuthority:
    """A CA whose certificate has no extensions, as tls/root.pem."""
    root = LabAuthority("Old Root")
    site.put("tls/root.key", key_bytes(root.key))
    for argv in (
        ["req", "-new", "-key", "root.key", "-subj", "/CN=Old Root", "-out", "root.csr"],
        ["x509", "-req", "-in", "root.csr", "-signkey", "root.key", "-days", "9000", "-out", "root.pem"],
    ):
        subprocess.run(["openssl", *argv], cwd=site.directory / "tls", check=True, capture_output=True)
    return root
