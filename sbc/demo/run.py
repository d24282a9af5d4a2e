"""``sbc demo``: a lab SBC, two agents, one call, and what happened to it, in plain words.

Nothing is staged. The SBC is ``sbc run`` in a process of its own; the office and the carrier are
user agents with certificates of two authorities; every statement at the end was measured by one of
them, and the exit status is 0 only where all are as promised.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import gevent

from sbc.base import Address, LocalError
from sbc.demo import ladder, receipt
from sbc.demo.agent import Agent
from sbc.demo.call import CallReport
from sbc.demo.lab import HOST, SBC_NAME, LabPorts, free_ports, write_configuration
from sbc.demo.paint import Paint
from sbc.demo.process import SbcProcess
from sbc.demo.receipt import Promise
from sbc.demo.tls import Credentials, Refused
from sbc.demo.voice import VoiceSettings

TALK = 3.0  # seconds
OFFICE_HERTZ, CARRIER_HERTZ = 440, 660
CALLED = "+12125550100"
BARE_HOST = f"sip:{SBC_NAME}"


@dataclass(slots=True)
class Lab:
    """A running lab: the SBC and two agents around it."""

    directory: Path
    ports: LabPorts
    sbc: SbcProcess
    office: Agent
    carrier: Agent

    @property
    def address(self) -> Address:
        """Where the SBC takes SIP over TLS."""
        return Address(HOST, self.ports.sips)


def run(keep: bool = False, out: TextIO | None = None) -> int:
    """Run the demo; ``keep`` leaves its files. Returns 0 where every promise was kept, else 1."""
    paint = Paint(out or sys.stdout)
    directory = Path(tempfile.mkdtemp(prefix="portcullis-lab-"))
    try:
        with _lab(directory, paint) as lab:
            good = _call(lab, paint) & _question(lab, paint) & _refusal(lab, paint)
    except (LocalError, Refused) as error:
        paint.say(f"{paint.tick(False)} {error}")
        good = False
    finally:
        if keep:
            paint.say(f"\nThe lab's files: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    verdict = "Everything was as promised." if good else "Not everything was as promised."
    paint.say("\n" + paint("bold", verdict))
    return 0 if good else 1


@contextmanager
def _lab(directory: Path, paint: Paint) -> Iterator[Lab]:
    ports = free_ports()
    write_configuration(directory, ports, time.time())
    paint.say(f"{paint.tick(True)} a lab PKI: two authorities, certificates for the SBC and two peers")
    sbc = SbcProcess(directory, Address(HOST, ports.admin))
    office = _agent(directory, "office", OFFICE_HERTZ)
    carrier = _agent(directory, "carrier", CARRIER_HERTZ)
    try:
        carrier.listen(ports.carrier)
        health = sbc.wait_ready()
        where = ", ".join(f"{port['address']} ({port['transport']})" for port in health["ports"])
        paint.say(f"{paint.tick(True)} the SBC listens on {where}; configuration {health['configuration']}")
        yield Lab(directory, ports, sbc, office, carrier)
    finally:
        office.close()
        carrier.close()
        sbc.stop()


def _agent(directory: Path, name: str, hertz: int, certificate: bool = True) -> Agent:
    tls = directory / "tls"
    credentials = Credentials(tls / f"{name}.pem", tls / f"{name}.key") if certificate else None
    return Agent(name, f"{name}.lab.example", tls / "lab-ca.pem", credentials, VoiceSettings(hertz=hertz))


def _call(lab: Lab, paint: Paint) -> bool:
    link = lab.office.dial(lab.address, SBC_NAME)
    call = lab.office.call(link, f"sip:{CALLED}@{SBC_NAME}")
    up = call.wait_up(10)
    if up:
        paint.say(f"{paint.tick(True)} the call is up: both sides sing for {TALK:.0f} seconds")
        gevent.sleep(TALK)
        call.hang_up()
        call.wait_over(5)
    answered = lab.carrier.incoming.get_nowait() if not lab.carrier.incoming.empty() else None
    if answered is not None:
        answered.wait_over(3)
    reports = [call.report()] + ([answered.report()] if answered else [])
    _show_ladder(lab, paint)
    good = _show_receipts(reports, paint) & _show_record(lab, paint)
    if answered is None:
        paint.say(f"{paint.tick(False)} the call never reached the carrier: {call.status} {call.reason}")
        paint.say(lab.sbc.log.read_text(errors="replace")[-3000:])
    return good and up and answered is not None


def _show_ladder(lab: Lab, paint: Paint) -> None:
    paint.say()
    rungs = ladder.rungs(lab.office.record, lab.carrier.record)
    for line in ladder.draw("office", "SBC", "carrier", rungs, paint):
        paint.say(line)


def _show_receipts(reports: list[CallReport], paint: Paint) -> bool:
    promises = {
        "office": ("The office's leg", Promise(SBC_NAME, CARRIER_HERTZ, TALK)),
        "carrier": ("The carrier's leg", Promise(SBC_NAME, OFFICE_HERTZ, TALK)),
    }
    good = True
    for report in reports:
        title, promise = promises[report.agent]
        lines = receipt.receipt(report, promise)
        good = good and receipt.kept(lines)
        paint.say()
        for line in receipt.draw(title, lines, paint):
            paint.say(line)
    return good


def _show_record(lab: Lab, paint: Paint) -> bool:
    peers = {"a": lab.office.domain, "b": lab.carrier.domain}
    lines = receipt.recorded(lab.sbc.call_record(), peers)
    paint.say()
    for line in receipt.draw("What the SBC recorded of the call", lines, paint):
        paint.say(line)
    return receipt.kept(lines)


def _question(lab: Lab, paint: Paint) -> bool:
    """What a peer asks every minute, to know whether we are there: OPTIONS to our host, without a user."""
    paint.say("\n" + paint("bold", "A peer asks whether the SBC is there"))
    answer = lab.office.ask(lab.office.dial(lab.address, SBC_NAME), BARE_HOST)
    good = answer is not None and answer.status == 200
    said = f"{answer.status} {answer.reason}" if answer else "nothing"
    paint.say(f"  {paint.tick(good)} OPTIONS {BARE_HOST} was answered with {said}")
    return good


def _refusal(lab: Lab, paint: Paint) -> bool:
    """A stranger without a certificate: refused before a byte of SIP, and the journal says why."""
    paint.say("\n" + paint("bold", "A stranger without a certificate"))
    stranger = _agent(lab.directory, "stranger", OFFICE_HERTZ, certificate=False)
    try:
        link = stranger.dial(lab.address, SBC_NAME)
        closed, failure = link.wait_closed(5), link.failure
    except Refused as refused:
        closed, failure = True, str(refused)
    finally:
        stranger.close()
    told = lab.sbc.find("[tls-refused]")
    good = closed and told.get("kind") == "no-certificate"
    paint.say(f"  {paint.tick(closed)} was turned away: {failure or 'the connection is still open'}")
    paint.say(f"  {paint.tick(bool(told))} the SBC's journal: {told.get('detail', 'says nothing of it')}")
    if told.get("remedy"):
        paint.say(f"    what to do: {told['remedy']}")
    return good


if __name__ == "__main__":
    sys.exit(run())
