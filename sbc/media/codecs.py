"""Which codecs an offer may name, and in what order: a rule's ``allow``, ``deny`` and ``prefer codecs``.

Only what describes audio is looked at. Tones (RFC 4733) and comfort noise (RFC 3389) are no codecs that a
caller would talk with: they stay unless they are denied by name, and without a codec they are no offer. So do
redundancy and repair (RFC 2198, RFC 4588), which go when what they carry goes.

An answer may list what was not offered (RFC 3264 6.1), and then it may be sent: the rule is its rule, too.

What is read here is read as ``sbc.media.sdp`` reads it, however it is spelled: a rule that one more blank
leads past is none. A map that two readers could take for two codecs goes.
"""

from __future__ import annotations

import re

from dsl.decision import Codecs
from sbc.media.errors import MediaRefused
from sbc.media.sdp import MAX_FORMATS, STATIC, Media

#: What accompanies a codec and is none.
COMPANIONS = frozenset(("TELEPHONE-EVENT", "CN", "RED", "RTX", "ULPFEC", "FLEXFEC", "PARITYFEC"))
#: What carries other payload types, and how its parameters name them (RFC 2198 5, RFC 4588 8.1).
_CARRIERS = {"RED": re.compile(r"(?<!\d)\d+(?=/|$)"), "RTX": re.compile(r"(?<=apt=)\d+")}
_AUDIO = re.compile(rb"audio (\S+) (\S+) ([0-9 ]+)(\r?\n|$)")
_RTPMAP = re.compile(rb"^a=rtpmap:(0|[1-9]\d*) +([^/\s]+)/", re.MULTILINE)
_FMTP = re.compile(rb"^a=fmtp:(\d+) ++([^\r\n]*)", re.MULTILINE)
_OF_PAYLOAD = re.compile(rb"a=(?:rtpmap|fmtp|rtcp-fb):(\d+)\b")


#: What a fax is called where codecs are spoken of.
FAX = "T38"


def is_fax(media: Media) -> bool:
    """Tell whether a stream is T.38 over UDPTL; some gateways write the transport in capitals."""
    return media.kind == "image" and media.proto.lower() == "udptl" and not media.lines.rtp


def chosen(sdp: bytes, codecs: Codecs) -> bytes:
    """The offer with the codecs that may be offered; MediaRefused where that leaves no audio stream.

    An audio stream without one gets port 0 and the others stand (RFC 3264 6). A description without
    audio stays as it is.
    """
    head, *sections = sdp.split(b"\nm=")
    written, left, without = [head], 0, 0
    for each in sections:
        section, audio = _audio(each)
        if audio is None or audio[1] == b"0":
            written.append(section)
            continue
        text = _section(section, audio, codecs)
        written.append(text or b"audio 0" + section[audio.end(1) :])
        left, without = left + bool(text), without + (not text)
    if without and not left:
        raise MediaRefused("no codec is offered that the rules allow")
    return b"\nm=".join(written)


def permitted(answer: bytes, codecs: Codecs) -> bytes:
    """An answer without the codecs that were not to be offered; MediaRefused where a stream has no other.

    A payload type without a name stays: many answers leave out what the offer said of it.
    """
    if not codecs.allow and not codecs.deny:
        return answer
    head, *sections = answer.split(b"\nm=")
    written = [head]
    for each in sections:
        section, audio = _audio(each)
        if audio is None or audio[1] == b"0":
            written.append(section)
            continue
        named = _named(section, audio)
        kept = _kept(
            section, named, [type for type in named if not named[type] or _may_be(named[type], codecs)]
        )
        if all(named[type] in COMPANIONS for type in kept):
            raise MediaRefused("the answer names no codec that the rules allow")
        written.append(_with(section, audio, kept))
    return b"\nm=".join(written)


def first_codec(sdp: bytes) -> str:
    """The codec that a description names first for audio (RFC 3264 6.1), in capitals; "" for none."""
    for each in sdp.split(b"\nm=")[1:]:
        section, audio = _audio(each)
        if audio is None or audio[1] == b"0":
            continue
        found = _named(section, audio).values()
        return next((name for name in found if name and name not in COMPANIONS), "")
    return ""


