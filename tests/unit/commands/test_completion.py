"""What bash completes, by bash itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sbc.commands.printed.completion import completion
from tests.peers.needs import needs

_ASK = """
. "$1"; shift
cd "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_sbc
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("bash")
    made = tmp_path_factory.mktemp("configuration")
    (made / "completion").write_text(completion())
    (made / "trunks.d").mkdir()
    for name in ("office", "carrier-east", "$(touch ran)"):
        (made / "trunks.d" / f"{name}.yaml").touch()
    (made / "chain.pem").touch()
    return made


def completed(directory: Path, *words: str, within: str = "") -> set[str]:
    """What may stand in the place of the last word."""
    argv = [
        "bash",
        "--norc",
        "-c",
        _ASK,
        "bash",
        str(directory / "completion"),
        str(directory / within),
        *words,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    assert done.stderr == ""
    return set(done.stdout.split("\n")) - {""}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sbc", "reg"), {"registrations"}),
        (("sbc", "certs", "st"), {"stage"}),
        (("sbc", "trunks", "s"), {"show"}),
        (("sbc", "run", "--l"), {"--log"}),
        (("sbc", "check", "--s"), {"--strict"}),
        (("sbc", "doctor", "of"), {"office"}),
        (("sbc", "trunks", "show", "ca"), {"carrier-east"}),
        (("sbc", "certs", "stage", "--chain", "ch"), {"chain.pem"}),
        (("sbc", "certs", "stage", "--chain", "=", "ch"), {"chain.pem"}),
        (("sbc", "check", "-c", "tr"), {"trunks.d"}),
        (("sbc", "certs", "bind", "--c"), {"--config"}),
        (("sbc", "run", "--log", "status", "--l"), {"--log"}),
    ],
)
def test_what_is_completed(directory: Path, words: tuple[str, ...], expected: set[str]) -> None:
    assert completed(directory, *words) == expected


def test_a_trunk_is_one_of_the_directory_that_was_named(directory: Path) -> None:
    there = completed(directory, "sbc", "doctor", "-c", str(directory), "o", within="trunks.d")
    assert there == {"office"}
    assert completed(directory, "sbc", "doctor", "o", within="trunks.d") == set()


def test_the_name_of_a_file_is_never_run(directory: Path) -> None:
    assert completed(directory, "sbc", "doctor", "") == {"office", "carrier-east", r"\$\(touch\ ran\)"}
    assert not (directory / "ran").exists()
