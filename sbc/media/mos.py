"""How good speech was, from its losses and its delay: the E-model of ITU-T G.107, in its common short form.

All that the E-model knows of a telephone (loudness, noise, echo) is left at its defaults, which gives 93.2 of
the scale to 100, and two impairments are taken from it:

    R = 93.2 - Id - Ie,eff

* **Delay**: ``Id = 0.024 d + 0.11 (d - 177.3) H(d - 177.3)``, where d is the way from mouth to ear in
  milliseconds and H is 0 below zero, else 1 (R. Cole and J. Rosenbluth, Voice over IP performance
  monitoring, 2001: a fit of G.107's Idd and Idte without echo).
* **Codec and loss**: ``Ie,eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl)`` (G.107 clause 7.5), where Ppl is
  the loss in per cent and BurstR is 1: losses are taken to be independent of each other.

``MOS = 1 + 0.035 R + R (R - 60) (100 - R) 7e-6`` (G.107 Annex B), 1 for R of 0 and less. So 4.41 is
the best there is, for wideband codecs too: this is the scale of narrowband listeners.

Ie and Bpl are those of G.113 Appendix I: G.711 with packet loss concealment 0 and 25.1, G.729A 11 and 19.0,
G.723.1 at 6.3 kbit/s 15 and 16.1, GSM-EFR 5 and 10.0. **Approximations of ours** are: AMR is taken for
GSM-EFR, which is its 12.2 kbit/s mode; GSM-FR has the Ie of the Appendix, 20, and GSM-EFR's Bpl, and G.728
its 7 and G.729A's; and G.722, AMR-WB and Opus, for which the narrowband scale has no values, are taken for
G.711 with concealment. Of any other codec nothing is said.
"""

from __future__ import annotations

from typing import Final

BEST: Final = 93.2
#: Milliseconds from which on delay is felt in conversation.
_FELT: Final = 177.3
#: Ie and Bpl by codec, as SDP names it.
_IMPAIRMENTS: Final[dict[str, tuple[float, float]]] = {
    "PCMU": (0.0, 25.1),
    "PCMA": (0.0, 25.1),
    "G729": (11.0, 19.0),
    "G723": (15.0, 16.1),
    "G728": (7.0, 19.0),
    "GSM": (20.0, 10.0),
    "GSM-EFR": (5.0, 10.0),
    "AMR": (5.0, 10.0),
    "AMR-WB": (0.0, 25.1),
    "G722": (0.0, 25.1),
    "OPUS": (0.0, 25.1),
}


def rating(codec: str, loss: float, delay: float) -> float | None:
    """R for a ``loss`` of 0 to 1 and a ``delay`` in seconds from mouth to ear; None for an unknown codec."""
    found = _IMPAIRMENTS.get(codec)
    if found is None:
        return None
    base, robustness = found
    lost, way = 100.0 * loss, 1000.0 * delay
    late = 0.11 * (way - _FELT) if way > _FELT else 0.0
    return BEST - 0.024 * way - late - base - (95.0 - base) * lost / (lost + robustness)


def mos(codec: str, loss: float, delay: float) -> float | None:
    """The mean opinion score, 1 to 4.41, of what ``rating`` rates."""
    found = rating(codec, loss, delay)
    if found is None:
        return None
    if found <= 0.0:
        return 1.0
    return max(1.0, 1.0 + 0.035 * found + found * (found - 60.0) * (100.0 - found) * 7e-6)
