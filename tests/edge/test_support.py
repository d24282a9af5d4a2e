"""``sbc support``: one file with all that helps and nothing secret, whatever runs and whatever is broken."""

from __future__ import annotations

import json
import os
import tarfile
import time
from pathlib import Path

import pytest

from sbc.demo.lab import SBC_NAME, write_configuration
from tests.edge.attacked import TO, attacked
from tests.edge.sbc_command import ROOT, Outcome, sbc
from tests.peers.ports import lab_ports

pytestmark = pytest.mark.slow

HASH = "c0ffee" * 5 + "00"
# One of each kind of secret, by the file that holds it.
SECRETS = {
    "secrets/carrier": "canary-password-of-a-trunk",
    "secrets/passphrase": "canary-passphrase-of-a-key",
    "secrets/token": "canary-token-of-a-lookup",
    "secrets/account": "canary-key-of-an-acme-account",
    "secrets/teams": "workflows://example.net:443/canary-of-a-workflow/canary-of-its-own",
    "phones": f"alice:example.com:{HASH}\n",
    "callers": f"bob:example.com:{HASH[::-1]}\n",
    "hooks/own.py": "_TOKEN = 'canary-in-a-hook'\n\n\ndef on_end(facts, end):\n    pass\n",
    "prefixes.csv": "prefix,rate\n49,canary-in-a-table\n",
}
MORE = """
registrar: {realm: example.com, users: phones}
users: callers
tables: {prefixes: prefixes.csv}
acme:
  directory: https://ca.example.net/
  external_account: {id: "7", key_file: secrets/account}
lookups:
  crm: {url: "https://crm.example.net/q", facts: [to.user], token_file: secrets/token}
alerts: {to: {team: {url_file: secrets/teams}}}
# canary-in-a-comment
"""
REGISTER = "register: {user: alice, realm: example.net, password_file: secrets/carrier}\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "configuration"
    made.mkdir()
    write_configuration(made, lab_ports(), time.time())
    plant(made)
    return made


def plant(directory: Path) -> None:
    for name, text in SECRETS.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    settings = directory / "sbc.yaml"
    settings.write_text(settings.read_text() + MORE)


def packed(directory: Path, *words: str) -> tuple[dict[str, str], Outcome]:
    """What is in the pack by name, and how the command ended."""
    path = directory.parent / "pack.tar.gz"
    path.unlink(missing_ok=True)
    done = sbc(directory, "support", "-o", str(path), *words, seconds=120)
    assert done.status == 0, done
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        members = [each for each in tar.getmembers() if each.isfile()]
        texts = {}
        for each in members:
            file = tar.extractfile(each)
            assert file is not None
            texts[each.name.partition("/")[2]] = file.read().decode()
    return texts, done


def nothing_secret(directory: Path, texts: dict[str, str]) -> None:
    whole = "\n".join([*texts, *texts.values()])
    assert "canary" not in whole
    assert HASH not in whole and HASH[::-1] not in whole
    assert "PRIVATE KEY" not in whole
    for key in (directory / "tls").glob("*.key"):
        body = key.read_text().splitlines()[1:-1]
        assert body and not any(line in whole for line in body), key


def test_what_helps_is_there_without_an_sbc_that_runs(directory: Path) -> None:
    trunk = directory / "trunks.d" / "carrier.yaml"
    trunk.write_text(trunk.read_text() + REGISTER)
    texts, done = packed(directory)
    nothing_secret(directory, texts)
    assert "password_file: secrets/carrier" in texts["config/trunks.d/carrier.yaml"]
    assert "bind: 127.0.0.1" in texts["config/sbc.yaml"] and "config/routes.d/10-lab.yaml" in texts
    assert "Portcullis" in texts["versions.txt"]
    for each in ("python 3.", "openssl OpenSSL ", "libsrtp", "gevent ", "system "):
        assert each in texts["versions.txt"], each
    facts = json.loads(texts["certificates.json"])
    assert any(f"dns:{SBC_NAME}" in each["names"] and each["file"] == "tls/sbc.pem" for each in facts)
    assert texts["check.txt"].startswith("version "), texts["check.txt"]
    assert "tls/sbc.key" in texts["files.txt"] and "hooks/own.py" in texts["files.txt"]
    assert "is it running?" in texts["about.txt"] and "is it running?" in done.err
    assert "status.json" not in texts
    page = (ROOT / "docs" / "support.md").read_text("utf-8")
    assert [name for name in texts if f"`{name.partition('/')[0]}" not in page] == []


