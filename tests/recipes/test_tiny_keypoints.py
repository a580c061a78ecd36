"""What the lesson says is so."""

from __future__ import annotations

from recipes import tiny_keypoints


def test_the_parabola_knows_more_than_the_highest_cell_and_fields_more_than_the_distance() -> None:
    said: list[str] = []
    coarse, fine = tiny_keypoints.errors_px(tiny_keypoints.learn(4, 1, 200, said.append))
    assert 0.5 < coarse < 1.4, "a cell is two pixels wide"
    assert fine < 0.8 * coarse
    by_distance, by_fields = tiny_keypoints.oks_of_two(tiny_keypoints.learn(10, 2, 300, said.append))
    assert 0.5 < by_distance < by_fields < 1
    assert len(said) == 8
