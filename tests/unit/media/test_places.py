"""Two networks: which leg of a call is received where, in which family, on whose ports."""

from __future__ import annotations

import pytest

from sbc.base import LocalError
from sbc.ids import Ids
from sbc.media.errors import MediaRefused
from sbc.media.places import Networks, Owner, Place, PortPool
from sbc.media.policy import MediaPolicy
from sbc.media.relay import packet
from sbc.media.sdp import parse_sdp
from sbc.media.session import MediaSession
from tests.unit.media.kit import ALICE, BOB, OFF, Counter, audio, rtp, sdp

LAN, WAN, WAN6 = "10.0.0.9", "203.0.113.9", "2001:db8::9"
BOB6 = "2001:db8::20"
INSIDE = MediaPolicy("off", network="lan", signalling_host=ALICE, trunk="office")
OUTSIDE = MediaPolicy("off", network="wan", signalling_host=BOB, trunk="carrier")
OUTSIDE6 = MediaPolicy("off", network="wan", signalling_host=BOB6, trunk="carrier")
VIDEO6 = f"m=video 40010 RTP/AVP 96\r\nc=IN IP6 {BOB6}\r\na=rtpmap:96 H264/90000\r\n"


class Known:
    """The ports of one address, whose owner is known as for bound ones."""

    def __init__(self, address: str, pool: PortPool) -> None:
        self.address, self.pool = address, pool

    def take(self, trunk: str, most: int | None) -> int:
        return self.pool.take(trunk, most)

    def give(self, port: int) -> None:
        self.pool.give(port)

    def owner(self, host: str, port: int) -> Owner:
        taken = self.pool.is_taken(port)
        if host != self.address or taken is None:
            return "other"
        return "call" if taken else "nobody"


class Net:
    """A LAN of IPv4 and a WAN of both families, all on the same numbers."""

    def __init__(self) -> None:
        held: dict[str, int] = {}
        self.pools = {each: PortPool("20000-20019", held) for each in (LAN, WAN, WAN6)}
        lan, wan, wan6 = (Place(each, Known(each, pool)) for each, pool in self.pools.items())
        self.networks = Networks({"lan": (lan,), "wan": (wan, wan6)})

    def call(self) -> MediaSession:
        return MediaSession("call", Ids(Counter()), self.networks)

    def taken(self) -> list[int]:
        return [pool.total - len(pool) for pool in self.pools.values()]


def of6(data: bytes) -> bytes:
    return data.replace(b"IN IP4", b"IN IP6")


def test_each_leg_is_told_the_address_of_its_own_network() -> None:
    net = Net()
    call = net.call()
    outside = call.offer("a", sdp(audio()), INSIDE, OUTSIDE, 0.0)
    assert f"c=IN IP4 {WAN}\r\n".encode() in outside and LAN.encode() not in outside
    inside = call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    assert f"c=IN IP4 {LAN}\r\n".encode() in inside and WAN.encode() not in inside
    assert net.taken() == [1, 1, 0]
    call.close()
    assert net.taken() == [0, 0, 0]


def test_one_leg_is_in_ipv4_and_the_other_in_ipv6() -> None:
    net = Net()
    call = net.call()
    outside = call.offer("a", sdp(audio()), INSIDE, OUTSIDE6, 0.0)
    for line in (f"c=IN IP6 {WAN6}\r\n", f" IN IP6 {WAN6}\r\ns=-", "a=rtcp:20001\r\n"):
        assert line.encode() in outside, outside
    assert b"IP4" not in outside
    inside = call.answer("b", of6(sdp(audio(50000), host=BOB6)), 0.0)
    assert b"IP6" not in inside and f"c=IN IP4 {LAN}\r\n".encode() in inside
    sent = packet(call.streams[0].ends["a"].leg.port_rtp, rtp(1), (ALICE, 40000))
    assert sent is not None and sent[2] == (BOB6, 50000)
    assert net.taken() == [1, 0, 1]


