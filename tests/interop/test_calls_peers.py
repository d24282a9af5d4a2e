"""The servers of one trunk, each a SIPp: who takes the calls, who rests, and who is passed over in time."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sbc.demo.process import whole_lines
from tests.peers.asking import ask
from tests.peers.call_records import calls_in
from tests.peers.dnsmasq import Dnsmasq
from tests.peers.needs import needs
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.waiting import until, until_equal

pytestmark = [pytest.mark.interop, pytest.mark.slow]

FIRST, SECOND = "127.0.0.11", "127.0.0.12"
_CALLER = "trunk: caller\nlistener: udp\nsources: [127.0.0.1]\nsrtp: off\n"
_RULES = 'rules:\n  - name: out\n    when: trunk == "caller"\n    then: route "carrier"\n'


class Served:
    """An SBC whose trunk ``carrier`` has these peers, in the words of its file."""

    def __init__(self, root: Path, peers: str, more: str = "") -> None:
        self.root, self.directory, self.udp = root, root / "sbc", free_port()
        first = free_port(40)
        first += first % 2
        files = {
            "sbc.yaml": (
                f"listeners: {{udp: {{bind: '127.0.0.1:{self.udp}', transport: udp}}}}\n"
                f"media: {{address: 127.0.0.1, ports: {first}-{first + 37}}}\n{more}"
            ),
            "trunks.d/caller.yaml": _CALLER,
            "trunks.d/carrier.yaml": f"trunk: carrier\nlistener: udp\nsrtp: off\npeers: [{peers}]\n",
            "routes.d/10.yaml": _RULES,
        }
        for name, text in files.items():
            (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / name).write_text(text)

    def call(self, calls: int) -> None:
        """A SIPp makes calls, one after the other, and each is answered."""
        settings = SippSettings("caller", remote_port=self.udp, calls=calls, limit=1, rate=20)
        with Sipp("caller", self.root / "caller", settings) as caller:
            counts = caller.finish(30)
            assert (counts.successful, counts.failed) == (calls, 0), caller.failed("refused")

    def refused(self) -> None:
        """A SIPp makes a call that comes to nothing."""
        settings = SippSettings("caller_hears", remote_port=self.udp, hears=(503,))
        with Sipp("refused", self.root / "refused", settings) as caller:
            assert caller.finish(30).successful == 1, caller.failed("not refused")

    def records(self, count: int) -> list[dict[str, Any]]:
        """The call records, once there are ``count``."""
        return until(
            lambda: calls_in(self.directory), f"{count} records", holds=lambda found: len(found) >= count
        )

    def taken_by(self, count: int) -> dict[str, int]:
        """How many of ``count`` calls each peer has taken, by its address."""
        return dict(Counter(each["b"]["peer"].partition(":")[0] for each in self.records(count)))

    def named(self) -> list[str]:
        """The servers that the DNS names for the carrier, as ``sbc status`` knows them."""
        (name,) = ask(self.directory / "run" / "sbc.sock", "status")["names"]
        return [str(each["address"]) for each in name["servers"]]

    def log(self) -> str:
        """The journal so far."""
        return whole_lines(self.directory / "sbc.log")

    def states(self) -> list[str]:
        """What ``sbc status`` says of each of the carrier's peers."""
        status = ask(self.directory / "run" / "sbc.sock", "status")
        (trunk,) = (each for each in status["trunks"] if each["name"] == "carrier")
        return [each["state"] for each in trunk["peer_states"]]


def sipp(tmp_path: Path, address: str, scenario: str) -> Sipp:
    name = f"at-{address.rpartition('.')[2]}"
    return Sipp(name, tmp_path / name, SippSettings(scenario, address=address, trace=True))


def invites(server: Sipp) -> int:
    """How many calls reached a server."""
    text = server.messages.read_text(errors="replace") if server.messages.exists() else ""
    return len(set(re.findall(r"^Call-ID: *(\S+)", text, re.MULTILINE)))


@contextmanager
def serving(tmp_path: Path, peers: str, *servers: PeerProcess, more: str = "") -> Iterator[Served]:
    served = Served(tmp_path, peers, more)
    with ExitStack() as stack:
        for each in servers:
            stack.enter_context(each)
        stack.enter_context(Portcullis("sbc", served.directory, udp=[served.udp]))
        yield served


