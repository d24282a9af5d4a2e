"""What each leg of a call demands of its media: the trunk's setting, made stricter by the rule."""

from __future__ import annotations

from dataclasses import replace

from dsl.decision import Codecs, Srtp
from sbc.b2bua.leg import Leg
from sbc.media.codecs import first_codec
from sbc.media.policy import STREAMS, MediaPolicy


def caller_srtp(trunk: Srtp, rule: Srtp | None) -> Srtp:
    """``require srtp`` binds both legs; any other wish of a rule is about the callee's alone."""
    return "required" if rule == "required" else trunk


def callee_srtp(trunk: Srtp, rule: Srtp | None) -> Srtp:
    """A rule chooses, but never below a trunk that requires SRTP: that is a floor."""
    return trunk if rule is None or trunk == "required" else rule


def leg_policy(
    leg: Leg, srtp: Srtp, codecs: Codecs | None = None, streams: int = STREAMS, network: str = "",
    always: bool = False,
) -> MediaPolicy:  # fmt: skip
    """The media policy of ``leg``, which is in ``network``.

    Keys cross only TLS unless the trunk says otherwise (row M8). ``always``: an emergency call, whose ports
    count against no trunk.
    """
    return MediaPolicy(
        srtp=srtp,
        sdes=leg.flow.secure or leg.trunk.sdes_in_clear,
        suites=leg.trunk.suites,
        signalling_host=leg.flow.remote.host,
        network=network,
        codecs=codecs,
        asymmetric=leg.trunk.media == "asymmetric",
        streams=streams,
        labels="siprec" in leg.trunk.bodies,
        trunk="" if always else leg.trunk.trunk,
        ports=None if always else leg.trunk.limits.ports,
    )


def undescribed(policy: MediaPolicy) -> MediaPolicy:
    """That of a caller for whom we make the offer: how its own leg is keyed is settled when it says so."""
    return replace(policy, srtp="accept", unheard=True)


def agreed_alone(policy: MediaPolicy, answer: bytes) -> MediaPolicy:
    """That of a leg which is offered the codec that an ``answer`` of the other one chose, and no other."""
    codec = first_codec(answer)
    return replace(policy, codecs=Codecs(allow=(codec,))) if codec else policy
