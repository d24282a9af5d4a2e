"""What the payload types of RTP mean in a call: the codec of each by its descriptions (RFC 8866, RFC 3551).

A peer sends by the numbers of whoever it sends to (RFC 3264 5.1), so each side has a table of its own: first
what the other side has said, then its own words.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sbc.media.sdp import Media


class Format(NamedTuple):
    """A payload type: the codec in capitals, its clock in Hz, its channels, and what ``fmtp`` says of it."""

    codec: str
    clock: int
    channels: int = 1
    fmtp: str = ""


Formats = dict[int, Format]

#: Payload types that need no rtpmap (RFC 3551 6).
_STATIC: Final[Formats] = {
    0: Format("PCMU", 8000), 3: Format("GSM", 8000), 4: Format("G723", 8000), 8: Format("PCMA", 8000),
    9: Format("G722", 8000), 10: Format("L16", 44100, 2), 11: Format("L16", 44100), 13: Format("CN", 8000),
    15: Format("G728", 8000), 18: Format("G729", 8000),
}  # fmt: skip


def formats_of(first: Media | None, then: Media | None) -> Formats:
    """What payload types mean by ``first``, and those that it says nothing of by ``then``."""
    found: Formats = {}
    for media in (first, then):
        for number, each in _described(media).items() if media is not None else ():
            found.setdefault(number, each)
    return found


def _described(media: Media) -> Formats:
    found: Formats = {}
    for text in media.formats:
        known = _STATIC.get(_number(text))
        if known is not None:
            found[_number(text)] = known
    for value in media.values("rtpmap"):
        number, _, name = value.partition(" ")
        parts = name.strip().upper().split("/")
        clock = _number(parts[1]) if len(parts) > 1 else -1
        if number in media.formats and clock >= 0:
            channels = _number(parts[2]) if len(parts) > 2 else 1
            found[_number(number)] = Format(parts[0], clock, max(1, channels))
    for value in media.values("fmtp"):
        number, _, said = value.partition(" ")
        if number in media.formats and _number(number) in found:
            found[_number(number)] = found[_number(number)]._replace(fmtp=said)
    return found


def _number(text: str) -> int:
    """What digits say, of very many the first; -1 for what only looks like digits, as a superscript does."""
    return int(text[:9]) if text.isascii() and text.isdigit() else -1


def written(formats: Formats) -> bytes:
    """A description of these payload types that names nobody and no key, to lie beside their packets."""
    numbers = " ".join([str(number) for number in sorted(formats)])
    lines = [
        "v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "c=IN IP4 0.0.0.0", "t=0 0", f"m=audio 0 RTP/AVP {numbers}",
    ]  # fmt: skip
    for number, each in sorted(formats.items()):
        channels = f"/{each.channels}" if each.channels > 1 else ""
        lines.append(f"a=rtpmap:{number} {each.codec}/{each.clock}{channels}")
        if each.fmtp:
            lines.append(f"a=fmtp:{number} {each.fmtp}")
    return "".join([f"{line}\r\n" for line in lines]).encode("utf-8", "replace")
