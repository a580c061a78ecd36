"""Sources of high dynamic range look as they should on an ordinary screen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from decoded import read

from stream.sources.tone import bt709

NITS = np.array([0.0, 1, 5, 20, 50, 100, 203, 400, 700, 1000])
CURVES = {"pq": 16, "hlg": 18}
A, B, C = 0.17883277, 0.28466892, 0.55991073
RED = np.array([0.6274, 0.0691, 0.0164])  # of BT.709, in BT.2020's primaries (ITU-R BT.2087)


def coded(nits: np.ndarray, curve: str) -> np.ndarray:
    """Codes in 0..1 of grey light, by the curves' definitions."""
    if curve == "pq":
        power = (nits / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    scene = (nits / 1000) ** (1 / 1.2)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), A * np.log(np.maximum(12 * scene - B, 1e-9)) + C)


def write(path: Path, curve: str, width: int = 320, height: int = 64) -> Path:
    """Three frames of ten grey bars in ten bits, tagged as what they are."""
    codes = np.round(64 + 876 * coded(NITS, curve)).astype(np.uint16).repeat(width // 10)
    planes = np.full((height * 3 // 2, width), 512, np.uint16)
    planes[:height] = codes
    with av.open(path, "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = CURVES[curve], 9, 9, 1
        for at in range(3):
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p10le")
            frame.pts, frame.time_base = at, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("curve", CURVES)
def test_bars_of_light_become_what_the_formula_says(tmp_path: Path, curve: str) -> None:
    _, frames, _ = read(write(tmp_path / "v.mkv", curve))
    assert len(frames) == 3
    bars = frames[2].picture[32, 16::32].astype(float)
    wanted = 255 * bt709(coded(NITS, curve)[:, None].repeat(3, 1), curve == "pq")
    assert np.abs(bars - wanted).max() <= 3
    assert (np.diff(bars.mean(1)) > 0).all()
    assert bars[-1].min() >= 252
    assert 130 < bars[5].mean() < 210  # skin and walls: as bright as in ordinary video


def test_both_curves_show_the_same_light_alike() -> None:
    one, other = (bt709(coded(NITS, curve)[:, None].repeat(3, 1), curve == "pq") for curve in CURVES)
    assert np.abs(one - other).max() < 0.02


def test_hues_stay_and_nothing_leaves_the_range() -> None:
    reds = bt709(coded(np.outer(NITS[3:7], RED), "pq"), is_pq=True)
    assert (reds[:, 0] > 0.2).all()
    assert reds[:, 1:].max() < 0.1
    everything = bt709(np.random.default_rng(0).random((1000, 3)), is_pq=True)
    assert 0 <= everything.min() <= everything.max() <= 1
