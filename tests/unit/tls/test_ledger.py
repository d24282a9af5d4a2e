"""The ledger: what is kept of handshakes, how much of it, and that a restart loses none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sbc.flow import TlsFacts
from sbc.tls.failure import Failure
from sbc.tls.ledger import MAX_CHAIN_KEPT, REFUSED_KEPT, SHOWN_KEPT, Ledger
from tests.unit.tls.certs import DAY, GOOD, NOW, OTHER, der, leaf

UNKNOWN = Failure("unknown-ca", "CN=peer was issued by CN=x", "add that CA", 48)
CHAIN = (der(GOOD.issue(dns=["peer.example"]).cert_pem),)


def facts(chain: tuple[bytes, ...] = CHAIN) -> TlsFacts:
    peer = leaf().identity if chain else None
    return TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "sbc.example", "sbc", peer)


def good(ledger: Ledger, at: float = NOW, direction: Any = "inbound", **changes: Any) -> None:
    options: dict[str, Any] = {"remote": "198.51.100.1:40000", "host": "198.51.100.1", "listener": "tls"}
    options |= {"chain": CHAIN, "anchor": "good"} | changes
    ledger.succeeded("acme", direction, facts(options["chain"]), at, **options)


def bad(ledger: Ledger, at: float = NOW, trunks: tuple[str, ...] = ("acme",), **changes: Any) -> None:
    options = {"remote": "198.51.100.1:40000", "host": "198.51.100.1", "alert": "sent 48 unknown_ca"}
    ledger.failed(trunks, "inbound", UNKNOWN, at, **(options | changes))


def one_of_many(number: int) -> tuple[bytes, ...]:
    return (der(OTHER.issue(dns=[f"p{number}.example"]).cert_pem),)


def test_the_last_good_and_the_last_bad_of_each_direction() -> None:
    ledger = Ledger()
    good(ledger, NOW)
    good(ledger, NOW + 5, remote="198.51.100.2:1")
    bad(ledger, NOW + 9, where={"acme": "trunks.d/acme.yaml:7 (tls.trust)"})
    side = ledger.side("acme", "inbound")
    assert side.good is not None and side.bad is not None
    assert (side.goods, side.bads) == (2, 1)
    assert (side.good.at, side.good.remote, side.good.anchor) == (NOW + 5, "198.51.100.2:1", "good")
    assert (side.bad.kind, side.bad.alert, side.bad.sole) == ("unknown-ca", "sent 48 unknown_ca", True)
    assert side.bad.where == "trunks.d/acme.yaml:7 (tls.trust)"
    outbound = ledger.side("acme", "outbound")
    assert outbound.good is None and outbound.bads == 0


def test_a_failure_that_could_be_of_two_trunks_is_entered_for_both_and_says_so() -> None:
    ledger = Ledger()
    bad(ledger, trunks=("acme", "other"))
    for trunk in ("acme", "other"):
        noted = ledger.side(trunk, "inbound").bad
        assert noted is not None and not noted.sole


def test_what_the_peer_asks_for_is_of_the_outbound_side() -> None:
    ledger = Ledger()
    good(ledger, direction="outbound", asked=("CN=Their CA",))
    assert ledger.side("acme", "outbound").asked == ("CN=Their CA",)
    good(ledger, NOW + 1, direction="outbound", asked=None)
    assert ledger.side("acme", "outbound").asked is None
    assert ledger.side("acme", "outbound").asked_at == NOW + 1


def test_a_chain_is_kept_once_with_its_first_and_last_time() -> None:
    ledger = Ledger()
    good(ledger, NOW)
    good(ledger, NOW + DAY)
    (shown,) = ledger.shown("acme")
    assert (shown.first, shown.last, shown.chain, shown.anchor) == (NOW, NOW + DAY, CHAIN, "good")
    assert shown.subject == "CN=peer.example"


def test_one_that_was_accepted_stays_so_when_it_is_refused_later() -> None:
    ledger = Ledger()
    good(ledger, NOW)
    bad(ledger, NOW + 1, chain=CHAIN)
    assert [each.anchor for each in ledger.shown("acme")] == ["good"]


def test_no_certificate_and_an_unreadable_one_are_not_kept() -> None:
    ledger = Ledger()
    good(ledger, chain=())
    bad(ledger, chain=(b"no certificate",))
    assert ledger.shown("acme") == ()


def test_a_flood_of_refused_certificates_drives_no_good_one_out() -> None:
    ledger = Ledger()
    good(ledger, NOW)
    for number in range(REFUSED_KEPT + 5):
        bad(ledger, NOW + number, chain=one_of_many(number))
    kept = ledger.shown("acme")
    assert sum(each.accepted for each in kept) == 1
    assert len(kept) == REFUSED_KEPT + 1
    assert kept[0].subject == f"CN=p{REFUSED_KEPT + 4}.example", "the latest first"


def test_the_certificates_not_seen_longest_go_first() -> None:
    ledger = Ledger()
    for number in range(SHOWN_KEPT):
        good(ledger, NOW + number, chain=one_of_many(number))
    oldest = ledger.shown("acme")[-1]
    good(ledger, NOW + DAY, chain=oldest.chain)
    good(ledger, NOW + 2 * DAY)
    kept = ledger.shown("acme")
    assert len(kept) == SHOWN_KEPT
    assert oldest.chain in [each.chain for each in kept]
    assert "CN=p1.example" not in [each.subject for each in kept]


def test_a_restart_loses_nothing() -> None:
    ledger = Ledger()
    good(ledger)
    good(ledger, direction="outbound", asked=("CN=Their CA",))
    bad(ledger, NOW + 1, chain=one_of_many(0))
    again = restored(ledger)
    assert again.shown("acme") == ledger.shown("acme")
    for direction in ("inbound", "outbound"):
        assert again.side("acme", direction) == ledger.side("acme", direction)
    assert again.changes() == {}


def restored(ledger: Ledger) -> Ledger:
    """Another one of what was written down."""
    made = Ledger()
    for key, saved in json.loads(json.dumps(ledger.whole())).items():
        made.restore(key, saved)
    return made


def test_only_what_has_changed_is_written_anew() -> None:
    ledger = Ledger()
    for number in range(SHOWN_KEPT):
        good(ledger, NOW + number, chain=one_of_many(number))
    assert len(ledger.changes()) == SHOWN_KEPT + 1 and ledger.changes() == {}
    good(ledger, NOW + DAY, chain=ledger.shown("acme")[3].chain)
    assert len(ledger.changes()) == 2, "the side, and the chain that was seen again"
    good(ledger, NOW + DAY)
    assert sorted([value is None for value in ledger.changes().values()]) == [False, False, True]
    assert len(ledger.whole()) == SHOWN_KEPT + 1


def test_one_wrong_type_anywhere_and_it_is_no_ledger() -> None:
    """Whoever shows it would stumble: each value of a good one is made a list, a date of the year 9e9, ..."""
    ledger = Ledger()
    good(ledger, direction="outbound", asked=("CN=Their CA",))
    bad(ledger, NOW + 1, chain=one_of_many(0))
    whole = json.loads(json.dumps(ledger.whole()))

    def spoilt(key: str, saved: Any, at: Any, wrong: object) -> Iterator[str]:
        for name in at if isinstance(at, dict) else range(len(at)):
            value = at[name]
            if isinstance(value, (dict, list)):
                yield from spoilt(key, saved, value, wrong)
            at[name] = wrong
            try:
                Ledger().restore(key, saved)
                yield f"{name}: {wrong!r} in place of {value!r}"
            except ValueError:
                pass
            at[name] = value

    for wrong in ([["x"]], {"x": 1}, 1e300):
        for key, saved in whole.items():
            assert list(spoilt(key, saved, saved, wrong)) == []
    for key, saved in whole.items():
        Ledger().restore(key, saved)


@pytest.mark.parametrize(
    ("key", "saved"),
    [
        ("side inbound acme", []), ("side inbound acme", None), ("side inbound acme", {"trunk": "acme"}),
        ("side inbound acme", {"trunk": "acme", "direction": "inbound"}),
        ("side inbound acme", {"trunk": "acme", "direction": "up"}),
        ("shown inbound x acme", {"trunk": "acme", "direction": "inbound", "chain": ["%"]}),
        ("shown inbound x acme", {"trunk": "acme", "direction": "inbound", "chain": []}),
    ],
)  # fmt: skip
def test_what_is_no_entry_of_a_ledger_is_refused(key: str, saved: Any) -> None:
    ledger = Ledger()
    good(ledger)
    with pytest.raises(ValueError, match="no entry of a ledger"):
        ledger.restore(key, saved)
    assert ledger.shown("acme") != ()


def test_a_huge_chain_is_not_kept() -> None:
    ledger = Ledger()
    bad(ledger, chain=(*CHAIN, bytes(MAX_CHAIN_KEPT)))
    assert ledger.shown("acme") == () and ledger.side("acme", "inbound").bads == 1
