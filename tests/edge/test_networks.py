"""Media in two networks, on real sockets: IPv4 inside, both families outside, on the same port numbers."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sbc.base import LocalError
from sbc.config.media import MediaConfig
from sbc.demo.lab import SBC_NAME
from sbc.ids import Ids
from sbc.media.policy import MediaPolicy
from sbc.net.media.embedded import MediaIO
from tests.edge.attacked import Attacked
from tests.peers.asking import ask
from tests.peers.ports import free_port
from tests.peers.waiting import until
from tests.unit.media.kit import Counter, audio, first, rtp, sdp

INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.2"
FIRST = (free_port(21) + 1) // 2 * 2
LAN = MediaPolicy("off", network="lan", signalling_host=INSIDE)
WAN = MediaPolicy("off", network="wan", signalling_host=OUTSIDE)
WAN6 = MediaPolicy("off", network="wan", signalling_host="::1")


def peer_at(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind((host, 0))
    except OSError:
        made.close()
        pytest.skip("this machine has no IPv6 loopback: two families are not tested here")
    made.setblocking(False)
    return made


def heard(peer: socket.socket) -> tuple[bytes, Any]:
    """The next datagram, and who sent it."""
    found: list[tuple[bytes, Any]] = []

    def arrived() -> bool:
        try:
            found.append(peer.recvfrom(65535))
        except BlockingIOError:
            return False
        return True

    until(arrived, "a datagram")
    return found[0]


def mark_of(peer: socket.socket) -> int:
    """The DSCP of the next datagram, of a socket of IPv6 that is told (RFC 3542 6.5)."""
    found: list[int] = []

    def arrived() -> bool:
        try:
            _, extra, _, _ = peer.recvmsg(65535, 256)
        except BlockingIOError:
            return False
        found.append(int.from_bytes(extra[0][2], "little") >> 2)
        return True

    until(arrived, "a datagram")
    return found[0]


def described(peer: socket.socket) -> bytes:
    host, port = peer.getsockname()[:2]
    text = sdp(audio(port), host=host)
    return text.replace(b"IN IP4", b"IN IP6") if ":" in host else text


@pytest.fixture
def plane() -> Iterator[MediaIO]:
    ports = f"{FIRST}-{FIRST + 19}"
    lan = {"address": INSIDE, "ports": ports}
    wan = {"address": OUTSIDE, "address6": "::1", "ports": ports}
    config = MediaConfig.model_validate({"networks": {"lan": lan, "wan": wan}})
    made = MediaIO(config, Ids(Counter()), lambda: 1000.0)
    yield made
    made.close()


@pytest.mark.parametrize(("host", "policy"), [(OUTSIDE, WAN), ("::1", WAN6)])
def test_media_crosses_from_one_network_to_the_other(plane: MediaIO, host: str, policy: MediaPolicy) -> None:
    inside, outside = peer_at(INSIDE), peer_at(host)
    to_outside = first(plane.offer("one", "a", described(inside), LAN, policy))
    to_inside = first(plane.answer("one", "b", described(outside)))
    assert (to_inside.host, to_outside.host) == (INSIDE, host)
    for sender, to, receiver in ((inside, to_inside, outside), (outside, to_outside, inside)):
        sender.sendto(rtp(1), (to.host, to.port))
        data, source = heard(receiver)
        other = to_outside if receiver is outside else to_inside
        assert (data, source[:2]) == (rtp(1), (other.host, other.port)), "from where its peer was told"
    free = {(each.name, each.family): (each.free, each.pairs) for each in plane.networks()}
    taken = {("lan", "IPv4"), ("wan", "IPv6" if ":" in host else "IPv4")}
    assert free == {
        key: (9 if key in taken else 10, 10) for key in (("lan", "IPv4"), ("wan", "IPv4"), ("wan", "IPv6"))
    }
    plane.delete("one")
    assert plane.free_ports() == 30
    for each in (inside, outside):
        each.close()


def test_a_network_without_a_free_port_is_named_and_the_other_goes_on(plane: MediaIO) -> None:
    near, far = peer_at(INSIDE), peer_at(OUTSIDE)
    inside = described(near)
    for call in range(5):
        plane.offer(f"call-{call}", "a", inside, LAN, LAN)
    with pytest.raises(LocalError, match=r"in use: widen media\.networks\.lan\.ports in sbc\.yaml"):
        plane.offer("one more", "a", inside, LAN, WAN)
    assert first(plane.offer("outside", "a", described(far), WAN, WAN)).port
    near.close()
    far.close()


def test_a_hairpin_from_network_to_network_is_found(plane: MediaIO) -> None:
    """Two calls that name each other's port pass packets on, and one packet does not run round for ever."""
    inside, outside = peer_at(INSIDE), peer_at(OUTSIDE)
    one = first(plane.offer("one", "a", described(inside), LAN, WAN))
    back = sdp(audio(one.port), host=OUTSIDE)
    two = first(plane.offer("two", "a", back, WAN, LAN))
    plane.answer("two", "b", described(outside))
    plane.answer("one", "b", sdp(audio(FIRST + 2), host=OUTSIDE))
    assert two.host == INSIDE
    assert plane.query("two").a.remote == (OUTSIDE, one.port)
    for each in (inside, outside):
        each.close()


