"""Reading and rewriting descriptions."""

from __future__ import annotations

import pytest

from sbc.base import PeerError
from sbc.media.sdp import MAX_MEDIA, Media, Origin, parse_sdp, rejected, section, unicast
from tests.unit.media.kit import ALICE, audio, crypto, first, sdp


def test_a_usual_description_is_read() -> None:
    description = parse_sdp(sdp(audio(40000, "RTP/AVP", "sendonly"), "m=video 40002 RTP/AVPF 96\r\n"))
    voice, video = description.media
    assert (voice.kind, voice.port, voice.proto, voice.formats) == ("audio", 40000, "RTP/AVP", ["0", "101"])
    assert voice.values("rtpmap") == ["0 PCMU/8000", "101 telephone-event/8000"]
    assert (voice.host, video.host, video.port) == (ALICE, ALICE, 40002)
    assert (voice.direction, video.direction) == ("sendonly", "sendrecv")


def test_a_media_connection_and_a_session_direction_apply() -> None:
    data = sdp("a=inactive\r\n", audio(), "c=IN IP6 2001:db8::0001\r\n", audio(0))
    description = parse_sdp(data)
    assert [each.host for each in description.media] == ["2001:db8::1", ALICE]
    assert {each.direction for each in description.media} == {"inactive"}


@pytest.mark.parametrize("blank", [b" ", b"\t", b"  "])
def test_blanks_at_the_end_of_a_line_say_nothing(blank: bytes) -> None:
    """Devices that write "a=sendonly " have put the call on hold, whatever the grammar says (RFC 8866 9)."""
    text = sdp(audio(), "a=sendonly\r\na=rtcp-mux\r\na=ptime:30\r\n").replace(b"\r\n", blank + b"\r\n")
    media = parse_sdp(text).media[0]
    assert (media.direction, media.lines.mux, media.values("ptime")[-1]) == ("sendonly", True, "30")
    assert (media.host, media.port, media.formats) == (ALICE, 40000, ["0", "101"])


def test_bare_line_feeds_are_tolerated_and_a_null_address_is_hold() -> None:
    def held(*lines: str) -> Media:
        data = sdp(audio(40000, "RTP/AVP", *lines)).replace(b"\r\n", b"\n")
        return first(data.replace(ALICE.encode(), b"0.0.0.0"))

    assert held().host is None
    assert "a=sendonly\r\n" in section(held(), 20000, "RTP/AVP", False, ())
    assert "a=inactive\r\n" in section(held("recvonly"), 20000, "RTP/AVP", False, ())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"o=x\r\nv=0\r\n", 400),
        (b"v=1\r\n" + sdp(audio())[5:], 400),
        (sdp(audio()).replace(b"o=alice", b"x=alice"), 400),
        (sdp(audio()).replace(b"s=secret", b"s=a\rm=audio 1 RTP/AVP 0"), 400),
        (sdp(audio()).replace(b"secret", b"se\0cret"), 400),
        (sdp(audio()).replace(b"s=secret", b"nonsense"), 400),
        (sdp("m=audio\r\n"), 400),
        (sdp("m=audio 70000 RTP/AVP 0\r\n"), 400),
        (sdp("m=audio -1 RTP/AVP 0\r\n"), 400),
        (sdp("m=audio 4²0 RTP/AVP 0\r\n"), 400),
        (sdp("m=audio 4000/2 RTP/AVP 0\r\n"), 488),
        (sdp(audio()).replace(b"c=IN IP4 ", b"x=IN IP4 "), 400),
        (sdp(audio()).replace(b"c=IN IP4 ", b"c=IN ATM "), 400),
        (sdp(audio(), host="pbx.example.com"), 488),
        (sdp(audio(), host="224.2.1.1/127"), 488),
        (sdp(audio(), host="239.1.1.1"), 488),
        (sdp(audio(), host="255.255.255.255"), 488),
        (sdp(*[audio()] * (MAX_MEDIA + 1)), 488),
    ],
)
def test_what_cannot_be_used_is_the_peers_error(data: bytes, status: int) -> None:
    with pytest.raises(PeerError) as caught:
        parse_sdp(data)
    assert caught.value.status == status


def test_an_ipv6_zone_or_group_is_not_an_address_to_send_to() -> None:
    for text in ("fe80::1%eth0", "ff02::1"):
        with pytest.raises(PeerError):
            unicast(text)
    assert unicast("::") is None


@pytest.mark.parametrize("text", ["239.7.7.7", "255.255.255.255", "169.254.1.1"])
@pytest.mark.parametrize("form", ["{}", "::ffff:{}", "::FFFF:{}", "0:0:0:0:0:ffff:{}"])
def test_an_address_is_judged_as_what_it_means_however_it_is_written(text: str, form: str) -> None:
    with pytest.raises(PeerError) as caught:
        unicast(form.format(text))
    assert caught.value.status == 488
    assert unicast(form.format("192.0.2.10")) == "192.0.2.10"
    assert unicast(form.format("0.0.0.0")) is None, "a hold"


def test_an_address_of_one_link_is_refused() -> None:
    for text in ("fe80::1", "FE80::1", "febf::1", "::ffff:a9fe:101"):
        with pytest.raises(PeerError):
            unicast(text)


def test_only_what_is_allowed_is_copied() -> None:
    leaky = ("candidate:1 1 UDP 2130706431 10.9.8.7 5000 typ host", "ice-ufrag:abcd", "ice-pwd:efgh",
             "fingerprint:sha-256 AA:BB", "setup:actpass", "ssrc:1 cname:alice@10.9.8.7",
             "rtcp:40001 IN IP4 10.9.8.7", "x-vendor:10.9.8.7", "mid:0", "label:1", crypto(1),
             "silenceSupp:off - - - -", "maxptime:40")  # fmt: skip
    media = first(
        sdp("m=audio 40000 RTP/AVP 0 101\r\nb=AS:64\r\nb=X-ME:10\r\n" + "".join(f"a={a}\r\n" for a in leaky))
    )
    assert section(media, 20000, "RTP/AVP", False, ()) == (
        "m=audio 20000 RTP/AVP 0 101\r\nb=AS:64\r\na=silenceSupp:off - - - -\r\na=maxptime:40\r\n"
        "a=sendrecv\r\na=rtcp:20001\r\n"
    )


def test_a_rejected_line_keeps_its_place_with_port_zero() -> None:
    assert rejected(first(sdp("m=image 4000 udptl t38 x\r\n"))) == "m=image 0 udptl t38\r\n"


def test_the_version_grows_only_with_the_content() -> None:
    origin = Origin(42)
    versions = [origin.write("192.0.2.1", [text]).split()[3] for text in ("a", "a", "b", "b", "a")]
    assert versions == [b"1", b"1", b"2", b"2", b"3"]
    assert origin.write("2001:db8::9", []).startswith(
        b"v=0\r\no=- 42 4 IN IP6 2001:db8::9\r\ns=-\r\nc=IN IP6 "
    )
