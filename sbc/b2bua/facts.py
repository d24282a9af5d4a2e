"""The flat facts that the routing rules decide on, taken from a request and its flow."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from dsl.addresses import header_reader
from dsl.facts import Facts, no_calls
from sbc.flow import Flow, PeerIdentity
from sbc.media.codecs import STATIC
from sbc.media.sdp import holds_any, may_keep
from sbc.sip.message import Request

_TELLING: Final = (b"m=", b"a=rtpmap", b"a=crypto")
_RTPMAP: Final = re.compile(rb"^a=rtpmap:\d+ +([^/\s]+)/", re.MULTILINE)
_AUDIO: Final = re.compile(rb"^m=audio \d+ (\S+) ([0-9 ]+)", re.MULTILINE)

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


# fmt: off
def facts_of(
    request: Request, flow: Flow, tenant: str | None, now: float,
    calls: Callable[[str], int] = no_calls, login: tuple[str, str] = ("", ""),
) -> Facts:
    # fmt: on
    """Everything that a rule may ask of ``request``; look-ups stay lazy. ``login``: a name, its realm."""
    from_, to = request.from_, request.to
    called, caller, to_header = request.target.party, from_.uri.party, to.uri.party
    tls = flow.tls
    peer = (tls.peer if tls else None) or _NOBODY
    codecs, srtp = describe_offer(request.body)
    # fmt: off
    return Facts(
        trunk=flow.trunk or "", tenant=tenant or "", listener=flow.listener,
        source=flow.remote.host, transport=flow.transport, method=request.method,
        ruri_user=called.user, ruri_host=called.host, ruri_scheme=called.scheme,
        ruri_port=called.port, ruri_type=called.type, ruri_param=called.param,
        from_user=caller.user, from_host=caller.host, from_scheme=caller.scheme,
        from_port=caller.port, from_type=caller.type, from_param=caller.param,
        from_display=from_.display,
        to_header_user=to_header.user, to_header_host=to_header.host, to_header_display=to.display,
        call_id=request.call_id,
        user_agent=request.headers.get("User-Agent") or "",
        header=header_reader(request.headers.get),
        sips=flow.secure and called.scheme == "sips",
        tls_version=tls.version if tls else "",
        tls_group=tls.group if tls else "",
        tls_cipher=tls.cipher if tls else "",
        peer_verified=peer.verified, peer_sans=peer.sans, peer_issuer=peer.issuer,
        peer_subject=peer.subject, peer_pin=peer.pin,
        sdp_codecs=codecs, sdp_srtp=srtp,
        auth_user=login[0], auth_realm=login[1],
        now=now, calls=calls,
    )
    # fmt: on
