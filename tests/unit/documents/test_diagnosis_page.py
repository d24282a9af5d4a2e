"""docs/diagnosis.md: every class has its section with the key that decides; examples are what is printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from sbc.base import Address
from sbc.commands.doctor import STATUSES
from sbc.commands.doctor_text import render as doctor_text
from sbc.commands.lone_peer import OPTIONS
from sbc.commands.rehearse import render as rehearse_text
from sbc.commands.trust_text import render as trust_text
from sbc.config.places import deciding_key
from sbc.net.doctor.rehearse import RECENT, Outcome
from sbc.observe.examination import Offers
from sbc.observe.journal import Journal
from sbc.observe.recorder import Recorder
from sbc.tls.diagnosis import classify
from sbc.tls.events import HandshakeFailed
from sbc.tls.evidence import Evidence, NoIssuer
from sbc.tls.failure import Direction, Failure, Kind
from sbc.tls.ledger import REFUSED_KEPT, SHOWN_KEPT
from tests.unit.commands.test_doctor_text import NOW as SEEN_AT
from tests.unit.commands.test_doctor_text import OURS, REFUSED, SEEN, certificate, physician
from tests.unit.observe.pictures import NOW, trust

PAGE = (Path(__file__).parents[3] / "docs" / "diagnosis.md").read_text("utf-8")
WORDS = " ".join(PAGE.split())
BLOCKS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
CLASS = re.compile(
    r"^### `([a-z-]+)`\n\n(.*?)\n\n- What to do: (.*?)\n(?:- Decided by: (.*?)\n)?\n", re.M | re.DOTALL
)


def classes() -> Iterator[tuple[str, str, str, str]]:
    """Each class of the page: its name, what it means, what to do, and the keys that decide."""
    yield from CLASS.findall(PAGE)


def test_every_class_is_explained_once() -> None:
    assert [name for name, *_ in classes()] == list(get_args(Kind))
    assert re.findall(r"^### `(.*)`$", PAGE, re.M) == list(get_args(Kind))
    assert all(len(meaning) > 20 and remedy for _, meaning, remedy, _ in classes())


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_each_class_names_the_key_that_decides(direction: Direction) -> None:
    for name, _, _, keys in classes():
        kind: Any = name
        key = deciding_key(kind, direction)
        other = deciding_key(kind, "outbound" if direction == "inbound" else "inbound")
        assert f"`{key}`" in keys if key else (keys == "") is (other == ""), name


def event_line() -> str:
    """The line of the journal for a peer that leaves its intermediate out."""
    lines: list[str] = []
    recorder = Recorder(Journal(lines.append), lines.append)
    recorder.place = lambda trunk, failure, direction: f"trunks.d/{trunk}.yaml:9 (tls.trust)"
    lacking = NoIssuer("CN=Carrier Issuing CA", True)
    who = "CN=carrier.lab.example"
    evidence = Evidence(
        "inbound", verify_code=20, alert_sent=48, trunks=("carrier",), who=who, no_issuer=lacking
    )
    event = HandshakeFailed(
        "inbound", "trunk-tls", ("carrier",), Address("198.51.100.7", 40000), "sbc.lab.example",
        classify(evidence), NOW, 48, verify_code=20,
    )  # fmt: skip
    recorder.handshake_failed(event)
    return lines[0].rstrip("\n") + "\n"


def doctored() -> str:
    """The doctor on a peer with a wrong name."""
    failure = Failure(
        "name-mismatch", "expected carrier.example; the certificate names dns:pbx.example",
        "correct the trunk's `names` if the peer is the right one; "
        "otherwise this is another peer's certificate",
    )  # fmt: skip
    chain = (certificate("pbx.example", "CN=Carrier CA"),)
    seen = replace(REFUSED, failure=failure, looked=replace(SEEN, chain=chain))
    visit = {**asdict(seen), "findings": [asdict(each) for each in physician().of_visit(seen)]}
    peer = {"peer": "192.0.2.1:5061", "findings": [], "visits": [visit]}
    said = {"trunk": "carrier", "now": SEEN_AT, "healthy": False, "ours": asdict(OURS), "peers": [peer]}
    return doctor_text(said).replace("t.yaml", "trunks.d/carrier.yaml") + "\n"


def alone() -> str:
    """The doctor on a peer that has no trunk, and is of a CA that nobody named."""
    failure = Failure(
        "unknown-ca", "CN=pbx.example was issued by CN=Carrier CA",
        "if it is the peer's, add that CA to the truststore",
    )  # fmt: skip
    looked = replace(SEEN, chain=(certificate("pbx.example", "CN=Carrier CA"),))
    offers = Offers(("TLSv1.3", "TLSv1.2", "TLSv1.1"), ("X25519MLKEM768", "X25519"))
    visit = replace(REFUSED, failure=failure, looked=looked, offers=offers)
    findings = [asdict(each) for each in physician(places=OPTIONS).of_visit(visit)]
    peer = {"peer": "pbx.example:5061", "findings": [], "visits": [{**asdict(visit), "findings": findings}]}
    ours = asdict(replace(OURS, identity="shown"))
    said = {"trunk": None, "now": SEEN_AT, "healthy": False, "ours": ours, "peers": [peer]}
    return doctor_text(said) + "\n"


def test_every_class_has_the_exit_status_that_its_table_says() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*?) \|$", PAGE, re.MULTILINE)
    told = {int(status): tuple(re.findall(r"`([\w-]+)`", said)) for status, said in rows}
    assert {status: faults for status, faults in told.items() if status > 1} == STATUSES
    named = {fault for faults in STATUSES.values() for fault in faults} - {"no-answer"}
    elsewhere = {"unknown-sni", "no-identity", "quarantined", "refused-by-hook"}  # of no peer that is dialled
    assert named == set(get_args(Kind)) - elsewhere


def rehearsed() -> str:
    """A rehearsal that would break one peer."""
    failure = Failure(
        "unknown-ca", "CN=pbx.example was issued by CN=Old CA, which is outside the trust of office",
        "if it is the peer's, add that CA to the truststore",
    )  # fmt: skip
    broken = Outcome(
        "breaks", "office", "inbound", "192.0.2.7", "CN=pbx.example", NOW - 7200, "", failure,
        "trunks.d/office.yaml:9 (tls.trust)",
    )  # fmt: skip
    same = replace(
        broken, what="same", trunk="carrier", subject="CN=carrier.example", now_trunk="carrier", failure=None
    )
    answer = {"now": NOW, "superseded": 1, "outcomes": [asdict(broken), asdict(same)]}
    return rehearse_text(answer) + "\n"


def shown() -> str:
    """``sbc trust`` of one trunk; the hostile name in the picture is for the pages."""
    return trust_text([asdict(trust()[0])], NOW).replace("<b>evil</b>", "pbx.example") + "\n"


@pytest.mark.parametrize("example", [shown, doctored, alone, rehearsed])
def test_the_examples_are_what_is_printed(example: Any) -> None:
    assert example() in BLOCKS


def test_the_line_of_the_journal_is_what_is_written() -> None:
    assert event_line() == BLOCKS[0].replace("\n    ", " ")


def test_there_are_no_other_examples() -> None:
    assert len(BLOCKS) == 5


def test_the_figures_are_those_in_force() -> None:
    assert f"{SHOWN_KEPT} chains that were accepted and {REFUSED_KEPT} that were refused" in WORDS
    assert f"not seen for {RECENT / 86400:.0f} days" in WORDS


def test_every_class_has_words_of_its_own() -> None:
    """What an unknown CA is told apart from."""
    kinds: list[Kind] = [
        classify(Evidence("inbound", verify_code=20, no_issuer=each)).kind
        for each in (NoIssuer("CN=x", True), NoIssuer("CN=x", False), NoIssuer("CN=x", False, "theirs"), None)
    ]
    assert kinds == ["missing-intermediate", "unknown-ca", "unknown-ca", "unknown-ca"]
