"""What one leg of a call demands of its media."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dsl.decision import Codecs

Srtp = Literal["off", "accept", "offer", "required"]

#: First what every peer has, for most take the first that they know; tags of 32 bits last (RFC 3711 9.5.1).
SUITES = (
    "AES_CM_128_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_80",
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_32",
)

#: The streams of a call that are relayed, where the operator has not said another number.
STREAMS = 4


@dataclass(slots=True, init=False)
class MediaPolicy:
    """How one leg's media is keyed: a value, made as ``sbc.media.stats`` says.

    ``srtp`` is the trunk's toggle; ``sdes`` is False where the signalling leg is not TLS
    and the operator has not said that keys may cross it in the clear; ``suites`` are ours
    in order of preference; ``signalling_host`` is the address from which the leg's
    signalling comes, which symmetric RTP may also come from; ``network`` is where its media is
    received, '' the first (``sbc.media.places``); an ``asymmetric`` peer sends from another
    port than it receives on; ``codecs`` is what a rule says of them; of an offer from this leg as many
    ``streams`` are relayed at most; an ``unheard`` leg has not described itself yet, so it gets nothing.
    Between two legs with ``labels`` those of their streams cross (RFC 4574).
    Against the ``trunk`` of the caller's leg the call's pairs of ports count, of which it may hold ``ports``;
    None: see ``sbc.media.places``.
    """

    srtp: Srtp
    sdes: bool
    suites: tuple[str, ...]
    signalling_host: str
    network: str
    codecs: Codecs | None
    asymmetric: bool
    streams: int
    unheard: bool
    labels: bool
    trunk: str
    ports: int | None

    def __init__(
        self, srtp: Srtp = "accept", sdes: bool = True, suites: tuple[str, ...] = SUITES,
        signalling_host: str = "", network: str = "", codecs: Codecs | None = None,
        asymmetric: bool = False, streams: int = STREAMS, unheard: bool = False, labels: bool = False,
        trunk: str = "", ports: int | None = None,
    ) -> None:  # fmt: skip
        self.srtp: Srtp = srtp
        self.sdes = sdes
        self.suites = suites
        self.signalling_host = signalling_host
        self.network = network
        self.codecs = codecs
        self.asymmetric = asymmetric
        self.streams = streams
        self.unheard = unheard
        self.labels = labels
        self.trunk = trunk
        self.ports = ports
