from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.ops.boxes import iou


def test_iou_of_boxes_that_overlap_by_half_is_a_third() -> None:
    left, right = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 15, 10]])
    assert iou(left, right) == pytest.approx(np.array([[1 / 3]]))


def test_iou_rows_are_the_references() -> None:
    found = iou(np.array([[0.0, 0, 4, 4]]), np.array([[0.0, 0, 4, 4], [9, 9, 10, 10], [0, 0, 2, 4]]))
    assert found == pytest.approx(np.array([[1, 0, 0.5]]))


def test_boxes_that_touch_or_have_no_area_do_not_overlap() -> None:
    boxes = np.array([[0.0, 0, 4, 4], [4, 0, 8, 4], [2, 2, 2, 2]], np.float32)
    assert iou(boxes, boxes) == pytest.approx(np.diag([1.0, 1.0, 0.0]))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000))
def test_iou_agrees_with_counted_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 12, (6, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 8, (6, 2))], 1)
    cells = np.zeros((6, 20, 20), bool)
    for cell, (x1, y1, x2, y2) in zip(cells, boxes, strict=True):
        cell[y1:y2, x1:x2] = True
    counted = [[(a & b).sum() / (a | b).sum() for b in cells] for a in cells]
    assert iou(boxes.astype(np.float32), boxes.astype(np.float32)) == pytest.approx(np.array(counted), abs=1e-6)
