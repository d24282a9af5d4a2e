"""Which of our own ports a description may name: that of another call, and no other.

A PBX with both its legs on us sends the port of one call back in another; anything else that is ours
would get packets that are nobody's, or the next call's.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from sbc.config.media import MediaConfig
from sbc.config.model import Listener
from sbc.ids import Ids
from sbc.media.errors import MediaRefused
from sbc.net.media.embedded import MediaIO
from tests.peers.ports import free_port
from tests.unit.media.kit import ACCEPT, OFF, Counter, audio, first, sdp

HOST, PUBLIC = "127.0.0.1", "203.0.113.9"
FIRST = (free_port(21) + 1) // 2 * 2
SIPS, SIP = free_port(), free_port()
LISTENERS = (
    Listener.model_validate({"bind": f"{HOST}:{SIPS}", "transport": "tls", "advertise": f"{PUBLIC}:5061"}),
    Listener.model_validate({"bind": f"0.0.0.0:{SIP}", "transport": "udp"}),
)


def plane_on(address: str) -> MediaIO:
    config = MediaConfig.model_validate(
        {"address": address, "advertise": PUBLIC, "ports": f"{FIRST}-{FIRST + 19}"}
    )
    return MediaIO(config, Ids(Counter()), lambda: 1000.0, lambda: LISTENERS)


@pytest.fixture(params=[HOST, "0.0.0.0"])
def media(request: pytest.FixtureRequest) -> Iterator[MediaIO]:
    plane = plane_on(request.param)
    yield plane
    plane.close()


def offered(media: MediaIO, call: str, port: int, host: str = HOST, *attributes: str) -> int:
    """Our port towards the callee, for a call whose caller is at ``port``."""
    text = sdp(audio(port, "RTP/AVP", *attributes), host=host)
    return first(media.offer(call, "a", text, ACCEPT, OFF)).port


@pytest.mark.parametrize("host", [HOST, PUBLIC])
def test_the_port_of_another_call_is_a_hairpin(media: MediaIO, host: str) -> None:
    one = offered(media, "one", 40000, "192.0.2.10")
    two = offered(media, "two", one, host)
    media.answer("two", "b", sdp(audio(50000), host="192.0.2.20"))
    media.answer("one", "b", sdp(audio(two - 2), host=host))
    assert media.query("two").a.remote == (host, one)


@pytest.mark.parametrize("host", [HOST, PUBLIC])
def test_a_port_of_the_same_call_is_refused_on_either_leg(media: MediaIO, host: str) -> None:
    ours = offered(media, "one", 40000, "192.0.2.10")
    for port in (ours, ours - 2):
        with pytest.raises(MediaRefused, match="our own media port"):
            media.answer("one", "b", sdp(audio(port), host=host))
        with pytest.raises(MediaRefused, match="our own media port"):
            offered(media, "one", port, host)


@pytest.mark.parametrize("host", [HOST, PUBLIC])
def test_a_port_that_no_call_has_is_refused_also_when_its_call_has_ended(media: MediaIO, host: str) -> None:
    for port in (FIRST, FIRST + 18):
        with pytest.raises(MediaRefused, match="a media port of ours that no call has"):
            offered(media, "one", port, host)
    with pytest.raises(MediaRefused, match="no call has"):
        offered(media, "one", 40000, "192.0.2.10", f"rtcp:{FIRST + 19} IN IP4 {host}")
    assert len(media) == 0
    gone = offered(media, "one", 40000, "192.0.2.10")
    media.delete("one")
    with pytest.raises(MediaRefused, match="no call has"):
        offered(media, "two", gone, host)


def test_a_port_where_we_take_signalling_is_refused(media: MediaIO) -> None:
    for host, port in ((HOST, SIPS), (PUBLIC, 5061), ("127.0.0.1", SIP), ("127.0.0.9", SIP)):
        with pytest.raises(MediaRefused, match="a port of ours where signalling arrives"):
            offered(media, "one", port, host)
    for host, port in (("192.0.2.10", SIP), ("192.0.2.10", SIPS), ("192.0.2.10", FIRST), (PUBLIC, SIPS)):
        offered(media, f"{host}:{port}", port, host)


def test_rtcp_that_nobody_named_is_left_out_where_it_would_be_ours(media: MediaIO) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((HOST, FIRST + 11))  # odd: the port above it is of a pair that is ours
        offered(media, "one", FIRST + 11)
        media.answer("one", "b", sdp(audio(50000), host="192.0.2.20"))
        assert media.query("one").a.remote == (HOST, FIRST + 11)
        with pytest.raises(MediaRefused, match="no call has"):
            offered(media, "one", FIRST + 11, HOST, f"rtcp:{FIRST + 12}")


def test_a_port_of_our_range_that_another_process_has_is_that_ones(media: MediaIO) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((HOST, FIRST + 10))
        offered(media, "one", FIRST + 10)
