"""What scanners of TLS find: nothing below TLS 1.2 is offered, and no weakness that they know.

sslyze, which can show a client certificate, looks at a trunk's port with mutual TLS; testssl.sh, which needs
none to look at everything, at the phones'.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.edge.open_ports import Open
from tests.peers.needs import needs
from tests.peers.process import find

pytestmark = [pytest.mark.slow, pytest.mark.interop]

# It wants an older cryptography than ours: an environment of its own.
SSLYZE = "sslyze==6.3.1"
LOOKS = (
    "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "heartbleed", "openssl_ccs", "robot", "reneg",
    "compression", "resum",
)  # fmt: skip
# What testssl.sh finds and may find: no mistake of ours, as the texts say.
BEARABLE = {
    "BREACH": "of HTTP alone",
    "fallback_SCSV": "there is nothing to fall back to but TLS 1.2",
    "cert_trust": "of a laboratory's CA",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """An SBC with a trunk of mutual TLS, and a port for phones."""
    made = Open(tmp_path_factory.mktemp("scanned"))
    made.sbc.start()
    made.sbc.ready()
    yield made
    made.sbc.stop()


@pytest.fixture(scope="session")
def sslyze(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of sslyze: one that is there, or in an environment of its own."""
    if (there := shutil.which("sslyze")) is not None:
        return there
    home = tmp_path_factory.mktemp("sslyze")
    for argv in (
        [sys.executable, "-m", "venv", str(home)],
        [str(home / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", SSLYZE],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"{SSLYZE.upper()} COULD NOT BE INSTALLED: {done.stderr.strip().splitlines()[-1:]}")
    return str(home / "bin" / "sslyze")


def scan(sslyze: str, running: Open, *words: str) -> dict[str, Any]:
    """What sslyze finds on the trunk's port."""
    out = running.directory / "sslyze.json"
    target = f"sbc.lab.example:{running.trunk}{{127.0.0.1}}"
    argv = [sslyze, *words, "--json_out", str(out), *(f"--{each}" for each in LOOKS), target]
    subprocess.run(argv, capture_output=True, timeout=240)
    (found,) = json.loads(out.read_text())["server_scan_results"]
    return dict(found)


def test_sslyze_on_a_trunk_with_mutual_tls(sslyze: str, running: Open) -> None:
    tls = running.directory / "tls"
    found = scan(sslyze, running, "--cert", str(tls / "office.pem"), "--key", str(tls / "office.key"))
    assert found["connectivity_status"] == "COMPLETED", found["connectivity_error_trace"]
    looked = found["scan_result"]
    failed = {name: each["error_reason"] for name, each in looked.items() if each["status"] == "ERROR"}
    assert failed == {}

    def result(name: str) -> dict[str, Any]:
        return dict(looked[name]["result"])

    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        assert result(f"{version}_cipher_suites")["accepted_cipher_suites"] == [], version
    for version in ("tls_1_2", "tls_1_3"):
        taken = [
            each["cipher_suite"] for each in result(f"{version}_cipher_suites")["accepted_cipher_suites"]
        ]
        assert taken and all("GCM" in each["name"] or "CHACHA20" in each["name"] for each in taken), version
        assert not any(each["is_anonymous"] or each["key_size"] < 128 for each in taken)
        assert version == "tls_1_3" or all("ECDHE" in each["name"] for each in taken)
    assert not result("heartbleed")["is_vulnerable_to_heartbleed"]
    assert not result("openssl_ccs_injection")["is_vulnerable_to_ccs_injection"]
    assert result("robot")["robot_result"].startswith("NOT_VULNERABLE")
    assert not result("session_renegotiation")["is_vulnerable_to_client_renegotiation_dos"]
    assert result("session_renegotiation")["supports_secure_renegotiation"]
    assert not result("tls_compression")["supports_compression"]
    # Early data belongs to a session that is resumed (RFC 8446 4.2.10): without those there is none.
    resumed = result("session_resumption")
    assert (
        resumed["session_id_resumption_result"] == resumed["tls_ticket_resumption_result"] == "NOT_SUPPORTED"
    )


def test_sslyze_without_a_certificate_is_not_let_in(sslyze: str, running: Open) -> None:
    found = scan(sslyze, running)
    assert found["connectivity_result"]["client_auth_requirement"] == "REQUIRED"


def by_testssl(running: Open, *words: str) -> dict[str, tuple[str, str]]:
    """What testssl.sh finds on the phones' port: of each test the severity and the words."""
    needs("testssl")
    out = running.directory / f"testssl{'-'.join(words)}.json"
    argv = [find("testssl"), "--quiet", "--color", "0", "--warnings", "batch", "--jsonfile", str(out)]
    subprocess.run([*argv, *words, f"127.0.0.1:{running.tls}"], capture_output=True, timeout=900)
    return {each["id"]: (each["severity"], each["finding"]) for each in json.loads(out.read_text())}


def versions_are_ours(found: dict[str, tuple[str, str]]) -> None:
    said = {name: words for name, (_, words) in found.items()}
    old = {name: said[name] for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1")}
    assert set(old.values()) == {"not offered"}, old
    assert said["TLS1_2"] == "offered" and said["TLS1_3"].startswith("offered")


def test_testssl_on_the_phones_port(running: Open) -> None:
    versions_are_ours(by_testssl(running, "-p"))


@pytest.mark.long
def test_testssl_knows_no_weakness_of_the_phones_port(running: Open) -> None:
    found = by_testssl(running, "-p", "-s", "-f", "-U")
    versions_are_ours(found)
    bad = {
        name: said
        for name, said in found.items()
        if said[0] in ("LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL") and name not in BEARABLE
    }
    assert bad == {} and len(found) > 30