def agreed(answer: Media) -> str:
    """The codec that an answer chose for audio: the first that it names (RFC 3264 6.1), T38, or ""."""
    if answer.kind != "audio" or not answer.port:
        return FAX if answer.port and is_fax(answer) else ""
    names = dict(STATIC)
    for value in answer.values("rtpmap"):
        number, _, name = value.partition(" ")
        names[number] = name.strip().partition("/")[0].upper()
    found = [names.get(each, "") for each in answer.formats]
    return next((name for name in found if name and name not in COMPANIONS), "")


def _audio(section: bytes) -> tuple[bytes, re.Match[bytes] | None]:
    """A section and its ``m=`` line, if it is of audio, spelled as usual; not one that nobody could use."""
    found = _AUDIO.match(section)
    if found is None:
        line, end, rest = section.partition(b"\n")
        fields = line.split()
        if not fields or fields[0].lower() != b"audio":
            return section, None
        end = b"\r\n" if line.endswith(b"\r") else end
        section = b" ".join([b"audio", *fields[1:]]) + end + rest
        found = _AUDIO.match(section)
    # A count instead of a list: there may be as many as a body has room for.
    return section, found if found is not None and found[3].count(b" ") <= 2 * MAX_FORMATS else None


def _section(section: bytes, audio: re.Match[bytes], codecs: Codecs) -> bytes:
    """One audio stream with what may be offered of it; empty where that is no codec."""
    named = _named(section, audio)
    kept = _kept(section, named, [each for each in named if _may_be(named[each], codecs)])
    if all(named[each] in COMPANIONS for each in kept):
        return b""
    if codecs.prefer:
        kept.sort(key=lambda each: _rank(named[each], codecs))
    return _with(section, audio, kept)


def _named(section: bytes, audio: re.Match[bytes]) -> dict[str, str]:
    """The codecs of an audio stream by payload type, in capitals, in its order; '' for one without a name."""
    names: dict[str, str] = {}
    for number, name in _RTPMAP.findall(section):
        names.setdefault(number.decode(), name.decode("ascii", "replace").upper())
    return {each: names.get(each) or STATIC.get(each, "") for each in audio[3].decode().split()}


def _kept(section: bytes, named: dict[str, str], kept: list[str]) -> list[str]:
    """``kept`` without what carries a payload type of ``named`` that is not kept, and so on."""
    carried: dict[str, set[str]] = {}
    if any(each in _CARRIERS for each in named.values()):
        for number, parameters in _FMTP.findall(section):
            carrier = _CARRIERS.get(named.get(number.decode(), ""))
            if carrier is not None:
                carried[number.decode()] = set(carrier.findall(parameters.decode("ascii", "replace")))
    while carried:
        gone = set(named).difference(kept)
        left = [each for each in kept if not carried.get(each, set()) & gone]
        if len(left) == len(kept):
            break
        kept = left
    return kept


def _with(section: bytes, audio: re.Match[bytes], kept: list[str]) -> bytes:
    """An audio stream with the payload types ``kept`` alone, and what describes them."""
    first = b"audio %s %s %s" % (audio[1], audio[2], " ".join(kept).encode("ascii", "replace"))
    rest = section[audio.end(3) :]
    dropped = {each for each in audio[3].split() if each.decode() not in kept}
    odd = rest.count(b"a=rtpmap") != len({number for number, _ in _RTPMAP.findall(rest)})
    return first + (b"".join(_without(rest, dropped)) if dropped or odd else rest)


def _may_be(name: str, codecs: Codecs) -> bool:
    if name in codecs.deny:
        return False
    return not codecs.allow or name in codecs.allow or name in COMPANIONS


def _rank(name: str, codecs: Codecs) -> int:
    """Preferred codecs first, then the others as they were; what accompanies them stays behind."""
    if name in codecs.prefer:
        return codecs.prefer.index(name)
    return len(codecs.prefer) + (name in COMPANIONS)


def _without(rest: bytes, dropped: set[bytes]) -> list[bytes]:
    """The lines of a section that do not describe a payload type that is gone, nor one as two codecs."""
    kept: list[bytes] = []
    mapped: set[bytes] = set()
    for line in rest.splitlines(keepends=True):
        found = _OF_PAYLOAD.match(line)
        if found is not None and found[1] in dropped:
            continue
        if line.startswith(b"a=rtpmap"):
            said = _RTPMAP.match(line)
            if said is None or said[1] in mapped:
                continue
            mapped.add(said[1])
        kept.append(line)
    return kept
