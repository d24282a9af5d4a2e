"""Which bodies beside SDP may cross, where both trunks of a call name them under ``bodies``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: What the operator writes, and the media types that it means.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "pidf-lo": ("application/pidf+xml",),  # where the caller is (RFC 5491, RFC 6442)
    "isup": ("application/isup",),  # RFC 3204
    "qsig": ("application/qsig",),  # RFC 3204
    "siprec": ("application/rs-metadata+xml", "application/rs-metadata"),  # RFC 7865
}
#: The headers that go with a location (RFC 6442 4).
LOCATION_HEADERS: Final = ("Geolocation", "Geolocation-Routing", "Geolocation-Error")


def media_types(kinds: Iterable[str]) -> frozenset[str]:
    """The media types of ``kinds``."""
    return frozenset([each for kind in kinds for each in KINDS[kind]])
