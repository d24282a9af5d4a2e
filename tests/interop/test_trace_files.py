"""The file of a trace, opened by those for whom it is: tshark (Wireshark without a window) and sngrep."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.demo.lab import SBC_NAME
from tests.edge.attacked import TO, attacked
from tests.edge.sbc_command import sbc
from tests.peers.needs import needs
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The trace of one call over mutual TLS."""
    directory = tmp_path_factory.mktemp("trace")
    with attacked(directory / "sbc") as running:
        call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
        assert call.wait_up(30), call.reason
        call.hang_up()
        assert call.wait_over(30)
        until(lambda: not running.calls())
        path = directory / "call.pcapng"
        assert sbc(running.directory, "trace", "--last", "-w", str(path)).status == 0
        yield path


# What tshark calls a warning (PI_WARN) and worse: malformed packets, wrong lengths.
WARNING = 0x600000


def tshark(file: Path, *fields: str) -> list[list[str]]:
    """These fields of each packet; checksums are looked at."""
    needs("tshark")
    checks = [each for name in ("ip", "udp") for each in ("-o", f"{name}.check_checksum:TRUE")]
    asked = [each for name in fields for each in ("-e", name)]
    argv = ["tshark", "-r", str(file), *checks, "-T", "fields", "-E", "separator=|", *asked]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def test_tshark_reads_every_message_as_sip_with_nothing_wrong(file: Path) -> None:
    rows = tshark(
        file, "sip.Method", "sip.Status-Code", "ip.checksum.status", "udp.checksum.status",
        "_ws.expert.severity",
    )  # fmt: skip
    methods = [row[0] for row in rows if row[0]]
    assert methods[:2] == ["INVITE", "INVITE"] and methods.count("ACK") == methods.count("BYE") == 2
    assert [row[1] for row in rows if row[1]].count("200") == 4
    assert all(row[2:4] == ["1", "1"] for row in rows), "1 is good"
    assert not [row for row in rows if WARNING <= max(map(int, filter(None, row[4].split(","))), default=0)]


def test_tshark_shows_what_tls_proved_and_what_was_decided(file: Path) -> None:
    rows = tshark(file, "frame.comment", "ip.src", "udp.srcport")
    assert all("TLSv1.3" in row[0] and "pin sha256/" in row[0] for row in rows)
    assert any("route carrier, by all else goes out" in row[0] for row in rows)
    assert len({(row[1], row[2]) for row in rows}) >= 3


def test_tshark_finds_the_media_descriptions_whole_though_their_keys_are_hidden(file: Path) -> None:
    rows = tshark(file, "sdp.media.proto", "sdp.media_attr")
    described = [row for row in rows if row[0]]
    assert len(described) == 4 and all("inline:xxx" in row[1] for row in described)


def test_sngrep_finds_both_dialogs(file: Path) -> None:
    needs("sngrep")
    done = subprocess.run(
        ["sngrep", "-N", "-I", str(file)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 0 and done.stdout.strip().endswith("Dialog count: 2"), done
