"""What no output of ours may show is found where it is planted, and fails the test that plants it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sbc.observe.text import redact
from tests.peers.canaries import PASSWORD, leaked

ROOT = Path(__file__).resolve().parents[2]
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"  # of RFC 4568
SECRETS = [
    f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20",
    f'Digest username="alice", response="{"0f" * 16}", cnonce="x"',
    f"reason=cnonce={'ab' * 16}",
    f"alice:phones.example:{'12' * 32} contacts=2",
    "-----BEGIN EC PRIVATE KEY-----",
    f"sip:alice:{PASSWORD}@phones.example",
    "Authorization: Bearer canary-token-of-a-lookup",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_wherever_it_stands(secret: str) -> None:
    for text in (secret, f"first\n{secret}\nlast"):
        assert leaked(text)
    assert leaked("harmless " * 1000) == ""


@pytest.mark.parametrize("secret", SECRETS[:3])
def test_what_is_blotted_out_is_none(secret: str) -> None:
    assert leaked(redact(secret)) == ""


_PLANTS = """
from pathlib import Path
import pytest
from sbc.base import Address
from tests.peers import faults

def test_it(tmp_path: Path) -> None:
    directory = tmp_path / "server"
    (directory / "run").mkdir(parents=True)
    journal = directory / "sbc.log"
    faults.watch(journal)
    journal.write_text("all is well\\n")
    {plant}

@pytest.mark.provokes("a fault excuses no secret")
def test_that_provokes(tmp_path: Path) -> None:
    test_it(tmp_path)
"""
PLANTS = {
    "journal": f'journal.write_text("reason=inline:{KEY}")',
    "records": '(directory / "run/calls.jsonl").write_text("correct horse")',
    "rotated": '(directory / "run/calls.jsonl.1").write_text("correct horse")',
    "stderr": 'import sys; print("correct horse", file=sys.stderr)',
}


def run(directory: Path, plant: str) -> tuple[int, str]:
    """How a run of two tests ends that plant the same."""
    test = directory / "test_plants.py"
    test.write_text(_PLANTS.replace("{plant}", plant))
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("where", PLANTS)
def test_a_test_that_leaves_a_secret_fails_whatever_it_provokes(tmp_path: Path, where: str) -> None:
    status, said = run(tmp_path, PLANTS[where])
    # Once where it is told; the summary has it again where it is not shortened (in CI).
    told = said.partition("short test summary")[0]
    assert status == 1 and told.count("a secret, which nothing excuses") == 2, said


@pytest.mark.slow
def test_a_test_that_leaves_none_passes(tmp_path: Path) -> None:
    status, said = run(tmp_path, "pass")
    assert status == 0, said
