"""Identities: known cases, and the slow definition of IDF1."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from engines.evaluation.tracking import NEAR, Frame, identities


def frame(*pairs: tuple[int | None, int | None]) -> Frame:
    """Each pair is a track and the person it lies on; None: it lies on nobody, or nobody found the person."""
    tracks = [track for track, _ in pairs if track is not None]
    truth = [person for _, person in pairs if person is not None]
    similarity = np.zeros((len(tracks), len(truth)))
    for track, person in pairs:
        if track is not None and person is not None:
            similarity[tracks.index(track), truth.index(person)] = 0.9
    return Frame(tracks, truth, similarity)


@pytest.mark.parametrize(
    ("frames", "idf1", "switches", "found", "mota"),
    [
        ([frame((7, 1), (8, 2))] * 10, 1.0, 0, 1.0, 1.0),
        ([frame((7, 1), (8, 2))] * 5 + [frame((8, 1), (7, 2))] * 5, 0.5, 2, 1.0, 0.9),  # they change places
        ([frame((7, 1))] * 5 + [frame((None, 1))] * 5, 2 / 3, 0, 0.5, 0.5),  # lost
        (
            [frame((7, 1))] * 5 + [frame((None, 1))] * 2 + [frame((9, 1))] * 3,
            2 * 5 / 18,
            1,
            0.8,
            0.7,
        ),  # comes back anew
        ([frame((7, 1), (9, None))] * 4, 2 * 4 / 12, 0, 1.0, 0.0),  # a track of nobody
        ([frame((None, 1))] * 3, 0.0, 0, 0.0, 0.0),  # nobody found
        ([frame()], math.nan, 0, math.nan, math.nan),
    ],
)
def test_known_cases(frames: list[Frame], idf1: float, switches: int, found: float, mota: float) -> None:
    assert identities(frames) == pytest.approx((idf1, switches, found, mota), nan_ok=True)


def test_a_track_stays_with_its_person_though_another_comes_nearer() -> None:
    near = Frame([7, 8], [1, 2], np.array([[0.6, 0.95], [0.95, 0.6]]))
    assert identities([frame((7, 1), (8, 2)), near]).switches == 0
    far = near._replace(similarity=np.array([[0.4, 0.95], [0.95, 0.4]]))
    assert identities([frame((7, 1), (8, 2)), far]).switches == 2


@pytest.mark.parametrize("seed", range(20))
def test_idf1_is_that_of_the_best_of_all_assignments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(8):
        tracks, truth = (rng.permutation(4)[: rng.integers(0, 5)].tolist() for _ in range(2))
        frames.append(Frame(tracks, truth, rng.uniform(0, 1, (len(tracks), len(truth)))))
    agreeing = max(
        sum(
            frame.similarity[frame.tracks.index(track), frame.truth.index(person)] >= NEAR
            for frame in frames
            for track, person in enumerate(people)
            if track in frame.tracks and person in frame.truth
        )
        for people in itertools.permutations(range(4))
    )
    whole = sum(len(frame.tracks) + len(frame.truth) for frame in frames)
    assert identities(frames).idf1 == pytest.approx(2 * agreeing / whole)
