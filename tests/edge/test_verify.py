"""What ``verify`` says of a chain is what a handshake does with it, in both directions."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sbc.demo.pki import Issued, LabAuthority
from sbc.net.tls.verify import Verified, verify
from tests.edge.tls_lab import Lab, client_context, try_options
from tests.peers.waiting import until
from tests.unit.tls.certs import DAY, der


def blocks(pem: bytes) -> list[bytes]:
    end = b"-----END CERTIFICATE-----\n"
    return [der(each + end) for each in pem.split(end) if each.strip()]


def asked(lab: Lab, issued: Issued, now: float | None = None) -> Verified:
    admission = lab.listeners.contexts.table.admit("tls", "127.0.0.1", "sbc.example")
    assert admission is not None
    return verify(
        admission,
        blocks(issued.chain_pem),
        now if now is not None else time.time(),
        lab.listeners.contexts.certificates,
    )


def peers(lab: Lab) -> dict[str, Issued]:
    now = time.time()
    middle = LabAuthority("middle", issuer=lab.ca)
    whole = middle.issue(dns=["peer.example"])
    return {
        "good": lab.ca.issue(dns=["peer.example"]),
        "through an intermediate": whole,
        "missing intermediate": Issued(whole.cert_pem, whole.cert_pem, whole.key_pem),
        "wrong CA": lab.other_ca.issue(dns=["peer.example"]),
        "wrong name": lab.ca.issue(dns=["other.example"]),
        "expired": lab.ca.issue(dns=["peer.example"], not_before=now - 9 * DAY, not_after=now - DAY),
        "not yet valid": lab.ca.issue(dns=["peer.example"], not_before=now + DAY, not_after=now + 9 * DAY),
        "wrong purpose": lab.ca.issue(dns=["peer.example"], eku=("server",)),
    }


@pytest.mark.parametrize("tls", [{}, {"min_version": "1.3", "groups": ("X25519MLKEM768", "X25519")}])
def test_it_says_what_a_handshake_does(lab: Lab, tls: dict[str, Any]) -> None:
    lab.trunk("a", {"names": ("peer.example",), **tls})
    lab.start()
    for name, issued in peers(lab).items():
        lab.recorder.failures.clear()
        got_in = try_options(lab.address(), client_context(lab, issued, "1.3")) is None
        said = asked(lab, issued)
        assert (said.trunk == "a") is got_in is (name in ("good", "through an intermediate")), name
        if not got_in:
            until(lambda: lab.recorder.failures)
            assert said.failure is not None
            assert (said.failure.kind, said.failure.detail) == (
                lab.recorder.failures[0].failure.kind, lab.recorder.failures[0].failure.detail,
            ), name  # fmt: skip


def test_outbound_the_dialled_name_is_held_against_the_chain(lab: Lab) -> None:
    lab.trunk("a", {}, peers=("peer.example:5061",))
    lab.start()
    admission = lab.listeners.contexts.table.outbound("a", "peer.example")
    assert admission is not None
    said = {name: verify(admission, blocks(each.chain_pem), time.time()) for name, each in peers(lab).items()}
    kinds = {
        name: each.failure.kind if each.failure is not None else each.trunk for name, each in said.items()
    }
    assert kinds == {
        "good": "a", "through an intermediate": "a", "missing intermediate": "unknown-ca",
        "wrong CA": "unknown-ca", "wrong name": "name-mismatch", "expired": "expired",
        "not yet valid": "not-yet-valid", "wrong purpose": "a",
    }  # fmt: skip
    assert said["good"].anchor == "good" and said["good"].presented is not None


def test_the_dates_are_those_of_the_moment_asked_for(lab: Lab) -> None:
    lab.trunk("a", {})
    lab.start()
    good = lab.ca.issue(dns=["peer.example"])
    assert asked(lab, good).trunk == "a"
    later = asked(lab, good, time.time() + 400 * DAY)
    assert later.failure is not None and later.failure.kind == "expired"


@pytest.mark.parametrize("chain", [[], [b""], [b"no certificate"], [b"\x30\x03\x02\x01\x00"]])
def test_what_is_no_certificate_is_refused(lab: Lab, chain: list[bytes]) -> None:
    lab.trunk("a", {})
    lab.start()
    for admission in (
        lab.listeners.contexts.table.admit("tls", "127.0.0.1", ""),
        lab.listeners.contexts.table.outbound("a", "peer.example"),
    ):
        assert admission is not None
        said = verify(admission, chain, time.time())
        assert said.trunk is None and said.failure is not None


def test_a_pin_and_a_pinned_leaf(lab: Lab) -> None:
    stranger = LabAuthority("stranger")
    keyed, filed, third = (stranger.issue(dns=[name]) for name in ("keyed", "filed", "third"))
    lab.identity("tmp", keyed)
    lab.anchor_file("key-pin", pin=(lab.identities["tmp"].pin,))
    lab.anchor_file("leaf-pin", leaf=(lab.write("filed.pem", filed.cert_pem),))
    lab.trunk("by-key", {"trust": ("key-pin",)})
    lab.trunk("by-leaf", {"trust": ("leaf-pin",)})
    lab.start()
    assert [asked(lab, each).trunk for each in (keyed, filed, third)] == ["by-key", "by-leaf", None]
