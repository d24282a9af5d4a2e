"""Which codecs an offer may name, and in what order: a rule's ``allow``, ``deny`` and ``prefer codecs``.

Only what describes audio is looked at. Tones (RFC 4733) and comfort noise (RFC 3389) are no codecs that a
caller would talk with: they stay unless they are denied by name, and without a codec they are no offer.
"""

from __future__ import annotations

import re

from dsl.decision import Codecs
from sbc.media.errors import MediaRefused
from sbc.media.sdp import Media

# Payload types that need no rtpmap (RFC 3551 6).
STATIC = {
    "0": "PCMU",
    "3": "GSM",
    "4": "G723",
    "8": "PCMA",
    "9": "G722",
    "13": "CN",
    "15": "G728",
    "18": "G729",
}
#: What accompanies a codec and is none.
COMPANIONS = frozenset(("TELEPHONE-EVENT", "CN", "RED"))
_AUDIO = re.compile(rb"audio (\S+) (\S+) ([0-9 ]+)(\r?\n|$)")
_RTPMAP = re.compile(rb"^a=rtpmap:(\d+) +([^/\s]+)/", re.MULTILINE)
_OF_PAYLOAD = re.compile(rb"a=(?:rtpmap|fmtp|rtcp-fb):(\d+)\b")


def chosen(sdp: bytes, codecs: Codecs) -> bytes:
    """The offer with the codecs that may be offered; MediaRefused where that leaves no audio stream.

    An audio stream without one gets port 0 and the others stand (RFC 3264 6). A description without
    audio stays as it is.
    """
    head, *sections = sdp.split(b"\nm=")
    written, left, without = [head], 0, 0
    for section in sections:
        audio = _AUDIO.match(section)
        if audio is None or audio[1] == b"0":
            written.append(section)
            continue
        text = _section(section, audio, codecs)
        written.append(text or b"audio 0" + section[audio.end(1) :])
        left, without = left + bool(text), without + (not text)
    if without and not left:
        raise MediaRefused("no codec is offered that the rules allow")
    return b"\nm=".join(written)


def first_codec(sdp: bytes) -> str:
    """The codec that a description names first for audio (RFC 3264 6.1), in capitals; "" for none."""
    for section in sdp.split(b"\nm=")[1:]:
        audio = _AUDIO.match(section)
        if audio is None or audio[1] == b"0":
            continue
        names = {
            number.decode(): name.decode("ascii", "replace").upper()
            for number, name in _RTPMAP.findall(section)
        }
        found = [names.get(each) or STATIC.get(each, "") for each in audio[3].decode().split()]
        return next((name for name in found if name and name not in COMPANIONS), "")
    return ""


def agreed(answer: Media) -> str:
    """The codec that an answer chose for audio: the first that it names (RFC 3264 6.1), or ""."""
    if answer.kind != "audio" or not answer.port:
        return ""
    names = dict(STATIC)
    for value in answer.values("rtpmap"):
        number, _, name = value.partition(" ")
        names[number] = name.strip().partition("/")[0].upper()
    found = [names.get(each, "") for each in answer.formats]
    return next((name for name in found if name and name not in COMPANIONS), "")


def _section(section: bytes, audio: re.Match[bytes], codecs: Codecs) -> bytes:
    """One audio stream with what may be offered of it; empty where that is no codec."""
    names = {
        number.decode(): name.decode("ascii", "replace").upper() for number, name in _RTPMAP.findall(section)
    }
    offered = audio[3].decode().split()
    named = {each: names.get(each) or STATIC.get(each, "") for each in offered}
    kept = [each for each in offered if _may_be_offered(named[each], codecs)]
    if all(named[each] in COMPANIONS for each in kept):
        return b""
    kept.sort(key=lambda each: _rank(named[each], codecs))
    first = b"audio %s %s %s" % (audio[1], audio[2], " ".join(kept).encode("ascii", "replace"))
    rest = section[audio.end(3) :]
    dropped = {each.encode("ascii", "replace") for each in offered if each not in kept}
    return first + (b"".join(_without(rest, dropped)) if dropped else rest)


def _may_be_offered(name: str, codecs: Codecs) -> bool:
    if name in codecs.deny:
        return False
    return not codecs.allow or name in codecs.allow or name in COMPANIONS


def _rank(name: str, codecs: Codecs) -> int:
    """Preferred codecs first, then the others as they were; what accompanies them stays behind."""
    if name in codecs.prefer:
        return codecs.prefer.index(name)
    return len(codecs.prefer) + (name in COMPANIONS)


def _without(rest: bytes, dropped: set[bytes]) -> list[bytes]:
    """The lines of a section that do not describe a payload type that is gone."""
    lines = rest.splitlines(keepends=True)
    return [line for line in lines if (found := _OF_PAYLOAD.match(line)) is None or found[1] not in dropped]
