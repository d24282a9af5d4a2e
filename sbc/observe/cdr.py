"""The call detail record: one call, one line of JSON, with what TLS and SRTP did on both legs.

It is made from the fields of the ``call-ended`` note and the media's counters. The order of the
keys is fixed, times are ISO 8601 in UTC, and neither keys nor passwords can get in: each value is
named here.
The line is a template: a dictionary of fifty values, made to be encoded once, would cost five times that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _text
from typing import Any, Final

from sbc.flow import Flow, TlsFacts
from sbc.media.kept import Kept
from sbc.media.quality import Quality
from sbc.media.stats import LegStats, MediaStats
from sbc.observe.text import iso_time, redact, whole

# The file of the records, in the state directory.
RECORDS: Final = "calls.jsonl"


def call_record(call: str, fields: Mapping[str, Any], media: MediaStats | None = None) -> str:
    """One line of JSON, without its newline, for the call whose ``call-ended`` note had ``fields``."""
    media, get = media or MediaStats(), fields.get
    return (
        f'{{"call":{_text(call)},"caller":{_safe(get("caller"))},"called":{_safe(get("called"))}'
        f',"asserted":{_safe(get("asserted", ""))}'
        f',"rule":{_text(get("rule", ""))},"started":{_time(get("created"))}'
        f',"rang":{_time(get("rang"))}'
        f',"answered":{_time(get("answered"))},"ended":{_time(get("ended"))}'
        f',"pdd":{_seconds(get("pdd"))},"seconds":{round(float(get("duration") or 0.0), 3)}'
        f',"status":{get("status", 0)}'
        f',"reason":{_safe(get("reason"))},"ended_by":{_text(get("by", ""))}'
        f',"refused":{get("refused", 0)}'
        f',"one_way":{_text(get("one_way", ""))},"fax":{_truth(get("fax"))}'
        f',"redirected_from":{_safe(get("redirected_from", ""))}'
        f',"redirected_by":{_text(get("redirected_by", ""))}'
        f',"referred_by":{_safe(get("referred_by", ""))}'
        f',"referred_trunk":{_text(get("referred_trunk", ""))}'
        f',"downgraded":{_truth(get("downgraded"))},"downgrades":[{_downgrades(fields, media)}]'
        f',"emergency":{_truth(get("emergency"))}'
        f',"tags":[{",".join(map(_safe, get("tags", ())))}]'
        f',"lookups":{_lookups(get("lookups"))}'
        f',"recording":{_recording(media.recording)}'
        f',"a":{_leg(str(get("from", "")), "", get("call_id"), get("a"), media.a)}'
        f',"b":{_callee(fields, media)}}}'
    )


def _callee(fields: Mapping[str, Any], media: MediaStats) -> str:
    trunk, flow = str(fields.get("to", "")), fields.get("b")
    if flow is None and not trunk:
        return "null"
    return _leg(trunk, str(fields.get("peer", "")), fields.get("call_id_b"), flow, media.b)


def _leg(trunk: str, peer: str, call_id: object, flow: Flow | None, stats: LegStats) -> str:
    """``peer`` is which of the trunk's peers took the call, "" for who called us."""
    head = f'"trunk":{_text(trunk)},"peer":{_text(peer)},"call_id":{_safe(call_id)}'
    return f'{{{head},{_path(flow)},"media":{_media(stats)}}}'


def _downgrades(fields: Mapping[str, Any], media: MediaStats) -> str:
    """Each leg that was worse protected than the other: SIPS promised and no TLS, SRTP there and RTP here."""
    found = [
        f'{{"of":"sips","to":{_text(trunk)},"policy":{_text(policy)}}}'
        for trunk, policy in fields.get("downgrades") or ()
    ]
    if media.streams:
        a, b = media.a, media.b
        if a.codec and b.codec and bool(a.suite) != bool(b.suite):
            trunk = str(fields.get("to" if a.suite else "from", ""))
            found.append(f'{{"of":"srtp","to":{_text(trunk)},"policy":""}}')
    return ",".join(found)