def test_servers_of_one_priority_share_the_calls_by_weight(tmp_path: Path) -> None:
    needs("sipp")
    first, second = sipp(tmp_path, FIRST, "callee"), sipp(tmp_path, SECOND, "callee")
    peers = ", ".join(
        f"{{host: {at}, port: {server.port}, priority: 1, weight: {weight}}}"
        for at, server, weight in ((FIRST, first, 3), (SECOND, second, 1))
    )
    with serving(tmp_path, peers, first, second) as served:
        served.call(8)
        assert served.taken_by(8) == {FIRST: 6, SECOND: 2}


def test_a_server_that_asks_for_a_rest_has_it_and_is_asked_again_when_it_is_over(tmp_path: Path) -> None:
    """The first one's Retry-After is five seconds."""
    needs("sipp")
    first, second = sipp(tmp_path, FIRST, "callee_unavailable"), sipp(tmp_path, SECOND, "callee")
    peers = f"'{FIRST}:{first.port}', '{SECOND}:{second.port}'"
    with serving(tmp_path, peers, first, second) as served:
        served.call(1)
        until(lambda: re.search("event=peer-rests .*seconds=5 ", served.log()))
        until_equal(lambda: served.states()[0], "unknown")
        assert invites(first) == 1
        served.call(1)
        until_equal(lambda: invites(first), 2)
        assert served.taken_by(2) == {SECOND: 2}


def test_a_silent_server_is_passed_over_after_its_time(tmp_path: Path) -> None:
    needs("sipp")
    second = sipp(tmp_path, SECOND, "callee")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((FIRST, 0))
        peers = f"{{host: {FIRST}, port: {silent.getsockname()[1]}, try_for: 1s}}, '{SECOND}:{second.port}'"
        with serving(tmp_path, peers, second) as served:
            served.call(2)
            assert served.taken_by(2) == {SECOND: 2}
            assert b"INVITE sip:" in silent.recv(65535)
            assert len(re.findall("event=peer-failed", served.log())) == 1, (
                "the second call is not kept waiting"
            )


def test_the_servers_of_a_domain_share_its_calls_and_one_that_is_dead_is_passed_over(tmp_path: Path) -> None:
    """What dnsmasq says of the domain is what the SIPps are called by."""
    needs("sipp", "dnsmasq")
    first, second = sipp(tmp_path, FIRST, "callee"), sipp(tmp_path, SECOND, "callee")
    srv = "srv-host=_sip._udp.carrier.example"
    dns = Dnsmasq("dns", tmp_path / "dns", [
        f"host-record=first.example,{FIRST}", f"host-record=second.example,{SECOND}",
        "host-record=dead.example,127.0.0.13",
        f"{srv},dead.example,{free_port()},1,1",
        f"{srv},first.example,{first.port},2,3", f"{srv},second.example,{second.port},2,1",
    ])  # fmt: skip
    more = f'dns: {{servers: ["{dns.address}"]}}\n'
    peer = "{host: carrier.example, try_for: 1s}"
    with serving(tmp_path, peer, dns, first, second, more=more) as served:
        until(lambda: "event=found name=carrier.example transport=UDP servers=3" in served.log())
        served.call(9)
        assert served.taken_by(9) == {FIRST: 7, SECOND: 2}
        invite = first.messages.read_text(errors="replace")
        assert re.search(r"^INVITE sip:[^@\n]+@carrier.example SIP/2.0", invite, re.MULTILINE)
        assert served.log().count("event=peer-failed") == 1, "the dead one rests"


def test_records_that_change_move_the_calls_there_and_back_and_dns_may_come_up_late(tmp_path: Path) -> None:
    """No dnsmasq at the SBC's start, and nobody reloads: dnsmasq's records are good for no time at all."""
    needs("sipp", "dnsmasq")
    first, second = sipp(tmp_path, FIRST, "callee"), sipp(tmp_path, SECOND, "callee")
    dns = Dnsmasq("dns", tmp_path / "dns", [])
    more = f'dns: {{servers: ["{dns.address}"]}}\n'
    with ExitStack() as stack:
        served = stack.enter_context(serving(tmp_path, "{host: carrier.example}", first, second, more=more))
        until(lambda: "event=failed name=carrier.example" in served.log(), "nobody answers for the domain")
        served.refused()
        stack.callback(dns.stop)
        for at, server in ((FIRST, first), (SECOND, second), (FIRST, first)):
            srv = f"srv-host=_sip._udp.carrier.example,server.example,{server.port}"
            dns.knows(f"host-record=server.example,{at}", srv)
            until_equal(served.named, [f"{at}:{server.port}"])
            served.call(3)
        taken = [each["b"]["peer"] for each in served.records(10)[1:]]
        here, there = f"{FIRST}:{first.port}", f"{SECOND}:{second.port}"
        assert taken == [*[here] * 3, *[there] * 3, *[here] * 3]