def test_a_ring_of_two_calls_through_both_networks_ends(plane: MediaIO) -> None:
    """Each call is in both, and the port that a packet comes from is always in the other one."""
    near, far = peer_at(INSIDE), peer_at(OUTSIDE)
    one_b = first(plane.offer("one", "a", described(near), LAN, WAN)).port
    two_b = first(plane.offer("two", "a", sdp(audio(one_b), host=OUTSIDE), LAN, WAN)).port
    two_a = first(plane.answer("two", "b", described(far))).port
    one_a = first(plane.answer("one", "b", sdp(audio(two_a), host=INSIDE))).port
    plane.offer("two", "b", sdp(audio(one_a), host=INSIDE), WAN, LAN)
    plane.answer("two", "a", sdp(audio(one_b), host=OUTSIDE))
    plane.offer("one", "a", sdp(audio(two_b), host=OUTSIDE), LAN, WAN)
    plane.answer("one", "b", sdp(audio(two_a), host=INSIDE))
    far.sendto(rtp(1), (INSIDE, one_a))

    def ended() -> bool:
        counts = [plane.query(call) for call in ("one", "two")]
        return sum(leg.refused.get("loop", 0) for each in counts for leg in (each.a, each.b)) == 1

    until(ended, "an end of the ring")
    near.close()
    far.close()


_SETTINGS = """\
listeners:
  inside: {{bind: "127.0.0.1:{udp}", transport: udp, network: lan}}
  outside: {{bind: "[::1]:{udp}", transport: udp}}
media:
  networks:
    lan: {{address: 127.0.0.1, ports: {first}-{last}}}
    wan: {{address: 127.0.0.2, address6: "::1", ports: {first}-{last}}}
dscp: {{sip: cs3, rtp: ef}}
admin: {{bind: "127.0.0.1:{admin}"}}
"""
_TRUNKS = {
    "office": "trunk: office\nlistener: inside\nsources: [127.0.0.0/8]\n",
    "carrier": (
        "trunk: carrier\nlistener: outside\nnetwork: wan\nsources: ['::1']\npeers: ['[::1]:{port}']\n"
        "response_timeout: 3\n"
    ),
}
_ROUTES = 'rules: [{name: out, when: true, then: route "carrier"}]\n'


