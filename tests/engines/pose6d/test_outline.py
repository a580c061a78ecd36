"""What a pencil draws of a solid, and from which side it is seen."""

from __future__ import annotations

import numpy as np
import pytest

from engines.pose6d.camera import F
from engines.pose6d.mesh import box, cylinder, joined
from engines.pose6d.outline import Outline, hidden
from engines.pose6d.views import seen_from, turned

CUBE = box((-1, -1, -1), (1, 1, 1), (0, 0, 0))
AHEAD = np.array([0.0, 0.0, 6.0])


def length(pieces: F) -> float:
    return float(np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1).sum())


def test_of_a_cube_seen_from_the_front_the_four_edges_of_its_front_are_drawn() -> None:
    seen = Outline(CUBE).seen(np.eye(3), AHEAD)
    assert length(seen) == pytest.approx(4 * 2)
    assert (seen[..., 2] == 5).all()


def test_of_a_cube_seen_from_a_corner_nine_edges_are_drawn() -> None:
    assert length(Outline(CUBE).seen(turned(30, 40, 10), AHEAD)) == pytest.approx(9 * 2)


def test_of_a_bar_its_ends_and_its_two_outer_lines_are_drawn_not_the_lines_along_it() -> None:
    bar = cylinder((0, -1, 6), (0, 1, 6), 0.3, (0, 0, 0))
    seen = Outline(bar).seen(np.eye(3), np.zeros(3))
    along = np.abs(seen[:, 1, 1] - seen[:, 0, 1]) > 1e-9
    assert length(seen[along]) == pytest.approx(2 * 2)


def test_what_another_solid_hides_is_not_drawn() -> None:
    small = box((-0.2, -0.2, 2), (0.2, 0.2, 2.4), (0, 0, 0))
    behind = Outline(joined([CUBE, small])).seen(np.eye(3), AHEAD)
    before = Outline(joined([CUBE, small.moved(np.eye(3), np.array([0, 0, -6.0]))])).seen(np.eye(3), AHEAD)
    assert length(behind) == pytest.approx(4 * 2)
    assert length(before) == pytest.approx(4 * 2 + 4 * 0.4)


def test_a_point_is_hidden_behind_a_triangle_and_not_on_it_beside_it_or_before_it() -> None:
    triangle = np.array([[[-1.0, -1, 2], [1, -1, 2], [0, 1, 2]]])
    points = np.array([[0.0, 0, 3], [0, 0, 2], [0, 0, 1], [3, 0, 3], [0, 0, -3]])
    assert hidden(points, triangle).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("roll_deg", [0.0, 20.0, -75.0])
@pytest.mark.parametrize(("azimuth_deg", "elevation_deg"), [(0.0, 0.0), (130.0, 40.0), (-35.0, -10.0), (179.0, 80.0)])
def test_the_side_that_a_view_was_made_from_is_found_again(
    azimuth_deg: float, elevation_deg: float, roll_deg: float
) -> None:
    assert seen_from(turned(azimuth_deg, elevation_deg, roll_deg)) == pytest.approx((azimuth_deg, elevation_deg))