def test_an_offer_chooses_the_family_by_what_it_names_and_not_by_its_signalling() -> None:
    net = Net()
    call = net.call()
    call.offer("a", of6(sdp(audio(), host=BOB6)), OUTSIDE, INSIDE, 0.0)
    answer = call.answer("b", sdp(audio(50000)), 0.0)
    assert f"c=IN IP6 {WAN6}\r\n".encode() in answer
    assert net.taken() == [1, 0, 1]


def test_a_stream_of_the_other_family_says_so_itself() -> None:
    """RFC 8866 5.7: c= of a section, before its bandwidth and attributes, holds for that section."""
    net = Net()
    call = net.call()
    call.offer("a", sdp(audio(), VIDEO6, host=BOB), OUTSIDE, INSIDE, 0.0)
    both = sdp(audio(50000), "m=video 50010 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n")
    answer = call.answer("b", both, 0.0)
    assert [each.host for each in parse_sdp(answer).media] == [WAN, WAN6]
    assert f"RTP/AVP 96\r\nc=IN IP6 {WAN6}\r\na=".encode() in answer
    assert net.taken() == [2, 1, 1]


def test_an_offer_in_a_family_that_its_network_lacks_gets_488_and_the_word_to_add() -> None:
    net = Net()
    with pytest.raises(MediaRefused, match=r"add address6 to media\.networks\.lan in sbc\.yaml") as refused:
        net.call().offer("a", of6(sdp(audio(), host=BOB6)), INSIDE, OUTSIDE, 0.0)
    assert refused.value.status == 488 and net.taken() == [0, 0, 0]
    only = Networks({"": (Place(LAN, PortPool("20000-20019")),)})
    with pytest.raises(MediaRefused, match=r"write media\.networks in sbc\.yaml"):
        MediaSession("c", Ids(Counter()), only).offer("a", of6(sdp(audio(), host=BOB6)), OFF, OFF, 0.0)


