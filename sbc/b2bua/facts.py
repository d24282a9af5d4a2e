"""The flat facts that the routing rules decide on, taken from a request and its flow."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from dsl.arrival import Arrival, call_facts
from dsl.facts import Facts, no_calls, nobody_registered
from sbc.flow import Flow, PeerIdentity
from sbc.media.codecs import STATIC
from sbc.media.sdp import holds_any, may_keep
from sbc.sip.message import Request

_TELLING: Final = (b"m=", b"a=rtpmap", b"a=crypto")
_RTPMAP: Final = re.compile(rb"^a=rtpmap:\d+ +([^/\s]+)/", re.MULTILINE)
# As ``sbc.media.sdp`` reads it, which is lenient about blanks and case.
_AUDIO: Final = re.compile(rb"^m=audio[ \t]+[\d/]+[ \t]+(\S+)[ \t]+([0-9 \t]+)", re.MULTILINE | re.IGNORECASE)

#: What an offer says: codec names, and whether SRTP is asked for.
Offered = tuple[tuple[str, ...], Literal["none", "offered", "required"]]


def describe_offer(body: bytes) -> Offered:
    """Codec names that an SDP offer lists for audio, and what it says of SRTP."""
    head, _, audio = body.partition(b"\nm=audio ")
    port, _, media = audio.partition(b" ")
    # A device says the same in every offer, but for the port.
    if port.isdigit() and may_keep(media) and not holds_any(head, _TELLING):
        return _described(media)
    return _describe(body)


@lru_cache(maxsize=512)
def _described(media: bytes) -> Offered:
    return _describe(b"m=audio 0 " + media)


def _describe(body: bytes) -> Offered:
    audio = _AUDIO.search(body)
    if audio is None:
        return (), "none"
    named = [name.decode("ascii", "replace").upper() for name in _RTPMAP.findall(body)]
    static = [STATIC[each] for each in audio[2].decode().split() if each in STATIC]
    codecs = tuple(dict.fromkeys(static + named))
    if b"SAVP" in audio[1]:
        return codecs, "required"
    return codecs, "offered" if b"\na=crypto:" in body else "none"


_NOBODY: Final = PeerIdentity("", "", (), "", "", 0.0, 0.0, False)


def facts_of(
    request: Request,
    flow: Flow,
    tenant: str | None,
    now: float,
    calls: Callable[[str], int] = no_calls,
    login: tuple[str, str] = ("", ""),
    believed: str = "",
    trunk: str | None = None,
    registered: Callable[[str], bool] = nobody_registered,
) -> Facts:
    """Everything that a rule may ask of ``request``; look-ups stay lazy. ``login``: a name, its realm.

    ``trunk`` is whose it is, where that is not the flow's own, and ``believed`` how far that is;
    ``registered`` knows our phones.
    """
    from_, to, tls = request.from_, request.to, flow.tls
    peer = (tls.peer if tls else None) or _NOBODY
    codecs, srtp = describe_offer(request.body)
    # fmt: off
    arrival = Arrival(
        trunk or flow.trunk or "", tenant or "", flow.listener, flow.remote.host, flow.transport,
        tls.version if tls else "", tls.group if tls else "", tls.cipher if tls else "",
        peer.verified, peer.sans, peer.issuer, peer.subject, peer.pin, believed,
    )
    return call_facts(
        arrival, request.target.party, from_.uri.party, to.uri.party,
        request.headers.get, from_.display, to.display, request.method, request.call_id, codecs, srtp, login,
        now, calls, registered,
    )
    # fmt: on
