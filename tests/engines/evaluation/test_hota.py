"""HOTA, MOTA and IDF1 are TrackEval's; known cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.evaluation.hota import hota
from engines.evaluation.tracking import Frame, identities


def clip(seed: int, frames: int = 25) -> list[Frame]:
    """People who come and go, and tracks that mostly lie on them, change and are sometimes on nobody."""
    rng = np.random.default_rng(seed)
    made = []
    for at in range(frames):
        truth = [number for number in range(5) if rng.random() < 0.8]
        tracks = [10 + (number + (at > 12)) % 6 for number in range(5) if rng.random() < 0.8]
        similarity = rng.uniform(0, 0.5, (len(tracks), len(truth)))
        for column, person in enumerate(truth):
            for row, track in enumerate(tracks):
                if track - 10 == (person + (at > 15)) % 6:
                    similarity[row, column] = rng.uniform(0.4, 1.0)
        made.append(Frame(tracks, truth, similarity))
    return made


def as_trackeval(frames: list[Frame]) -> dict[str, object]:
    people = sorted({each for frame in frames for each in frame.truth})
    tracks = sorted({each for frame in frames for each in frame.tracks})
    return {
        "num_timesteps": len(frames),
        "num_gt_ids": len(people),
        "num_tracker_ids": len(tracks),
        "num_gt_dets": sum(len(frame.truth) for frame in frames),
        "num_tracker_dets": sum(len(frame.tracks) for frame in frames),
        "gt_ids": [np.array([people.index(each) for each in frame.truth], int) for frame in frames],
        "tracker_ids": [np.array([tracks.index(each) for each in frame.tracks], int) for frame in frames],
        "similarity_scores": [frame.similarity.T for frame in frames],
    }


@pytest.mark.parametrize("seed", range(8))
def test_trackeval_comes_to_the_same(seed: int) -> None:
    trackeval = pytest.importorskip("trackeval", reason="needs trackeval, of the extra test")
    frames = clip(seed)
    data = as_trackeval(frames)
    theirs = trackeval.metrics.HOTA().eval_sequence(data)
    ours = hota(frames)
    assert ours.hota == pytest.approx(theirs["HOTA"].mean())
    assert ours.detection == pytest.approx(theirs["DetA"].mean())
    assert ours.association == pytest.approx(theirs["AssA"].mean())
    kept = identities(frames)
    clear = trackeval.metrics.CLEAR({"THRESHOLD": 0.5, "PRINT_CONFIG": False}).eval_sequence(data)
    assert (kept.mota, kept.switches) == (pytest.approx(clear["MOTA"]), clear["IDSW"])
    assert kept.found == pytest.approx(clear["CLR_TP"] / data["num_gt_dets"])
    identity = trackeval.metrics.Identity({"THRESHOLD": 0.5, "PRINT_CONFIG": False}).eval_sequence(data)
    assert kept.idf1 == pytest.approx(identity["IDF1"])


def test_known_cases() -> None:
    def frame(track: int) -> Frame:
        return Frame([track], [1], np.array([[1.0]]))

    assert hota([frame(7)] * 10) == pytest.approx((1, 1, 1))
    # two tracks, each half of the person: association is 1/2, detection whole
    assert hota([frame(7)] * 5 + [frame(8)] * 5) == pytest.approx((math.sqrt(0.5), 1, 0.5))
    nobody_found = Frame([], [1], np.zeros((0, 1)))
    assert hota([nobody_found]) == pytest.approx((0, 0, 0))
    assert all(map(math.isnan, hota([Frame([], [], np.zeros((0, 0)))])))


def test_half_as_near_is_matched_at_half_the_thresholds() -> None:
    half = Frame([7], [1], np.array([[0.5]]))
    # 10 of 19 thresholds, 0.05 to 0.5, have the match, and there everything fits
    assert hota([half]) == pytest.approx((10 / 19, 10 / 19, 10 / 19))
