"""The receipt of one leg: what was promised about it, and whether its agent found it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sbc.demo.call import CallReport
from sbc.demo.paint import Paint
from sbc.demo.voice import VoiceReport
from sbc.flow import TlsFacts

LEAST_PURITY = 0.9
LEAST_SHARE = 0.9  # of the packets that were due
FRAMES = 50  # packets a second


@dataclass(frozen=True, slots=True)
class Promise:
    """What must be true of a leg: the SBC's name, the tone of the other agent, how long they spoke."""

    peer: str
    hertz: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a receipt."""

    good: bool
    label: str
    text: str


def receipt(report: CallReport, promise: Promise) -> list[Line]:
    """Every promise beside what was found."""
    tls, voice = report.tls, report.voice
    return [*_tls(tls, promise), *_voice(voice, promise), _ending(report)]


def recorded(record: dict[str, Any], peers: dict[str, str]) -> list[Line]:
    """The SBC's own call record: that each leg's peer proved to be the name in ``peers`` (by leg)."""
    lines = []
    for leg, name in peers.items():
        facts = record.get(leg) or {}
        tls, media = facts.get("tls") or {}, facts.get("media") or {}
        proved = bool(tls.get("peer_verified")) and f"dns:{name}" in tls.get("peer_names", ())
        text = (
            f"{name if proved else 'an unproved peer'}, {tls.get('version', 'no TLS')},"
            f" {media.get('srtp') or 'no SRTP'}, {media.get('packets_in', 0)} packets in,"
            f" {media.get('packets_out', 0)} out"
        )
        good = proved and bool(media.get("srtp")) and media.get("packets_in", 0) > 0
        lines.append(Line(good, f"leg {leg}", text))
    plain = record.get("downgraded") is not False
    lines.append(Line(not plain, "downgrade", "yes, or not known" if plain else "none"))
    return lines


def kept(lines: list[Line]) -> bool:
    """Whether every promise was kept."""
    return all(line.good for line in lines)


def draw(title: str, lines: list[Line], paint: Paint) -> list[str]:
    """The receipt as text."""
    width = max(len(line.label) for line in lines)
    rows = [f"  {paint.tick(line.good)} {line.label:<{width}}  {line.text}" for line in lines]
    return [paint("bold", title), *rows]


def _tls(tls: TlsFacts, promise: Promise) -> list[Line]:
    names = tls.peer.sans if tls.peer else ()
    shown = ", ".join(each.removeprefix("dns:") for each in names if each.startswith("dns:"))
    issuer = f", issued by {tls.peer.issuer.removeprefix('CN=')}" if tls.peer else ""
    return [
        Line(tls.version in ("TLSv1.2", "TLSv1.3"), "TLS", f"{tls.version}, {tls.cipher}"),
        Line(bool(tls.group), "key exchange", _group(tls.group)),
        Line(f"dns:{promise.peer}" in names, "the peer proved to be", f"{shown or 'nobody'}{issuer}"),
    ]


def _group(group: str) -> str:
    return f"{group} (post-quantum hybrid)" if "MLKEM" in group.upper() else group


def _voice(voice: VoiceReport, promise: Promise) -> list[Line]:
    due = promise.seconds * FRAMES
    heard = voice.heard
    pitch = f"{heard.hertz} Hz, {heard.purity:.0%} pure" if heard.hertz else "nothing"
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(voice.refused.items()))
    return [
        Line(bool(voice.suite), "media", f"SRTP {voice.suite}" if voice.suite else "RTP in the clear"),
        Line(
            voice.received >= LEAST_SHARE * due and voice.lost <= (1 - LEAST_SHARE) * due,
            "packets",
            f"{voice.sent} sent, {voice.received} received, {voice.lost} lost"
            + (f", refused: {refused}" if refused else ""),
        ),
        Line(
            heard.hertz == promise.hertz and heard.purity >= LEAST_PURITY,
            "heard",
            f"{pitch} ({voice.codec}; the other side sang {promise.hertz} Hz)",
        ),
    ]


def _ending(report: CallReport) -> Line:
    good = report.state == "ended" and report.status == 200
    if not good:
        return Line(False, "the call", f"{report.state}: {report.status} {report.reason}".rstrip())
    by = "this side" if report.ended_by == "us" else "the other side"
    return Line(True, "the call", f"answered with 200, ended by {by}")