class TwoNetworks(Attacked):
    """A running SBC between an office in IPv4 and a carrier in IPv6."""

    def _configure(self, srtp: str, office_srtp: str) -> None:
        self.callee = peer_at("::1")
        super()._configure(srtp, office_srtp)
        media, directory = self.ports.media, self.directory
        text = _SETTINGS.format(udp=self.udp, first=media, last=media + 99, admin=self.ports.admin)
        (directory / "sbc.yaml").write_text(text)
        (directory / "trunks.d" / "plain.yaml").unlink()
        for name, trunk in _TRUNKS.items():
            text = trunk.format(port=self.callee.getsockname()[1])
            (directory / "trunks.d" / f"{name}.yaml").write_text(text)
        (directory / "routes.d" / "10-lab.yaml").write_text(_ROUTES)


def invite(caller: socket.socket, body: bytes) -> bytes:
    here = f"127.0.0.1:{caller.getsockname()[1]}"
    to, unique = f"sip:+12125550100@{SBC_NAME}", os.urandom(8).hex()
    head = (
        f"INVITE {to} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{unique}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:alice@office.example>;tag=1\r\nTo: <{to}>\r\n"
        f"Call-ID: {unique}\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@{here}>\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer(request: bytes, contact: str, body: bytes) -> bytes:
    """A 200 to what arrived as ``request``."""
    names = (b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Record-Route")
    lines = [
        line for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:] if line.split(b":")[0] in names
    ]
    lines = [line + b";tag=callee" if line.startswith(b"To:") else line for line in lines]
    ends = f"Contact: <sip:{contact}>\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
    return b"\r\n".join([b"SIP/2.0 200 OK", *lines, ends.encode() + body])


def until_said(peer: socket.socket, begins: bytes) -> tuple[bytes, Any]:
    """The next message that ``begins`` so."""
    data, source = heard(peer)
    while not data.startswith(begins):
        data, source = heard(peer)
    return data, source


@pytest.mark.slow
def test_a_call_from_ipv4_inside_to_ipv6_outside_and_its_marks(tmp_path: Path) -> None:
    sbc = TwoNetworks(tmp_path)
    caller, near, far = peer_at(INSIDE), peer_at(INSIDE), peer_at("::1")
    try:
        caller.sendto(invite(caller, described(near)), (INSIDE, sbc.udp))
        arrived, source = until_said(sbc.callee, b"INVITE")
        assert source[0] == "::1" and INSIDE.encode() not in arrived.split(b"\r\n\r\n", 1)[1]
        offered = first(arrived.split(b"\r\n\r\n", 1)[1])
        contact = f"carrier@[::1]:{sbc.callee.getsockname()[1]}"
        sbc.callee.sendto(answer(arrived, contact, described(far)), source)
        answered, _ = until_said(caller, b"SIP/2.0 200")
        told = first(answered.split(b"\r\n\r\n", 1)[1])
        assert (told.host, offered.host) == (INSIDE, "::1")
        near.sendto(rtp(1), (told.host, told.port))
        assert heard(far)[0] == rtp(1)
        far.sendto(rtp(2), (offered.host, offered.port))
        assert heard(near)[0] == rtp(2)
        far.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        near.sendto(rtp(2), (told.host, told.port))
        assert mark_of(far) == 46
        settings = tmp_path / "sbc.yaml"
        settings.write_text(settings.read_text().replace("rtp: ef", "rtp: af41"))
        assert ask(tmp_path / "run" / "sbc.sock", "reload")["changed"]
        near.sendto(rtp(3), (told.host, told.port))
        assert mark_of(far) == 34, "a reload marks what runs"
        status: dict[str, Any] = ask(sbc.directory / "run" / "sbc.sock", "status")
        free = [(each["name"], each["address"], each["pairs"] - each["free"]) for each in status["networks"]]
        assert free == [("lan", INSIDE, 1), ("wan", OUTSIDE, 0), ("wan", "::1", 1)]
        caller.sendto(invite(caller, described(far)), (INSIDE, sbc.udp))
        until_said(caller, b"SIP/2.0 488")
        (line,) = sbc.lines("[srtp-refused]")
        assert re.search("add address6 to media.networks.lan", str(line)), line
    finally:
        for each in (caller, near, far, sbc.callee):
            each.close()
        sbc.unharmed()
        assert sbc.close() == 0
