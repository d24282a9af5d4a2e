"""A public root without names is refused at load, however it is filed; the names may be the hosts dialled."""

from __future__ import annotations

import time
from pathlib import Path

import certifi
import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import CARRIER, SBC, Write

NAMED = CARRIER.replace("name_match", "names: [sip.carrier.example]\n  name_match")
DIALLED = CARRIER.replace("127.0.0.1:16061", "sip.carrier.example:5061")


def roots(directory: Path, *wanted: str) -> None:
    """The first public root in place of the carrier's CA, or those whose label holds one of ``wanted``."""
    blocks = Path(certifi.where()).read_text().split("-----END CERTIFICATE-----\n")[:-1]
    pems = [
        block[block.index("-----BEGIN") :] + "-----END CERTIFICATE-----\n"
        for block in blocks
        if not wanted or any(each in block for each in wanted)
    ]
    assert pems, f"none of {wanted} is in the list of roots any more: choose others"
    (directory / "tls" / "carrier-ca.pem").write_text("".join(pems if wanted else pems[:1]))


def refused(directory: Path) -> str:
    with pytest.raises(ConfigError) as refusal:
        build_snapshot(directory, time.time())
    (told,) = (each for each in refusal.value.diagnostics if each.severity == "error")
    return f"{told.path}:{told.line}: {told.message} | {told.hint}"


@pytest.mark.parametrize("flag", ["", ", public: true", ", public: false"])
def test_a_well_known_root_needs_names_whatever_it_is_called(write: Write, flag: str) -> None:
    directory = write({"sbc.yaml": SBC.replace("carrier-ca.pem}", f"carrier-ca.pem{flag}}}")})
    roots(directory, "DigiCert Global Root G2")
    told = refused(directory)
    assert told.startswith("trunks.d/carrier.yaml:9: public CA 'carrier-ca' without names")
    assert ("a well-known public root" in told) is ("true" not in flag)
    assert "anybody can get a certificate of a public CA" in told


@pytest.mark.parametrize("trunk", [NAMED, DIALLED])
def test_names_or_hosts_that_are_dialled_will_do(write: Write, trunk: str) -> None:
    directory = write({"trunks.d/carrier.yaml": trunk})
    roots(directory, "DigiCert Global Root G2", "ISRG Root X1")
    assert build_snapshot(directory, time.time()).anchors["carrier-ca"].public


def test_one_public_root_in_a_bundle_of_private_ones_is_enough(write: Write) -> None:
    directory = write({})
    file = directory / "tls" / "carrier-ca.pem"
    private = file.read_text()
    roots(directory)
    file.write_text(private + file.read_text())
    assert "without names" in refused(directory)


def test_private_cas_need_none(write: Write) -> None:
    assert not build_snapshot(write({}), time.time()).anchors["carrier-ca"].public
