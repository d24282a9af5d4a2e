"""An offer after a rule has spoken of codecs: which payload types are left, in which order."""

from __future__ import annotations

import pytest

from dsl.decision import Codecs
from sbc.ids import Ids, counter_bytes
from sbc.media.codecs import chosen, first_codec, permitted
from sbc.media.errors import MediaRefused
from sbc.media.places import Networks, Place, PortPool
from sbc.media.policy import MediaPolicy
from sbc.media.sdp import parse_sdp
from sbc.media.session import MediaSession

OFFER = """\
v=0\r
o=a 1 1 IN IP4 192.0.2.1\r
s=-\r
c=IN IP4 192.0.2.1\r
t=0 0\r
m=audio 4000 RTP/AVP 0 8 18 96 101 13\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:18 G729/8000\r
a=fmtp:18 annexb=no\r
a=rtpmap:96 opus/48000/2\r
a=fmtp:96 useinbandfec=1\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=sendrecv\r
m=video 4002 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
"""


def audio(codecs: Codecs, offer: str = OFFER) -> tuple[str, list[str]]:
    """The payload types of the audio, and the payload types that its attributes describe."""
    text = chosen(offer.encode(), codecs).decode()
    assert text.endswith("m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n")
    section = text.split("m=audio ")[1].split("m=video")[0].split("\r\n")
    described = [line.split(":")[1].split()[0] for line in section if line.startswith(("a=rtpmap", "a=fmtp"))]
    assert section[-2:] == ["a=sendrecv", ""]
    return section[0].removeprefix("4000 RTP/AVP "), list(dict.fromkeys(described))


@pytest.mark.parametrize(
    ("codecs", "payloads", "described"),
    [
        (Codecs(allow=("PCMA", "OPUS")), "8 96 101 13", ["96", "101"]),
        (Codecs(deny=("G729", "PCMU")), "8 96 101 13", ["96", "101"]),
        (Codecs(deny=("TELEPHONE-EVENT", "CN")), "0 8 18 96", ["0", "18", "96"]),
        (Codecs(prefer=("OPUS", "PCMA")), "96 8 0 18 101 13", ["0", "18", "96", "101"]),
        (Codecs(allow=("PCMA", "PCMU"), deny=("PCMU",), prefer=("PCMA",)), "8 101 13", ["101"]),
        (Codecs(prefer=("AMR",)), "0 8 18 96 101 13", ["0", "18", "96", "101"]),
    ],
)
def test_what_is_left_of_an_offer(codecs: Codecs, payloads: str, described: list[str]) -> None:
    assert audio(codecs) == (payloads, described)


REDUNDANT = """\
v=0\r
m=audio 4000 RTP/AVP 121 97 111 122 0 101\r
a=rtpmap:121 red/48000/2\r
a=fmtp:121 111/111\r
a=rtpmap:97 rtx/48000\r
a=fmtp:97 apt=121;rtx-time=200\r
a=rtpmap:111 opus/48000/2\r
a=fmtp:111 useinbandfec=1\r
a=rtpmap:122 red/8000\r
a=fmtp:122 0/0\r
a=rtpmap:101 telephone-event/8000\r
"""


@pytest.mark.parametrize(
    ("codecs", "payloads"),
    [
        (Codecs(deny=("OPUS",)), b"122 0 101"),
        (Codecs(allow=("OPUS",)), b"121 97 111 101"),
        (Codecs(prefer=("PCMU", "OPUS")), b"0 111 121 97 122 101"),
        (Codecs(deny=("RED",)), b"111 0 101"),
    ],
)
def test_what_carries_a_codec_goes_with_it(codecs: Codecs, payloads: bytes) -> None:
    """Redundancy of a payload type that nobody described, or its repair, could not be read (RFC 2198 5)."""
    left = chosen(REDUNDANT.encode(), codecs)
    assert b"RTP/AVP " + payloads + b"\r\n" in left
    for each in b"121 97 111 122".split():
        assert (b":%s " % each in left) == (each in payloads.split())


