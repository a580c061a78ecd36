"""Keypoints that a person lacks are looked for around the person, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from engines.ops.missing import highest_nearby


@pytest.mark.parametrize("seed", range(6))
def test_they_are_the_highest_cells_around_the_person(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heat = rng.random((5, 30, 40)).astype(np.float32)
    cells = rng.integers(0, (40, 30), (6, 5, 2))
    has = rng.random((6, 5)) < 0.6
    has[np.arange(6), rng.integers(0, 5, 6)] = True
    found = highest_nearby(cells, has, heat)
    for person in range(6):
        given = cells[person, has[person]]
        assert np.array_equal(found[person, has[person]], given)
        beyond = round(0.2 * float((given.max(0) - given.min(0)).max()))
        (x1, y1), (x2, y2) = given.min(0) - beyond, given.max(0) + beyond
        around = [(x, y) for y in range(30) for x in range(40) if x1 <= x <= x2 and y1 <= y <= y2]
        for kind in np.flatnonzero(~has[person]):
            best = max(around, key=lambda at, kind=kind: heat[kind, at[1], at[0]])
            assert tuple(found[person, kind]) == best


def test_nobody_lacks_nothing() -> None:
    nobody = highest_nearby(np.zeros((0, 5, 2), int), np.zeros((0, 5), bool), np.zeros((5, 4, 4), np.float32))
    assert nobody.shape == (0, 5, 2)
