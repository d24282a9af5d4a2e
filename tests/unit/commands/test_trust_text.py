"""``sbc trust`` in a terminal: all of it, in 100 columns, and nothing that moves the cursor."""

from __future__ import annotations

from dataclasses import asdict, replace

from sbc.commands.lines import WIDTH
from sbc.commands.trust_text import render
from sbc.observe.trust import TrustView
from tests.unit.observe.pictures import NOW, trust


def shown(*views: TrustView) -> str:
    return render([asdict(each) for each in views or trust()], NOW)


def test_it_reads_as_sentences() -> None:
    text = shown(trust()[0])
    for line in (
        "TRUNK carrier TLS required, contact: NOC +1 212 555 0100",
        "  ! one way only: outbound works, inbound fails since (unknown-ca, we refuse the peer)",
        "  INBOUND, the peer connects to us",
        "    we accept         carrier-ca: CN=Carrier CA,O=Carrier, 900 days left, pki@carrier.example",
        "                      carrier-key: a public key",
        "      with names      carrier.lab.example (rfc5922)",
        "      revocation      soft: staple, crl, ocsp",
        "    we present        sbc: CN=sbc.lab.example, 40 days left",
        "    the peer accepts  not known; declare it with `peer_trusts`",
        "    the peer showed   CN=carrier.lab.example, 9 days left, by trust carrier-ca",
        "                      CN=<b>evil</b>, EXPIRED 3 days ago, REFUSED",
        "    last good         never",
        "    last failure      30 s ago, 198.51.100.4:40000: unknown-ca, alert sent 48 unknown_ca; 3 in all",
        "                      line: trunks.d/carrier.yaml:9 (tls.trust)",
        "  OUTBOUND, we dial the peer",
        "    the peer accepts  CN=Carrier Clients CA (observed)",
        "    last good         1 min ago, 198.51.100.7:5061, TLSv1.3 X25519MLKEM768; 7 in all",
    ):
        assert line in text.splitlines(), line


def test_a_trunk_that_shows_nothing() -> None:
    lines = shown(trust()[1]).splitlines()
    assert lines[0] == "TRUNK bare TLS required"
    assert "    we present        no certificate" in lines
    assert "    the peer accepts  it asks for no certificate" in lines
    assert "    the peer showed   nothing yet" in lines
    assert render([], NOW) == "no trunk with TLS"


def test_it_fits_a_terminal_and_leaves_the_cursor_alone() -> None:
    view = replace(trust()[0], warnings=("\x1b[2J\x07 long " + "word " * 60, "CN=" + "x" * 300))
    text = shown(view)
    assert "\x1b" not in text and "\x07" not in text and "\\x1b[2J" in text
    assert max(map(len, text.splitlines())) <= WIDTH