WRONG = (
    "register: {user: alice, realm: example.net, password: canary-password}\n",
    "register: {user: alice, realm: example.net, password_file: canary-password}\n",
    "password: |\n  canary-password\n",
    "secret: [canary-password\n",
    "\tpassword: canary-password\n",
    "peers: ['sip:alice:canary-password@192.0.2.1']\n",
)


def test_a_broken_configuration_is_told_and_tells_no_secret(directory: Path) -> None:
    carrier = (directory / "trunks.d" / "carrier.yaml").read_text()
    for number, wrong in enumerate(WRONG):
        (directory / "trunks.d" / f"wrong{number}.yaml").write_text(carrier + wrong)
    texts, _ = packed(directory)
    nothing_secret(directory, texts)
    for number in range(len(WRONG)):
        assert f"trunks.d/wrong{number}.yaml:" in texts["check.txt"]
        assert "listener: " in texts[f"config/trunks.d/wrong{number}.yaml"]


def test_a_broken_hook_or_table_is_named_and_not_quoted(directory: Path) -> None:
    (directory / "hooks" / "own.py").write_text("raise KeyError('canary-in-a-hook')\n")
    (directory / "prefixes.csv").write_text("prefix,rate\n'canary,,\n")
    (directory / "phones").write_text("alice:example.com:canary\n")
    texts, _ = packed(directory)
    nothing_secret(directory, texts)
    assert "hooks/own.py:1:" in texts["check.txt"] and "phones:1:" in texts["check.txt"]


def test_a_running_one_is_asked_and_its_calls_are_there(tmp_path: Path) -> None:
    with attacked(tmp_path / "sbc") as running:
        call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
        assert call.wait_up(30), call.reason
        call.hang_up()
        (record,) = running.records(1)
        with running.sbc.log.open("a") as log:
            log.write("x INF [x] body=inline:canary0123456789 url=https://alice:canary@example.net/\n")
            log.write("Authorization: Basic canary\n")
        texts, done = packed(running.directory, "--log", str(running.sbc.log))
    nothing_secret(running.directory, texts)
    assert done.err == ""
    assert {each["name"] for each in json.loads(texts["status.json"])["trunks"]} >= {"office", "carrier"}
    assert json.loads(texts["calls.jsonl"].splitlines()[-1]) == record
    assert "[start]" in texts["journal.log"]
    assert "INVITE sip:" in texts["trace.txt"] and "BYE sip:" in texts["trace.txt"]


def test_it_is_of_bounded_size_and_waits_for_nothing(directory: Path) -> None:
    log = directory.parent / "journal"
    log.write_bytes(b"one line of many\n" * 2_000_000 + b"the last line\n")
    (directory / "run").mkdir()
    os.mkfifo(directory / "run" / "calls.jsonl")
    texts, done = packed(directory, "--log", str(log))
    assert texts["journal.log"].endswith("the last line")
    assert texts["journal.log"].startswith("one line of many")
    assert sum(map(len, texts.values())) < 2 << 20
    assert "calls.jsonl is not a file" in done.err


def test_it_is_never_written_over_what_is_there(directory: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for path in (there, link, tmp_path / "nowhere" / "pack"):
        line = sbc(directory, "support", "-o", str(path), seconds=120).refused_in_one_line()
        assert "with -o" in line
    assert there.read_text() == "mine" and not (tmp_path / "elsewhere").exists()


def test_without_a_directory_the_pack_says_so(tmp_path: Path) -> None:
    texts, _ = packed(tmp_path / "nothing")
    assert "there is no such directory" in texts["check.txt"] and "versions.txt" in texts