def test_redundancy_and_repair_are_nothing_to_talk_with() -> None:
    assert first_codec(REDUNDANT.encode()) == "OPUS"
    with pytest.raises(MediaRefused):
        chosen(REDUNDANT.encode(), Codecs(deny=("OPUS", "PCMU")))


def test_an_answer_may_not_add_what_was_not_to_be_offered() -> None:
    answer = b"v=0\nm=audio 1 RTP/AVP 8 18 97\na=rtpmap:97 AMR/8000\n"
    assert permitted(answer, Codecs(allow=("PCMA",))) == b"v=0\nm=audio 1 RTP/AVP 8\n"
    assert permitted(answer, Codecs(deny=("AMR", "G729"))) == b"v=0\nm=audio 1 RTP/AVP 8\n"
    assert permitted(answer, Codecs(prefer=("G729",))) == answer
    assert permitted(b"v=0\nm=audio 0 RTP/AVP 18\n", Codecs(allow=("PCMA",))).endswith(
        b"audio 0 RTP/AVP 18\n"
    )
    unnamed = b"v=0\nm=audio 1 RTP/AVP 8 101\n"
    assert permitted(unnamed, Codecs(allow=("PCMA",))) == unnamed
    with pytest.raises(MediaRefused, match="the answer names no codec that the rules allow"):
        permitted(answer, Codecs(deny=("AMR", "G729", "PCMA")))


def test_line_ends_stay_as_they_are() -> None:
    assert chosen(b"v=0\nm=audio 1 RTP/AVP 0 8\n", Codecs(deny=("PCMU",))) == b"v=0\nm=audio 1 RTP/AVP 8\n"
    assert chosen(b"v=0\nm=audio 1 RTP/AVP 0 8", Codecs(deny=("PCMU",))) == b"v=0\nm=audio 1 RTP/AVP 8"


@pytest.mark.parametrize("codecs", [Codecs(allow=("AMR",)), Codecs(deny=("PCMU", "PCMA", "G729", "OPUS"))])
def test_tones_alone_are_no_offer(codecs: Codecs) -> None:
    with pytest.raises(MediaRefused, match="no codec is offered that the rules allow"):
        chosen(OFFER.encode(), codecs)


TWO = (
    b"v=0\nm=audio 4000 RTP/AVP 18 101\na=rtpmap:18 G729/8000\na=rtpmap:101 telephone-event/8000\n"
    b"m=audio %s RTP/AVP 8\nm=video 4004 RTP/AVP 96\n"
)


def test_of_several_audio_streams_the_one_without_an_allowed_codec_gets_port_0() -> None:
    left = chosen(TWO % b"4002", Codecs(deny=("G729",)))
    assert left == (TWO % b"4002").replace(b"audio 4000", b"audio 0"), "RFC 3264 6; the others stand"


def test_without_any_audio_stream_left_the_offer_is_refused() -> None:
    for port in (b"4002", b"0"):
        with pytest.raises(MediaRefused, match="no codec is offered that the rules allow"):
            chosen(TWO % port, Codecs(allow=("OPUS",)))
    with pytest.raises(MediaRefused):
        chosen(TWO % b"0", Codecs(deny=("G729",)))


def test_the_call_goes_on_with_the_audio_stream_that_is_left() -> None:
    policy = MediaPolicy(srtp="off", codecs=Codecs(deny=("G729",)))
    pool = PortPool("20000-20099")
    session = MediaSession("c", Ids(counter_bytes()), Networks({"": (Place("192.0.2.9", pool),)}))
    second = "m=audio 4006 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n"
    sent = session.offer("a", (OFFER + second).encode(), policy, policy, 0.0).decode()
    assert "m=audio 20002 RTP/AVP 0 8 96 101 13\r\n" in sent and "m=audio 0 RTP/AVP 18\r\n" in sent
    assert len(pool) == 50 - 4, "no ports for what is refused"
    answer = session.answer("b", sent.replace("192.0.2.9", "192.0.2.2").encode(), 0.0)
    assert b"m=audio 20000 " in answer and answer.endswith(b"m=audio 0 RTP/AVP 18\r\n")


