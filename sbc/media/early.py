"""An offer that we make ourselves, for a callee that takes no INVITE without one (RFC 3264, RFC 3261 13.2.1).

It is written as if the caller had made it, so that it passes through the same offer and answer as any other;
where the caller receives nobody knows yet, so nothing is sent there (``MediaPolicy.unheard``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# Payload types and clocks of what may be offered (RFC 3551 6, RFC 7587 7).
_MAPS: Final = {
    "PCMU": (0, "PCMU/8000"),
    "GSM": (3, "GSM/8000"),
    "PCMA": (8, "PCMA/8000"),
    "G722": (9, "G722/8000"),
    "G729": (18, "G729/8000"),
    "OPUS": (111, "opus/48000/2"),
}
#: The codecs that an offer of ours can name.
OFFERABLE: Final = tuple(_MAPS)
_one_way: Final = re.compile(rb"^a=(?:sendonly|recvonly|inactive)\r?\n", re.MULTILINE).sub
_DIGITS: Final = 101
_DISCARD: Final = 9


def early_offer(codecs: Iterable[str], host: str) -> bytes:
    """Audio in ``codecs``, the first preferred, and digits (RFC 4733), from a caller at ``host``."""
    host = host.partition("%")[0]
    network = f"IN {'IP6' if ':' in host else 'IP4'} {host}"
    maps = [_MAPS[each] for each in codecs]
    payload = " ".join([str(number) for number, _ in maps] + [str(_DIGITS)])
    lines = [
        "v=0", f"o=- 0 0 {network}", "s=-", f"c={network}", "t=0 0", f"m=audio {_DISCARD} RTP/AVP {payload}",
        *[f"a=rtpmap:{number} {name}" for number, name in maps],
        f"a=rtpmap:{_DIGITS} telephone-event/8000", f"a=fmtp:{_DIGITS} 0-15", "a=ptime:20", "a=sendrecv",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n").encode("ascii", "replace")


def both_ways(sdp: bytes) -> bytes:
    """A description without its hold: what is offered anew is offered whole (RFC 3261 14.2)."""
    return _one_way(b"", sdp)
