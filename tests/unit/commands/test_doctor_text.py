"""The doctor's words: what is judged of what was seen, and how it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from sbc.commands.doctor_text import render
from sbc.commands.lines import WIDTH
from sbc.config.hook_set import NO_HOOKS
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot
from sbc.observe.examination import (
    CertificateFacts,
    Finding,
    Offers,
    Ours,
    PeerReport,
    Physician,
    Seen,
    Visit,
)
from sbc.tls.failure import Failure

NOW = 1_800_000_000.0
DAY = 86400.0
NO_RULES: Any = None
PLACES = {
    "peers": "t.yaml:2",
    "tls.client_identity": "t.yaml:8",
    "tls.names": "t.yaml:10",
    "tls.groups": "t.yaml:11",
}


def certificate(
    name: str, issuer: str = "CN=Their CA", days: float = 300.5, **options: Any
) -> CertificateFacts:
    fields: dict[str, Any] = {"names": (f"dns:{name}",), "purposes": ("servers",), "is_ca": False} | options
    return CertificateFacts(f"CN={name}", issuer, not_before=0.0, not_after=NOW + days * DAY, **fields)


OURS = Ours("sbc", (certificate("sbc.example", "CN=Our CA"),), ("CN=Our CA",))
SEEN = Seen(
    "TLSv1.3",
    "TLS_AES_256_GCM_SHA384",
    "X25519MLKEM768",
    (certificate("peer.example"),),
    ("CN=Our CA",),
    "good",
)
GOOD = Visit("192.0.2.1:5061", 12.0, "", SEEN, "their-ca", "peer.example", None, SEEN, answer="200 OK")
REFUSED = replace(
    GOOD, seen=None, anchor="", answer="", failure=Failure("name-mismatch", "it names x", "correct `names`")
)


def physician(ours: Ours | None = OURS, places: Mapping[str, str] = PLACES, **tls: Any) -> Physician:
    policy = {"trust": ("their-ca",), "names": ("peer.example",), "server_identity": "sbc", **tls}
    trunk = Trunk.model_validate({"trunk": "carrier", "listener": "tls", "tls": policy})
    settings = Settings.model_validate({"listeners": {"tls": {"bind": "127.0.0.1:5061", "transport": "tls"}}})
    snapshot = Snapshot(
        "0" * 12, Path(), settings, {"carrier": trunk}, NO_RULES, NO_HOOKS, places={"carrier": places}
    )
    return Physician(snapshot, trunk, ours, NOW)


def found(visit: Visit, ours: Ours | None = OURS, **tls: Any) -> list[Finding]:
    return list(physician(ours, **tls).of_visit(visit))


def levels(visit: Visit, ours: Ours | None = OURS, **tls: Any) -> set[str]:
    return {each.level for each in found(visit, ours, **tls)}


def test_all_is_well() -> None:
    assert levels(GOOD) == {"good"}


def test_no_connection_says_nothing_else() -> None:
    (finding,) = found(Visit("192.0.2.1:5061", trouble="Connection refused"))
    assert (finding.level, finding.where) == ("bad", "t.yaml:2 (peers)")


def test_a_refusal_names_its_line_and_what_was_seen_without_verification() -> None:
    findings = found(REFUSED)
    (bad,) = [each for each in findings if each.level == "bad"]
    assert bad.text == "the handshake fails: name-mismatch: it names x"
    assert (bad.remedy, bad.where) == ("correct `names`", "t.yaml:10 (tls.names)")
    assert any("looked without verification, no SIP was sent: TLSv1.3" in each.text for each in findings)
    assert not any("OPTIONS" in each.text for each in findings)


def test_a_look_that_fails_too() -> None:
    findings = found(replace(REFUSED, looked=None, look_trouble="reset"))
    assert any(each.text == "a look without verification fails too: reset" for each in findings)


@pytest.mark.parametrize(("days", "level"), [(-1.0, "bad"), (10.0, "warning"), (40.0, "good")])
def test_days_left(days: float, level: str) -> None:
    theirs = replace(SEEN, chain=(certificate("peer.example", days=days),))
    assert ({"good", level}) == levels(replace(GOOD, looked=theirs))
    assert ({"good", level}) == levels(GOOD, replace(OURS, chain=(certificate("sbc", days=days),)))


@pytest.mark.parametrize(
    ("requested", "ours", "level", "phrase"),
    [
        (("CN=Our CA",), OURS, "good", "ours, of CN=Our CA, fits"),
        ((), OURS, "good", "names no CA"),
        (("CN=Else",), OURS, "warning", "that is not CN=Our CA, which issued ours"),
        (("CN=Else",), None, "warning", "we show none"),
        (None, OURS, "note", "asks for no certificate"),
    ],
)
def test_what_the_peer_asks_for(requested: Any, ours: Ours | None, level: str, phrase: str) -> None:
    findings = found(replace(GOOD, seen=replace(SEEN, requested=requested)), ours)
    (finding,) = [each for each in findings if phrase in each.text]
    assert finding.level == level
    if level == "warning":
        assert finding.where == "t.yaml:8 (tls.client_identity)"


def test_a_peer_that_asks_nothing_of_one_that_shows_nothing() -> None:
    assert levels(replace(GOOD, seen=replace(SEEN, requested=None)), None) == {"good"}


@pytest.mark.parametrize(
    ("staple", "level"), [("good", "good"), ("none", None), ("it is out of date", "warning")]
)
def test_the_staple(staple: str, level: str | None) -> None:
    findings = [
        each for each in found(replace(GOOD, looked=replace(SEEN, staple=staple))) if "OCSP" in each.text
    ]
    assert [each.level for each in findings] == ([level] if level else [])


def test_revocation_is_known_doubted_or_not_asked() -> None:
    assert any("no certificate of its chain is revoked" in each.text for each in found(GOOD))
    (doubt,) = [each for each in found(replace(GOOD, doubts=("CN=x: no source",))) if each.level == "warning"]
    assert "soft lets it pass: CN=x: no source" in doubt.text
    assert not any("revoked" in each.text for each in found(GOOD, revocation={"mode": "off"}))


@pytest.mark.parametrize(
    ("answer", "level"), [("200 OK", "good"), ("503 Service Unavailable", "warning"), ("", "bad")]
)
def test_the_answer_to_options(answer: str, level: str) -> None:
    (finding,) = [
        each for each in found(replace(GOOD, answer=answer, silence="nothing")) if "OPTIONS" in each.text
    ]
    assert finding.level == level


def test_another_group_than_the_first_is_a_note() -> None:
    (note,) = [
        each for each in found(replace(GOOD, seen=replace(SEEN, group="P-256"))) if each.level == "note"
    ]
    assert note.where == "t.yaml:11 (tls.groups)"


@pytest.mark.parametrize(
    ("chain", "level"),
    [
        (("peer.example < Middle", "Middle < Top"), None),
        (("peer.example < Middle", "Top < Top", "Middle < Top"), "warning"),
        (("peer.example < Middle", "Middle < Top", "Top < Top"), "note"),
        (("Top < Top",), None),
    ],
)
def test_the_order_of_a_chain(chain: tuple[str, ...], level: str | None) -> None:
    pairs = [each.split(" < ") for each in chain]
    made = tuple(certificate(subject, f"CN={issuer}") for subject, issuer in pairs)
    said = [each for each in found(replace(GOOD, looked=replace(SEEN, chain=made))) if each.level != "good"]
    assert [each.level for each in said] == ([level] if level else [])


def test_what_a_peer_takes() -> None:
    offers = Offers(("TLSv1.2", "TLSv1.1", "TLSv1"), ("P-256",), "timeout")
    said = [each for each in found(replace(GOOD, offers=offers)) if each.level != "good"]
    assert [each.level for each in said] == ["note", "note", "warning", "warning"]
    assert all(each.remedy for each in said if each.level == "warning")


def test_every_fault_has_its_class() -> None:
    visits = [
        REFUSED, replace(GOOD, trouble="refused"), replace(GOOD, answer="", silence="nothing"),
        replace(REFUSED, looked=replace(SEEN, requested=("CN=Else",), chain=(certificate("a", days=-1),))),
    ]  # fmt: skip
    bad = [each for visit in visits for each in found(visit) if each.level == "bad"]
    assert [each.fault for each in bad] == [
        "name-mismatch", "unreachable", "no-answer", "name-mismatch", "expired", "rejected-by-peer",
    ]  # fmt: skip


def test_names_are_said_where_there_are_some() -> None:
    unresolved = PeerReport("nowhere.invalid:5061", trouble="nowhere.invalid does not resolve")
    (finding,) = physician().of_peer(unresolved)
    assert (finding.level, finding.where) == ("bad", "t.yaml:2 (peers)")
    (finding,) = physician().of_peer(PeerReport("peer.example:5061", (GOOD,)))
    assert finding.text == "peer.example resolves to 192.0.2.1:5061"
    assert list(physician().of_peer(PeerReport("192.0.2.1:5061", (GOOD,)))) == []


def test_it_is_printed_in_a_hundred_columns_without_escapes() -> None:
    odd = certificate("\x1b[2J" + "x" * 200, names=tuple(f"dns:{n}.example" for n in range(12)))
    unreadable = CertificateFacts("(cannot be read)", "", (), 0.0, 0.0, (), False)
    authority = certificate("Their CA", is_ca=True, purposes=(), names=())
    visit = replace(REFUSED, looked=replace(SEEN, chain=(odd, unreadable, authority)))
    found = [asdict(each) for each in physician().of_visit(visit)]
    peer = {"peer": "peer.example:5061", "findings": [], "visits": [{**asdict(visit), "findings": found}]}
    text = render({"trunk": "carrier", "now": NOW, "healthy": False, "ours": asdict(OURS), "peers": [peer]})
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= WIDTH
    for phrase in (
        "we show: identity sbc", "looked at WITHOUT verification", "and 4 more", "2. (cannot be read)",
        "CN=Their CA, a CA, 300 days left, issued by itself", "XX the handshake fails: name-mismatch",
        "   line: t.yaml:10 (tls.names)", "carrier is NOT healthy",
    ):  # fmt: skip
        assert phrase in text, f"{phrase!r} is not in\n{text}"
