"""Nothing secret is left in what is packed for others, however it is written; what helps is left."""

from __future__ import annotations

import pytest

from sbc.observe.blotting import BLOT, Blotter

FILES = {"tls/sbc.key", "secrets/carrier", "users"}
CANARY = "Hunter2-canary"
KEY = "PRIVATE KEY"  # apart, for no file of ours may look like one
HASH = "0123456789abcdef" * 2


def blotter() -> Blotter:
    return Blotter(FILES.__contains__)


SECRETS = (
    f"password: {CANARY}",
    f"password: tls/sbc.key {CANARY}",
    f"password: '{CANARY}'",
    f'"password": "{CANARY}"',
    f"password : {CANARY}",
    f"register: {{user: alice, password: {CANARY}, realm: example.net}}",
    f"register: {{user: alice, 'password': \"{CANARY}\"}}",
    f"- token: {CANARY}",
    f"api_key: {CANARY}",
    f"password_file: {CANARY}",
    f"key: {CANARY}",
    f"password:\n  {CANARY}",
    f"password:\n{CANARY}",
    f"password: |\n  {CANARY}\n  {CANARY}\nuser: alice",
    f"password: >-\n\n  {CANARY}",
    f'password: "\n{CANARY}\n{CANARY}"\nuser: alice',
    f"password: 'first\n\n{CANARY}'",
    f"{{password:\n{CANARY}}}",
    f"? password\n: {CANARY}",
    f"password: &anchor {CANARY}",
    f"password: !!str {CANARY}",
    f"password: one two {CANARY}",
    f"# the password was {CANARY}",
    f"user: alice # {CANARY}",
    f'user: "alice # {CANARY}',
    f"user: it's alice # {CANARY}'s",
    f"note: say 'alice # {CANARY}'",
    f'set header.X-Api-Key = "{CANARY}"',
    f'set header.Authorization = "Bearer {CANARY}"',
    f'when: header["X-Token"] == "{CANARY}"',
    f"url: https://alice:{CANARY}@example.net/",
    f"url: https://hooks.example.com/services/T0/B0/{CANARY}?x={CANARY}",
    f"url: slack://{CANARY}/B0/X",
    f"url: mailto://alice:{CANARY}@smtp.example.net",
    f"to: sip:alice:{CANARY}@example.net",
    f"crypto: inline:{CANARY}AAAA",
    f"key: |\n  -----BEGIN {KEY}-----\n  {CANARY}\n  -----END {KEY}-----",
    f"alice:example.net:{HASH}",
    f"ha: {HASH}",
    f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}",
)


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_of_a_configuration_is_left_in_it(text: str) -> None:
    shown = blotter().configuration(f"before: 1\n{text}\nafter: 2\n")
    assert CANARY not in shown and HASH not in shown, shown
    assert "before: 1\n" in shown


@pytest.mark.parametrize("text", SECRETS[:-1])
def test_a_line_keeps_its_number(text: str) -> None:
    shown = blotter().configuration(f"{text}\n\nrules: []")
    assert shown.split("\n")[-1] == "rules: []" and shown.count("\n") == text.count("\n") + 2


KEPT = (
    "listeners: {edge: {bind: 192.0.2.9:5061, transport: tls}}",
    "identities: {sbc: {chain: tls/sbc.pem, key: tls/sbc.key}}",
    "register: {user: alice, password_file: secrets/carrier, realm: example.net}",
    "redirects: pass",
    "trust: {office: {pin: sha256/" + HASH * 2 + "}}",
    "acme: {directory: https://ca.example.net/}",
    '  when: from.user matches /^[0-9]{11}$/ and trunk == "key-accounts"',
    "  then: challenge",
    "    name: verified partners over hybrid key exchange",
)


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_is_left(text: str) -> None:
    assert blotter().configuration(text) == text


def test_what_follows_a_secret_is_left() -> None:
    text = f"register:\n  password: {CANARY}\n  realm: example.net\nlistener: edge"
    assert (
        blotter().configuration(text)
        == f"register:\n  password: {BLOT}\n  realm: example.net\nlistener: edge"
    )


def test_what_was_a_secret_in_one_text_is_one_in_all() -> None:
    made = blotter()
    made.configuration(f"password_file: {CANARY}")
    assert made.without_known(f"{CANARY}: there is no such file") == f"{BLOT}: there is no such file"
    made.learn(["other-secret"])
    assert made.told("other-secret=1") == f"{BLOT}=1"


def test_short_words_and_names_of_files_are_never_blotted_everywhere() -> None:
    made = blotter()
    made.learn(["", "1", "abc", "false", "users"])
    assert made.without_known("1 abc false users") == "1 abc false users"


@pytest.mark.parametrize(
    "line",
    [
        f"2026 INF [x] body=inline:{CANARY}",
        f'Authorization: Digest username="a", response="{CANARY}"',
        f"Authorization: Basic {CANARY}",
        f"fetched https://alice:{CANARY}@example.net/list.crl",
        f"users:3: alice:example.net:{HASH}",
        f"-----BEGIN {KEY}-----\n{CANARY}\n-----END {KEY}-----",
    ],
)
def test_no_secret_of_a_journal_is_left_in_it(line: str) -> None:
    shown = blotter().told(line)
    assert CANARY not in shown and HASH not in shown, shown


def test_a_call_id_is_no_secret() -> None:
    line = f"2026 INF [call] call={HASH} pin=sha256/{HASH * 2}"
    assert blotter().told(line) == line
