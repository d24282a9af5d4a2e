"""The call record: both legs' facts, fixed order, no secret."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sbc.base import Address
from sbc.flow import Flow, PeerIdentity, TlsFacts
from sbc.media.quality import Quality
from sbc.media.stats import LegStats, MediaStats, StreamStats
from sbc.observe.cdr import call_record
from tests.unit.observe.pictures import NOW

PEER = PeerIdentity(
    "CN=office", "CN=Lab CA", ("dns:office.lab.example",), "sha256/00", "cd" * 32, 0.0, 1.0, True
)
TLS = TlsFacts(
    "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768", "", "sbc-2026", PEER, revocation="unanswered"
)
LEG_A = Flow(1, "tls", Address("203.0.113.9", 5061), Address("192.0.2.1", 40000), trunk="office", tls=TLS)
LEG_B = Flow(2, "udp", Address("203.0.113.9", 5060), Address("192.0.2.7", 5060), trunk="legacy")
MEDIA = MediaStats(
    (
        StreamStats(
            "audio",
            LegStats(
                150,
                24000,
                148,
                23680,
                2,
                {"replay": 3},
                "AEAD_AES_128_GCM",
                Address("192.0.2.1", 4000),
                "PCMA",
            ),
            LegStats(148, 23680, 150, 24000),
        ),
    )
)
FIELDS: dict[str, Any] = {
    "caller": "sip:alice@office.lab.example", "called": "sip:+12125550100@sbc", "rule": "out (20-out.yaml:3)",
    "from": "office", "to": "legacy", "status": 200, "reason": "normal", "by": "caller",
    "created": NOW, "answered": NOW + 1.5, "ended": NOW + 61.5, "duration": 60.0, "downgraded": True,
    "pdd": 0.2504, "call_id": "1@pbx", "call_id_b": "ours", "a": LEG_A, "b": LEG_B,
}  # fmt: skip


def record(media: MediaStats | None = MEDIA, **changes: Any) -> dict[str, Any]:
    line = call_record("c1", FIELDS | changes, media)
    assert "\n" not in line
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_the_whole_record() -> None:
    answer = record()
    assert answer["call"] == "c1" and answer["status"] == 200 and answer["ended_by"] == "caller"
    assert answer["started"] == "2026-05-01T10:06:40.000Z"
    assert answer["answered"] == "2026-05-01T10:06:41.500Z"
    assert answer["seconds"] == 60.0 and answer["downgraded"] is True
    assert answer["a"]["tls"] == {
        "version": "TLSv1.3",
        "cipher": "TLS_AES_256_GCM_SHA384",
        "group": "X25519MLKEM768",
        "revocation": "unanswered",
        "peer_verified": True,
        "peer_names": ["dns:office.lab.example"],
        "peer_thumbprint": "cd" * 32,
        "peer_pin": "sha256/00",
    }
    assert answer["a"]["media"]["srtp"] == "AEAD_AES_128_GCM"
    assert answer["a"]["media"]["refused"] == {"replay": 3}
    assert answer["b"]["tls"] is None and answer["b"]["media"]["srtp"] == ""
    assert answer["b"]["remote"] == "192.0.2.7:5060"
    assert answer["pdd"] == 0.25
    assert (answer["a"]["call_id"], answer["b"]["call_id"]) == ("1@pbx", "ours")
    assert answer["a"]["media"]["codec"] == "PCMA" and answer["b"]["media"]["codec"] == ""


def test_when_it_rang_and_what_was_downgraded() -> None:
    answer = record(rang=NOW + 0.5, downgrades=(("legacy", "warn"), ("", "allow")))
    assert answer["rang"] == "2026-05-01T10:06:40.500Z" and record()["rang"] is None
    assert answer["downgrades"] == [
        {"of": "sips", "to": "legacy", "policy": "warn"}, {"of": "sips", "to": "", "policy": "allow"},
    ]  # fmt: skip


def test_media_that_is_encrypted_on_one_leg_alone_is_a_downgrade() -> None:
    def of(a: str, b: str, codec: str = "PCMA") -> Any:
        legs = LegStats(suite=a, codec=codec), LegStats(suite=b, codec=codec)
        return record(MediaStats((StreamStats("audio", *legs),)))["downgrades"]

    assert of("AEAD_AES_128_GCM", "") == [{"of": "srtp", "to": "legacy", "policy": ""}]
    assert of("", "AEAD_AES_128_GCM") == [{"of": "srtp", "to": "office", "policy": ""}]
    assert of("", "") == of("A", "B") == of("A", "", codec="") == []


def test_the_quality_of_a_leg() -> None:
    heard = Quality(0.0123456, 0.00412345, 0.0091, 4.3219, 0.0456789, 3, 1, 0.02, 0.006, 4.1)
    media = MediaStats((StreamStats("audio", LegStats(quality=heard), LegStats(quality=Quality())),))
    answer = record(media)
    assert answer["a"]["media"]["quality"] == {
        "mos": 4.32, "loss": 0.01235, "jitter": 0.00412, "jitter_max": 0.0091, "round_trip": 0.04568,
        "late": 3, "duplicates": 1, "sent": {"mos": 4.1, "loss": 0.02, "jitter": 0.006},
    }  # fmt: skip
    assert answer["b"]["media"]["quality"]["mos"] is None
    assert record()["a"]["media"]["quality"] is None


def test_the_quality_of_a_call_with_video_is_that_of_its_speech() -> None:
    silent, speech = LegStats(quality=Quality(loss=0.5)), LegStats(codec="PCMA", quality=Quality(mos=4.0))
    answer = record(MediaStats((StreamStats("video", silent, silent), StreamStats("audio", speech, speech))))
    assert answer["b"]["media"]["quality"]["mos"] == 4.0


def test_a_call_that_never_reached_a_second_leg() -> None:
    answer = record(None, to="", b=None, answered=0.0, status=404, reason="No route", duration=0.0)
    assert answer["b"] is None and answer["answered"] is None and answer["seconds"] == 0.0
    assert answer["a"]["media"]["packets_in"] == 0


def test_a_leg_that_could_not_be_dialled_keeps_its_trunk() -> None:
    answer = record(None, b=None)
    assert answer["b"]["trunk"] == "legacy" and answer["b"]["remote"] == ""


def test_peer_text_is_escaped_and_secrets_are_blotted_out() -> None:
    line = call_record("c1", FIELDS | {"caller": "sip:a:sesame@x\n\u2028", "reason": "inline:AAAA"})
    assert "sesame" not in line and "AAAA" not in line and line.isprintable()


def test_keys_keep_their_order() -> None:
    assert list(record())[:4] == ["call", "caller", "called", "asserted"]
    assert list(record())[-2:] == ["a", "b"]


@given(st.text(), st.text(), st.floats(0, 4e9), st.dictionaries(st.text(), st.integers(0)), st.floats(0, 1))
def test_whatever_the_texts_hold_it_is_one_line_of_canonical_json(
    text: str, name: str, seconds: float, refused: dict[str, int], share: float
) -> None:
    peer = PeerIdentity("", "", (f"dns:{text}", name), "", text, 0.0, 1.0, True)
    flow = Flow(3, "tls", Address(name, 1), Address(text, 2), tls=TlsFacts(text, name, "", "", "", peer))
    media = MediaStats(
        (
            StreamStats(
                "audio",
                LegStats(refused=refused, suite=text, codec=text, quality=Quality(share, share)),
                LegStats(),
            ),
        )
    )
    fields = {
        "call_id": text,
        "pdd": seconds,
        "caller": text,
        "called": name,
        "rule": text,
        "from": name,
        "reason": text,
        "duration": seconds,
    }
    line = call_record(text, {**FIELDS, **fields, "tags": (text, name), "a": flow}, media)
    record = json.loads(line)
    assert json.dumps(record, separators=(",", ":")) == line
    assert record["call"] == record["rule"] == record["a"]["tls"]["peer_thumbprint"] == text
    assert record["a"]["tls"]["peer_names"] == [f"dns:{text}", name]
    assert record["a"]["media"]["refused"] == refused


def test_octets_of_a_peer_that_are_no_utf_8_leave_a_record_that_every_reader_takes() -> None:
    """RFC 8259 8.2: half a surrogate pair is what readers disagree about; many refuse the whole line."""
    odd = b"486 Besetzt f\xfcr \xf0\x9f\x98\x80".decode("utf-8", "surrogateescape")
    line = call_record("c1", FIELDS | {"reason": odd, "tags": (odd,), "asserted": odd}, MEDIA)
    found = json.loads(line)
    assert found["reason"] == found["asserted"] == found["tags"][0] == "486 Besetzt f\\xfcr \U0001f600"
    assert found["reason"].encode("utf-8")
