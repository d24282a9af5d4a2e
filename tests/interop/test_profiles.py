"""PJSIP calls PJSIP between trunks of a few lines: TLS, SRTP and timers are their profiles'."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from sbc.cli import main
from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig, assert_secure, talk
from tests.peers.needs import needs

pytestmark = pytest.mark.interop

ALICE, BOB = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True, slots=True)
class Profiled(Far):
    """A peer whose trunk has a profile."""

    profile: str = ""

    def trunk(self) -> str:
        """The trunk's file: where it is, whom to trust, and no more."""
        ours = "" if self.profile == "byoc-tls" else "client_identity: sbc, "
        names = f"[{self.name}.lab.example]"
        return (
            f"trunk: {self.name}\nprofile: {self.profile}\nlistener: trunk-tls\n"
            f"peers: ['{self.address}:{self.port}']\nsources: ['{self.address}']\n"
            f"tls: {{server_identity: sbc, {ours}trust: [lab-ca], names: {names}}}\n"
        )


@contextmanager
def connected(tmp_path_factory: pytest.TempPathFactory, profile: str) -> Iterator[Pair]:
    """Alice is a carrier, Bob what the profile says; without mutual TLS he asks for no certificate."""
    rig = Rig(tmp_path_factory.mktemp("profiled"))
    alice = rig.pjsip("alice", ALICE, HIGH, answer=0)
    bob = rig.pjsip("bob", BOB, LOW, answer=0, verify_client=profile != "byoc-tls")
    near = Profiled("alice", alice.port, ALICE, profile="carrier-mtls")
    far = Profiled("bob", bob.port, BOB, profile=profile)
    with rig.running(near, far, alice, bob):
        yield Pair(rig, alice, bob)


@pytest.mark.parametrize("callee", ["byoc-mtls", "byoc-tls", "federation"])
def test_a_call_between_profiles(tmp_path_factory: pytest.TempPathFactory, callee: str) -> None:
    needs("pjsua2")
    with connected(tmp_path_factory, callee) as pair:
        call, there = pair.connect()
        talk((pair.alice, call), (pair.bob, there))
        pair.alice.hangup(call)
        record = pair.over(call, there)
        assert_secure(record["a"], "alice")
        assert_secure(record["b"], "bob")
        pair.assert_hidden()
        assert ("INVITE sips:" in pair.at_bob()) is (callee == "federation")
        assert main(["trunks", "show", "bob", "-c", str(pair.rig.root / "sbc")]) == 0
        pair.rig.check_log()
