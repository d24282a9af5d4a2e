"""What a trunk's file says that each call and each message of it asks, read from there once.

The model of the file looks for more than an attribute behind each name: that takes some five hundred
instructions, and a call asks a hundred times.
"""

from __future__ import annotations

from typing import Literal

from dsl.decision import Srtp
from sbc.policy.diversions import Diverted
from sbc.policy.identity import Trust, Written

Transfers = Literal["refuse", "pass", "perform"]


class Standing:
    """What ``sbc.config.model.Trunk`` says, by the same words; ``name`` is the trunk's.

    ``into``, ``outward`` and ``written`` are its ``identity``, ``ports`` its limit of them. ``timed``: it has
    session timers, with ``expires`` (0 for none of ours) and ``least`` in seconds. ``patient``: one of its
    peers has a time of its own for a first response.
    """

    __slots__ = (
        "alias", "asymmetric", "bodies", "diversion", "early_media", "early_offer", "expires",
        "into", "least", "name", "outward", "patient", "ports", "response_timeout", "ring_timeout",
        "srtp", "suites", "tenant", "timed", "transfers", "written",
    )  # fmt: skip

    def __init__(
        self, *, name: str, tenant: str | None, bodies: tuple[str, ...], transfers: Transfers, into:
        Trust | None, outward: Trust | None, written: Written, alias: bool, diversion: Diverted, srtp:
        Srtp, suites: tuple[str, ...], asymmetric: bool, ports: int | None, early_media: str,
        early_offer: bool, timed: bool, expires: int, least: int, response_timeout: float, ring_timeout:
        float, patient: bool,
    ) -> None:  # fmt: skip
        self.name = name
        self.tenant = tenant
        self.bodies = bodies
        self.transfers: Transfers = transfers
        self.into: Trust | None = into
        self.outward: Trust | None = outward
        self.written: Written = written
        self.alias = alias
        self.diversion: Diverted = diversion
        self.srtp: Srtp = srtp
        self.suites = suites
        self.asymmetric = asymmetric
        self.ports = ports
        self.early_media = early_media
        self.early_offer = early_offer
        self.timed = timed
        self.expires = expires
        self.least = least
        self.response_timeout = response_timeout
        self.ring_timeout = ring_timeout
        self.patient = patient
