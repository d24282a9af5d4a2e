"""Fax over UDPTL (T.38 annex D; RFC 3362): a stream of clear text that is no RTP.

It passes between two legs that both may have plain media. A leg that must have SRTP gets it with port 0, for
nothing encrypts UDPTL: DTLS would (RFC 7345), which we do not do. What T.38 says of itself (``a=T38...``)
goes on octet for octet: which versions and rates two machines agree on is theirs.
"""

from __future__ import annotations

from sbc.base import address
from sbc.media.codecs import FAX
from sbc.media.errors import StreamRefused
from sbc.media.policy import MediaPolicy
from sbc.media.sdp import MUTED, Media, copied, network
from sbc.media.terms import Terms


def offered_terms(media: Media, ours: MediaPolicy, theirs: MediaPolicy) -> Terms:
    """Return the terms of an offered fax; StreamRefused where a leg must have SRTP, or a rule denies it."""
    if "required" in (ours.srtp, theirs.srtp):
        raise StreamRefused("SRTP is required and a fax over UDPTL is clear text")
    if theirs.codecs is not None and FAX in theirs.codecs.deny:
        raise StreamRefused("the rules do not allow T38")
    return terms(media, ours)


def terms(media: Media, policy: MediaPolicy) -> Terms:
    """Return the terms of one leg: it has no keys, and no port but the one."""
    host, signalling = media.host, policy.signalling_host
    hosts = tuple(dict.fromkeys([each for each in (host, signalling) if each]))
    remote = None if host is None else address(host, media.port)
    return Terms(remote, None, True, media.proto, None, None, hosts, policy.asymmetric)


def section(media: Media, port: int, profile: str, address: str = "") -> str:
    """Write the ``m=`` section on our ``port``, which is at ``address``, '' where the session's line says so.

    A direction is written only where the peer gave one: T.38 has none of its own.
    """
    direction = media.direction if media.lines.direction else ""
    if media.host is None:
        direction = MUTED.get(media.direction, media.direction)
    where = f"c={network(address)}\r\n" if address else ""
    words = f"a={direction}\r\n" if direction else ""
    return f"m={media.kind} {port} {profile} {media.lines.payload}\r\n{where}{copied(media.lines)}{words}"
