"""Jitter is what is off the straight line between neighbours in time, whatever the pace."""

from __future__ import annotations

import numpy as np
import pytest

from engines.evaluation.jitter import off_the_line

TIMES_S = np.array([0.0, 0.1, 0.3, 0.4, 1.0])
SIZES_PX = np.full(5, 200.0)
LINE = TIMES_S[:, None, None] * [[[300.0, -50.0]]] + 7


def test_steady_motion_has_none_at_uneven_times() -> None:
    assert off_the_line(TIMES_S, LINE, SIZES_PX) == pytest.approx(np.zeros((3, 1)), abs=1e-12)


def test_a_step_aside_counts_as_a_share_of_the_person() -> None:
    aside = LINE.copy()
    aside[2] += [3, 4]
    off = off_the_line(TIMES_S, aside, SIZES_PX)[:, 0]
    # and its neighbours lie off the line that ends there, by how near in time it is
    assert off == pytest.approx([5 / 200 / 3, 5 / 200, 5 / 200 * 6 / 7])


def test_what_does_not_count_takes_its_neighbours_along() -> None:
    known = LINE.copy()
    known[1] = np.nan
    assert np.isnan(off_the_line(TIMES_S, known, SIZES_PX)[:, 0]).tolist() == [True, True, False]


def test_two_frames_have_no_jitter() -> None:
    assert off_the_line(TIMES_S[:2], LINE[:2], SIZES_PX[:2]).shape == (0, 1)
