"""An offer that we make ourselves: keyed for the callee, then anew for the caller from what it answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsl.decision import Codecs
from sbc.media.codecs import first_codec
from sbc.media.early import OFFERABLE, early_offer
from sbc.media.policy import MediaPolicy
from sbc.media.sdp import parse_sdp
from tests.unit.media.kit import ACCEPT, ALICE, BOB, OFF, OSRTP, REQUIRED, crypto, first, lines, sdp, session

ANSWER = "m=audio 50000 %s 8 101\r\na=rtpmap:101 telephone-event/8000\r\n%s"


@pytest.mark.parametrize("host", ["192.0.2.10", "2001:db8::9"])
def test_it_is_a_description_of_audio_in_these_codecs(host: str) -> None:
    description = parse_sdp(early_offer(["G722", "PCMA"], host))
    (audio,) = description.media
    assert (audio.kind, audio.proto, audio.formats) == ("audio", "RTP/AVP", ["9", "8", "101"])
    assert audio.direction == "sendrecv" and audio.host == host
    assert set(audio.values("rtpmap")) >= {"9 G722/8000", "8 PCMA/8000", "101 telephone-event/8000"}


@pytest.mark.parametrize("name", OFFERABLE)
def test_each_codec_is_read_back(name: str) -> None:
    assert first_codec(early_offer([name], ALICE)) == name


@pytest.mark.parametrize(
    "text", [b"", b"v=0 answer", b"v=0\r\nm=audio 0 RTP/AVP 8\r\n", b"v=0\r\nm=video 9 RTP/AVP 96\r\n"]
)
def test_what_has_no_audio_has_no_codec(text: bytes) -> None:
    assert first_codec(text) == ""


@pytest.mark.parametrize("far", [OFF, REQUIRED])
@pytest.mark.parametrize("near", [OFF, ACCEPT, OSRTP, REQUIRED])
def test_each_leg_is_keyed_as_its_own_policy_says(near: MediaPolicy, far: MediaPolicy) -> None:
    media, pool = session()
    free = len(pool)
    near, silent = (
        replace(near, signalling_host=ALICE),
        replace(near, srtp="accept", unheard=True, signalling_host=ALICE),
    )
    made = media.offer("a", early_offer(["PCMA", "PCMU"], ALICE), silent, far, 0.0)
    assert first(made).proto == ("RTP/SAVP" if far is REQUIRED else "RTP/AVP")
    assert first(made).formats == ["8", "0", "101"] and first(made).direction == "sendrecv"
    offered = lines(made)
    profile, key = ("RTP/SAVP", f"a={crypto(9, tag=1)}\r\n") if far is REQUIRED else ("RTP/AVP", "")
    answer = sdp(ANSWER % (profile, key), host=BOB)
    media.answer("b", answer, 0.0)
    near_end, far_end = media.streams[0].ends["a"], media.streams[0].ends["b"]
    assert near_end.leg.port_rtp.target is None and near_end.terms is None  # nobody knows where it receives
    one = replace(near, codecs=Codecs(allow=("PCMA",)))
    back = media.offer("b", answer, far, one, 0.0)
    assert first(back).formats == ["8", "101"]
    assert first(back).proto == ("RTP/SAVP" if near.srtp == "required" else "RTP/AVP")
    assert bool(lines(back)) == (near.srtp in ("offer", "required"))
    secured = bool(lines(back))
    own = f"a={crypto(7, tag=1)}\r\n" if secured else ""
    last = media.answer("a", sdp(ANSWER % (first(back).proto, own), host=ALICE), 0.0)
    # What the callee was told in our offer still holds: it hears no answer of ours.
    if far is REQUIRED:
        assert far_end.terms is not None and far_end.terms.ours == offered[0] == lines(last)[0]
    assert near_end.leg.port_rtp.target == (ALICE, 50000) and far_end.leg.port_rtp.target == (BOB, 50000)
    assert first(made).port == far_end.local and first(back).port == near_end.local
    media.close()
    assert len(pool) == free
