"""Candidates are the local maxima of heat maps, and lie between cells."""

from __future__ import annotations

import numpy as np
import pytest

from engines.ops.candidates import candidates


def slow(heat: np.ndarray, score_min: float, most: int) -> list[tuple[int, int, int]]:
    """Keypoint, x and y of each cell that none of its neighbours is above, best first."""
    found = []
    for kind, of_kind in enumerate(heat):
        h, w = of_kind.shape
        peaks = []
        for y in range(h):
            for x in range(w):
                near = of_kind[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                if of_kind[y, x] > score_min and of_kind[y, x] == near.max():
                    peaks.append((-of_kind[y, x], kind, x, y))
        found += [peak[1:] for peak in sorted(peaks)[:most]]
    return found


@pytest.mark.parametrize("seed", range(8))
def test_they_are_those_of_the_slow_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hw = (int(rng.integers(1, 12)), int(rng.integers(1, 12)))
    heat = rng.random((3, *hw)).astype(np.float32)
    found = candidates(heat, 0.6, 4)
    got = [(int(kind), int(x), int(y)) for kind, (x, y) in zip(found.kind, found.cells, strict=True)]
    assert got == slow(heat, 0.6, 4)
    assert np.array_equal(found.scores, heat[found.kind, found.cells[:, 1], found.cells[:, 0]])
    assert np.abs(found.xy - found.cells).max(initial=0) <= 0.5


@pytest.mark.parametrize("sigma", [0.8, 1.2, 3.0])
def test_a_gaussian_is_found_where_its_peak_is(sigma: float) -> None:
    rng = np.random.default_rng(1)
    ys, xs = np.mgrid[:20, :30]
    for x, y in rng.uniform((3, 3), (26, 16), (20, 2)):
        heat = 0.7 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * sigma**2))
        found = candidates(heat[None].astype(np.float32), 0.3, 5)
        np.testing.assert_allclose(found.xy, [[x, y]], atol=1e-3)


def test_what_lies_at_an_edge_is_not_moved_off_it() -> None:
    heat = np.zeros((1, 4, 5), np.float32)
    heat[0, 0, 2], heat[0, 0, 3], heat[0, 1, 2] = 0.9, 0.5, 0.1
    found = candidates(heat, 0.3, 5)
    assert found.xy[0, 1] == 0
    assert 2 < found.xy[0, 0] <= 2.5


def test_nothing_high_enough_is_nothing() -> None:
    found = candidates(np.full((17, 5, 5), 0.2, np.float32), 0.3, 5)
    assert len(found) == 0
    assert found.xy.shape == (0, 2)
    assert len(found.of(3)) == 0
