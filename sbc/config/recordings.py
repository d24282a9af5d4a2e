"""Where calls are recorded to: ``recordings`` of sbc.yaml."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from sbc.config.values import Duration, Size, Strict

#: Seconds between two tones: a call is not to be one long tone, and a tone is to be heard in most calls.
MIN_TONE: Final = 2.0
MAX_TONE: Final = 300.0


class Recordings(Strict):
    """The directory of recordings, what they may take of its disk together, and for how long they are kept.

    Without ``keep`` nothing is ever removed; where ``max_size`` is reached, recordings end. ``tone_every`` is
    how often both sides hear a tone where a rule says `record with tone`. Where ``samples`` are companded,
    G.711 is kept as it was said; where they are linear, it is decoded to 16 bit.
    """

    directory: str = Field(min_length=1)
    max_size: Size = 10 << 30
    keep: Duration | None = None
    tone_every: Annotated[Duration, Field(ge=MIN_TONE, le=MAX_TONE)] = 15.0
    samples: Literal["companded", "linear"] = "companded"
