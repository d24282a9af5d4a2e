"""The ways from a leaf to an anchor: only where there is a choice, without loops, and not many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from sbc.demo.pki import LabAuthority
from sbc.tls.material import paths as search
from sbc.tls.material.certificate import Certificate, read_certificate
from sbc.tls.material.paths import MAX_PATHS, MAX_STEPS, paths
from tests.unit.tls.certs import GOOD, NOW, der

LEAF = read_certificate(der(LabAuthority("middle", issuer=GOOD, now=NOW).issue(dns=["a.example"]).cert_pem))


def issuer(subject: str, by: str) -> Certificate:
    """An intermediate in name only."""
    who = replace(LEAF.identity, subject=f"CN={subject}", issuer=f"CN={by}")
    return replace(LEAF, identity=who, self_issued=subject == by)


def test_without_a_choice_there_is_nothing_to_tell_apart() -> None:
    assert paths([LEAF], ["CN=middle"]) == []
    assert paths([LEAF, issuer("middle", "root")], ["CN=root"]) == []


def test_each_certificate_of_the_issuer_is_a_way() -> None:
    sent = [
        LEAF,
        issuer("middle", "gone"),
        issuer("middle", "root"),
        issuer("middle", "upper"),
        issuer("upper", "root"),
    ]
    assert paths(sent, ["CN=root"]) == [[0, 2], [0, 3, 4]]
    assert paths(sent, ["CN=other"]) == []


def test_loops_end_and_self_signed_roots_that_were_sent_along_are_no_step() -> None:
    sent = [
        LEAF,
        issuer("middle", "upper"),
        issuer("middle", "root"),
        issuer("upper", "middle"),
        issuer("root", "root"),
    ]
    assert paths(sent, ["CN=root"]) == [[0, 2]]


def test_there_are_never_many() -> None:
    sent = [LEAF, *(issuer("middle", "root") for _ in range(9))]
    assert len(paths(sent, ["CN=root"])) == MAX_PATHS
    knot = [
        LEAF,
        *(issuer("middle", "middle2") for _ in range(4)),
        *(issuer("middle2", "middle") for _ in range(5)),
    ]
    assert paths(knot, ["CN=root"]) == []


def test_a_knot_of_many_keys_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten certificates of two names, each with a key of its own, are some eight thousand ways."""
    knot = [LEAF]
    for number in range(9):
        subject, by = ("middle", "other") if number % 2 else ("other", "middle")
        made = issuer(subject, by)
        knot.append(replace(made, identity=replace(made.identity, pin=f"sha256/{number}")))
    knot[0] = replace(LEAF, identity=replace(LEAF.identity, issuer="CN=middle"))
    steps: list[object] = []
    real = search._longer

    def counting(sent: Sequence[Certificate], way: list[int]) -> Iterator[list[int]]:
        steps.append(way)
        return real(sent, way)

    monkeypatch.setattr(search, "_longer", counting)
    assert paths(knot, ["CN=root"]) == []
    assert len(steps) <= MAX_STEPS
    assert paths([*knot[:-1], issuer("middle", "root")], ["CN=root"]), "the short way comes first"
