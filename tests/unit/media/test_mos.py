"""The score against values worked by hand from the formulas of G.107, and what it can never be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.media.mos import mos, rating


# R = 93.2 - Id - Ie,eff; Id = 0.024 d, and 0.11 (d - 177.3) more from 177.3 ms on;
# Ie,eff = Ie + (95 - Ie) P / (P + Bpl), P in per cent; MOS = 1 + 0.035 R + 7e-6 R (R - 60) (100 - R).
@pytest.mark.parametrize(
    ("codec", "loss", "delay", "rated", "score"),
    [
        # Nothing is lost or late: 93.2. 1 + 3.262 + 7e-6 * 93.2 * 33.2 * 6.8 = 4.262 + 0.14729.
        ("PCMU", 0.0, 0.0, 93.2, 4.41),
        # Id = 2.4; Ie,eff = 95 * 1 / 26.1 = 3.640. R = 87.160; 1 + 3.0506 + 7e-6 * 87.16 * 27.16 * 12.84
        # = 4.0506 + 0.2128.
        ("PCMA", 0.01, 0.1, 87.16, 4.26),
        # Id = 3.6; Ie,eff = 95 * 5 / 30.1 = 15.781. R = 73.819; 1 + 2.5837 + 7e-6 * 73.819 * 13.819 * 26.181
        # = 3.5837 + 0.1870.
        ("PCMU", 0.05, 0.15, 73.819, 3.77),
        # Id = 7.2 + 0.11 * 122.7 = 20.697; Ie,eff = 0. R = 72.503;
        # 1 + 2.5376 + 7e-6 * 72.503 * 12.503 * 27.497 = 3.5376 + 0.1745.
        ("PCMU", 0.0, 0.3, 72.503, 3.71),
        # Id = 1.2; Ie,eff = 11 + 84 * 2 / 21 = 19. R = 73.0;
        # 1 + 2.555 + 7e-6 * 73 * 13 * 27 = 3.555 + 0.1794.
        ("G729", 0.02, 0.05, 73.0, 3.73),
        # Id = 9.6 + 0.11 * 222.7 = 34.097; Ie,eff = 11 + 84 * 10 / 29 = 39.966. R = 19.137;
        # 1 + 0.6698 + 7e-6 * 19.137 * -40.863 * 80.863 = 1.6698 - 0.4426.
        ("G729", 0.1, 0.4, 19.137, 1.23),
    ],
)
def test_loss_and_delay_by_hand(codec: str, loss: float, delay: float, rated: float, score: float) -> None:
    assert rating(codec, loss, delay) == pytest.approx(rated, abs=0.001)
    assert mos(codec, loss, delay) == pytest.approx(score, abs=0.005)


def test_of_a_codec_that_the_model_does_not_know_nothing_is_said() -> None:
    assert mos("T38", 0.0, 0.0) is None and mos("", 0.0, 0.0) is None


@given(st.sampled_from(("PCMU", "G729", "GSM", "OPUS")), st.floats(0, 1), st.floats(0, 20))
def test_a_score_is_on_the_scale(codec: str, loss: float, delay: float) -> None:
    score = mos(codec, loss, delay)
    assert score is not None and 1.0 <= score <= 4.42