def _recording(kept: Kept | None) -> str:
    """The files of a recorded call, with what proves later that nobody has changed them."""
    if kept is None:
        return "null"
    files = ",".join(
        [
            f'{{"path":{_text(each.path)},"sha256":{_text(each.sha256)},"bytes":{each.size}}}'
            for each in kept.files
        ]
    )
    tones = "null" if kept.tones is None else f'{{"a":{kept.tones["a"]},"b":{kept.tones["b"]}}}'
    return (
        f'{{"files":[{files}],"seconds":{round(kept.seconds, 3)},"dropped":{kept.dropped}'
        f',"tones":{tones},"problem":{_text(kept.problem)}}}'
    )


def _path(flow: Flow | None) -> str:
    """How the leg was reached: written once for a flow, which carries many calls."""
    if flow is None:
        return '"transport":"","local":"","remote":"","tls":null'
    if not flow.record:
        local, remote = _text(str(flow.local)), _text(str(flow.remote))
        tls = _tls(flow.tls) if flow.tls else "null"
        flow.record = f'"transport":"{flow.transport}","local":{local},"remote":{remote},"tls":{tls}'
    return flow.record


def _tls(facts: TlsFacts) -> str:
    """What a handshake agreed, and who the certificate said the peer is."""
    peer = facts.peer
    names = ",".join(map(_text, peer.sans)) if peer else ""
    return (
        f'{{"version":{_text(facts.version)},"cipher":{_text(facts.cipher)},"group":{_text(facts.group)}'
        f',"revocation":{_text(facts.revocation)}'
        f',"peer_verified":{_truth(peer is not None and peer.verified)},"peer_names":[{names}]'
        f',"peer_thumbprint":{_text(peer.thumbprint if peer else "")}'
        f',"peer_pin":{_text(peer.pin if peer else "")}}}'
    )


def _media(stats: LegStats) -> str:
    """One leg's packets, and how they were protected (``srtp`` is "" for plain RTP)."""
    refused = ",".join([f"{_text(why)}:{count}" for why, count in sorted(stats.refused.items())])
    return (
        f'{{"codec":{_text(stats.codec)},"srtp":{_text(stats.suite)}'
        f',"remote":{_text(str(stats.remote) if stats.remote else "")}'
        f',"packets_in":{stats.packets_in},"packets_out":{stats.packets_out},"lost":{stats.lost}'
        f',"refused":{{{refused}}},"quality":{_quality(stats.quality) if stats.quality else "null"}}}'
    )


def _quality(heard: Quality) -> str:
    """How well it went: what the peer's packets were when they came, and what it reports of ours."""
    return (
        f'{{"mos":{_score(heard.mos)},"loss":{_share(heard.loss)},"jitter":{_share(heard.jitter)}'
        f',"jitter_max":{_share(heard.jitter_max)},"round_trip":{_share(heard.round_trip)}'
        f',"late":{heard.late},"duplicates":{heard.duplicates},"sent":{{"mos":{_score(heard.sent_mos)}'
        f',"loss":{_share(heard.sent_loss)},"jitter":{_share(heard.sent_jitter)}}}}}'
    )


def _score(found: float | None) -> str:
    return "null" if found is None else str(round(found, 2))


def _share(found: float | None) -> str:
    return "null" if found is None else str(round(found, 5))


def _lookups(answers: Mapping[str, Any] | None) -> str:
    """What services have said of the call: variables and decisions, each of which was looked at."""
    if not answers:
        return "{}"
    return json.dumps({name: dict(said) for name, said in answers.items()}, separators=(",", ":"))


def _truth(value: object) -> str:
    return "true" if value else "false"


def _safe(value: object) -> str:
    return _text(whole(redact(str(value)))) if value else '""'


def _seconds(length: object) -> str:
    return str(round(length, 3)) if isinstance(length, (int, float)) else "null"


def _time(moment: object) -> str:
    return f'"{iso_time(float(moment))}"' if isinstance(moment, (int, float)) and moment else "null"
