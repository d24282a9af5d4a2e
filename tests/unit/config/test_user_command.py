"""``sbc user``: what it prints is what the users file reads, and it never prints the password."""

from __future__ import annotations

import io

import pytest

from sbc.cli import main
from sbc.config.users import UserTerms, read_users
from sbc.sip.digest import user_hash


def ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str, typed: str = "secret\n"
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    status = main(["user", *words])
    out, err = capsys.readouterr()
    assert "secret" not in out + err
    return status, out, err


def test_the_lines_are_those_of_the_users_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = ask(monkeypatch, capsys, "alice@example.net", "--md5")
    users, problems = read_users("users", out)
    assert (status, problems) == (0, []) and users.algorithms("example.net") == ("SHA-256", "MD5")
    for algorithm in ("SHA-256", "MD5"):
        wanted = user_hash(algorithm, "alice", "example.net", "secret")
        assert users.hash_of("example.net", "alice", algorithm) == wanted


def test_the_words_of_a_phone_are_those_of_the_users_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--contacts", "2", "--tls-only", "--certificate", "phone-7.example.net")
    _, out, _ = ask(monkeypatch, capsys, "alice@example.net", "--md5", *words)
    users, problems = read_users("users", out)
    assert problems == []
    assert users.terms("example.net", "alice") == UserTerms(2, True, "phone-7.example.net")


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("alice",), "secret\n", "is not NAME@REALM"),
        (("#1@example.net",), "secret\n", "cannot stand in the file"),
        ((" alice@example.net",), "secret\n", "cannot stand in the file"),
        (("a@b",), "\n", "a password is needed"),
        (("a@b", "--certificate", "a b"), "secret\n", "has no blanks"),
        (("a@b", "--contacts", "0"), "secret\n", "from 1 to 100"),
    ],
)
def test_what_is_no_user(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    typed: str,
    said: str,
) -> None:
    status, out, err = ask(monkeypatch, capsys, *words, typed=typed)
    assert (status, out) == (1, "") and said in err