def test_an_offer_without_audio_or_with_a_rejected_one_stays() -> None:
    for text in (b"v=0\ns=-\n", b"v=0\nm=audio 0 RTP/AVP 0\n", b"v=0\nm=image 1 udptl t38\n", b"junk"):
        assert chosen(text, Codecs(allow=("PCMA",))) == text


def test_every_offer_of_the_call_is_filtered_also_the_callees() -> None:
    pool = PortPool("20000-20099")
    session = MediaSession("c", Ids(counter_bytes()), Networks({"": (Place("192.0.2.9", pool),)}))
    policy = MediaPolicy(srtp="off", codecs=Codecs(deny=("G729", "OPUS"), prefer=("PCMA",)))
    sent = session.offer("a", OFFER.encode(), policy, policy, 0.0).decode()
    assert "m=audio 20002 RTP/AVP 8 0 101 13\r\n" in sent
    session.answer("b", sent.replace("192.0.2.9", "192.0.2.2").encode(), 0.0)
    back = session.offer("b", OFFER.encode(), policy, policy, 1.0).decode()
    assert " RTP/AVP 8 0 101 13\r\n" in back and "G729" not in back


SPELLED = [
    "m=audio  4000 RTP/AVP 0 18", "m=audio 4000  RTP/AVP  0  18", "m=audio\t4000 RTP/AVP 0 18",
    "m=audio 4000 RTP/AVP 0\t18", "m=Audio 4000 RTP/AVP 0 18", "m=AUDIO 4000/1 RTP/AVP 0 18\t",
    "m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96\tG729/8000",
    "m=audio 4000 RTP/AVP 0 96\r\na=rtpmap: 96 G729/8000",
    "m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:096 G729/8000",
    "m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96 G729/8000\r\na=rtpmap:96 PCMU/8000",
    "m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96 PCMU/8000\r\na=rtpmap:96 G729/8000",
]  # fmt: skip


@pytest.mark.parametrize("codecs", [Codecs(deny=("G729",)), Codecs(allow=("PCMU", "PCMA"))])
@pytest.mark.parametrize("line", SPELLED)
def test_a_rule_holds_however_a_codec_is_spelled(line: str, codecs: Codecs) -> None:
    """RFC 8866 5.14 has one blank between fields; who reads more of them leniently must do so here, too."""
    head = OFFER.split("m=audio")[0]
    for judged in (chosen, permitted):
        media = parse_sdp(judged(f"{head}{line}\r\na=sendrecv\r\n".encode(), codecs)).media[0]
        assert (media.kind, media.port, media.lines.rtp) == ("audio", 4000, True)
        assert media.formats[0] == "0" and "18" not in media.formats
        assert not [each for each in media.lines.attributes if "G729" in each]
        assert media.direction == "sendrecv"


def test_where_no_codec_is_left_the_odd_spelling_gets_port_0_as_well() -> None:
    offer = OFFER.replace("m=audio 4000 RTP/AVP 0 8 18 96 101 13", "m=Audio\t4000 RTP/AVP 18")
    with pytest.raises(MediaRefused):
        chosen(offer.encode(), Codecs(deny=("G729",)))


def test_more_payload_types_than_there_are_cost_no_turn_and_are_refused() -> None:
    """There are 128 (RFC 3550 5.1); a body has room for thousands, and each would be looked for in all."""
    numbers = " ".join(["18", *map(str, range(11_000))])
    for formats in (numbers, "18" + " 0" * 300):
        offer = OFFER.replace("0 8 18 96 101 13", formats).encode()
        assert chosen(offer, Codecs(deny=("G729",))) == offer
        assert not parse_sdp(offer).media[0].lines.rtp
    most = OFFER.replace("0 8 18 96 101 13", " ".join(map(str, range(128)))).encode()
    assert "18" not in parse_sdp(chosen(most, Codecs(deny=("G729",)))).media[0].formats