def test_an_answer_in_the_other_family_is_refused_and_changes_nothing() -> None:
    net = Net()
    call = net.call()
    call.offer("a", sdp(audio()), INSIDE, OUTSIDE, 0.0)
    with pytest.raises(MediaRefused):
        call.answer("b", of6(sdp(audio(50000), host=BOB6)), 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    with pytest.raises(MediaRefused, match="not in that family"):
        call.offer("b", of6(sdp(audio(50000), host=BOB6)), OUTSIDE, INSIDE, 0.0)
    assert net.taken() == [1, 1, 0]


def test_the_next_hop_of_a_failover_is_reached_in_its_own_network() -> None:
    net = Net()
    call = net.call()
    call.offer("a", sdp(audio()), INSIDE, OUTSIDE, 0.0)
    again = call.offer("a", sdp(audio()), INSIDE, OUTSIDE6, 1.0, restart=True)
    assert f"c=IN IP6 {WAN6}\r\n".encode() in again and net.taken() == [1, 0, 1]
    back = call.offer("a", sdp(audio()), INSIDE, INSIDE, 2.0, restart=True)
    assert f"c=IN IP4 {LAN}\r\n".encode() in back and net.taken() == [2, 0, 0]
    call.answer("b", sdp(audio(50000), host=BOB), 3.0)
    call.close()
    assert net.taken() == [0, 0, 0]


def test_a_port_of_ours_is_known_in_whichever_network_it_is() -> None:
    net = Net()
    one, two = net.call(), net.call()
    one.offer("a", sdp(audio()), INSIDE, OUTSIDE, 0.0)
    for host in (LAN, WAN):
        with pytest.raises(MediaRefused, match="our own media port"):
            one.answer("b", sdp(audio(20000), host=host), 0.0)
    for host, port in ((LAN, 20004), (WAN, 20005), (WAN6, 20000)):
        text = sdp(audio(port), host=host)
        with pytest.raises(MediaRefused, match="that no call has"):
            two.offer("a", of6(text) if ":" in host else text, OUTSIDE, OUTSIDE, 0.0)


def test_the_same_number_in_another_network_is_another_calls_port() -> None:
    """A PBX sends the port of one call back in another, also where the second has that number too."""
    net = Net()
    one, two = net.call(), net.call()
    one.offer("a", sdp(audio()), INSIDE, OUTSIDE, 0.0)
    offered = two.offer("a", of6(sdp(audio(), host=BOB6)), OUTSIDE6, OUTSIDE6, 0.0)
    assert [each.port for each in parse_sdp(offered).media] == [20002]
    assert [end.local for end in two.streams[0].ends.values()] == [20000, 20002]
    three = net.call()
    three.offer("a", sdp(audio(20000), host=WAN), INSIDE, OUTSIDE6, 0.0)
    assert three.streams[0].ends["a"].local == 20002


def test_what_a_trunk_may_hold_is_counted_in_all_networks_together() -> None:
    net = Net()
    limited = MediaPolicy("off", network="lan", signalling_host=ALICE, trunk="office", ports=3)
    one = net.call()
    one.offer("a", sdp(audio()), limited, OUTSIDE, 0.0)
    with pytest.raises(LocalError, match=r"trunk office holds 3 pairs of media ports: its limits.ports is 3"):
        net.call().offer("a", sdp(audio()), limited, OUTSIDE6, 0.0)
    assert net.taken() == [1, 1, 0], "what was taken of the refused call is given back"
    one.close()
    net.call().offer("a", sdp(audio()), limited, OUTSIDE6, 0.0)


def test_a_network_that_a_reload_has_brought_is_no_fault_of_ours_to_guess() -> None:
    net = Net()
    fresh = MediaPolicy("off", network="dmz", signalling_host=BOB)
    with pytest.raises(LocalError, match="network dmz is not open yet: start Portcullis anew"):
        net.call().offer("a", sdp(audio()), INSIDE, fresh, 0.0)
    assert net.taken() == [0, 0, 0]


@pytest.mark.parametrize("named", ["127.0.0.1", "127.0.1.1", "::ffff:127.0.0.1", "::1"])
def test_the_loopback_of_another_machine_is_not_ours(named: str) -> None:
    """RFC 1122 3.2.1.3: 127/8 is nobody's but a machine's own, and what listens there is for no peer.

    Telephones whose name is 127.0.1.1 in /etc/hosts write it; they are found where their signalling is.
    """
    call, version = Net().call(), "IP6" if ":" in named else "IP4"
    here = f"a=rtcp:40033 IN {version} {named}\r\n"
    offer = sdp(audio() + here, host=named).replace(b"c=IN IP4", f"c=IN {version}".encode())
    call.offer("a", offer, INSIDE, OUTSIDE, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    a, b = (call.streams[0].ends[side].leg for side in "ab")
    assert (a.port_rtp.target, a.port_rtcp.target) == ((ALICE, 40000), (ALICE, 40033))
    assert packet(a.port_rtp, rtp(1), (ALICE, 40000)) is not None
    call.offer("a", sdp(audio() + here), INSIDE, OUTSIDE, 1.0)
    call.answer("b", sdp(audio(50000), host="127.0.0.1"), 1.0)
    assert (b.port_rtp.target, a.port_rtcp.target) == ((BOB, 50000), (ALICE, 40033))
    call.offer("a", sdp(audio() + here, host="0.0.0.0"), INSIDE, OUTSIDE, 2.0)
    call.answer("b", sdp(audio(50000), host=BOB), 2.0)
    assert a.port_rtp.target is None and a.port_rtcp.target is None


def test_on_one_machine_the_loopback_is_where_a_peer_is() -> None:
    call = Net().call()
    local = MediaPolicy("off", network="lan", signalling_host="127.0.0.1", trunk="office")
    call.offer("a", sdp(audio(), host="127.0.0.2"), local, OUTSIDE, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    assert call.streams[0].ends["a"].leg.port_rtp.target == ("127.0.0.2", 40000)
