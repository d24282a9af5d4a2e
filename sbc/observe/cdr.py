"""The call detail record: one call, one line of JSON, with what TLS and SRTP did on both legs.

It is made from the fields of the ``call-ended`` note and the media's counters. The order of the
keys is fixed, times are ISO 8601 in UTC, and neither keys nor passwords can get in: each value is
named here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sbc.flow import Flow, TlsFacts
from sbc.media.stats import LegStats, MediaStats
from sbc.observe.text import iso_time, redact

_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode


def call_record(call: str, fields: Mapping[str, Any], media: MediaStats | None = None) -> str:
    """One line of JSON, without its newline, for the call whose ``call-ended`` note had ``fields``."""
    media = media or MediaStats()
    record = {
        "call": call,
        "caller": _safe(fields.get("caller")),
        "called": _safe(fields.get("called")),
        "rule": fields.get("rule", ""),
        "started": _time(fields.get("created")),
        "answered": _time(fields.get("answered")),
        "ended": _time(fields.get("ended")),
        "seconds": round(float(fields.get("duration") or 0.0), 3),
        "status": fields.get("status", 0),
        "reason": _safe(fields.get("reason")),
        "ended_by": fields.get("by", ""),
        "downgraded": bool(fields.get("downgraded")),
        "tags": [redact(tag) for tag in fields.get("tags", ())],
        "a": _leg(str(fields.get("from", "")), fields.get("a"), media.a),
        "b": _leg(str(fields.get("to", "")), fields.get("b"), media.b),
    }
    return _ENCODE(record)


def _leg(trunk: str, flow: Flow | None, stats: LegStats) -> dict[str, Any] | None:
    if flow is None and not trunk:
        return None
    return {
        "trunk": trunk,
        "transport": flow.transport if flow else "",
        "local": str(flow.local) if flow else "",
        "remote": str(flow.remote) if flow else "",
        "tls": tls_record(flow.tls) if flow and flow.tls else None,
        "media": media_record(stats),
    }


@lru_cache(maxsize=256)
def tls_record(facts: TlsFacts) -> dict[str, Any]:
    """What a handshake agreed, and who the certificate said the peer is; not to be changed."""
    peer = facts.peer
    return {
        "version": facts.version,
        "cipher": facts.cipher,
        "group": facts.group,
        "peer_verified": peer is not None and peer.verified,
        "peer_names": list(peer.sans) if peer else [],
        "peer_thumbprint": peer.thumbprint if peer else "",
    }


def media_record(stats: LegStats) -> dict[str, Any]:
    """One leg's packets, and how they were protected (``srtp`` is "" for plain RTP)."""
    return {
        "srtp": stats.suite,
        "remote": str(stats.remote) if stats.remote else "",
        "packets_in": stats.packets_in,
        "packets_out": stats.packets_out,
        "lost": stats.lost,
        "refused": dict(sorted(stats.refused.items())),
    }


def _safe(value: object) -> str:
    return redact(str(value)) if value else ""


def _time(moment: object) -> str | None:
    return iso_time(float(moment)) if isinstance(moment, (int, float)) and moment else None
