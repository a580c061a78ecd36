"""Average precision and recall are those of COCO's own program."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from found_people import found, labelled, picture
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

from engines.evaluation.precision import curves, summary
from engines.evaluation.similarity import by_boxes, by_keypoint, by_keypoints, oks_to_truth
from engines.ops import skeleton
from engines.ops.people import People
from engines.train.coco import read_coco
from engines.train.target import Target

Pictures = Sequence[tuple[People, Target]]
SAMPLE = Path(__file__).parents[4] / "shared/coco"
NAMES_OF = {
    "keypoints": ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"],
    "bbox": ["AP", "AP50", "AP75", "APS", "APM", "APL", None, None, "AR", "ARS", "ARM", "ARL"],
}


def coco_truth(pictures: Pictures) -> COCO:
    annotations: list[dict[str, Any]] = []
    for number, (_, target) in enumerate(pictures):
        for person in range(len(target)):
            x1, y1, x2, y2 = target.boxes[person].astype(float).tolist()
            xyv = np.concatenate((target.keypoints[person], target.visibility[person][:, None]), 1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": float(target.areas_px2[person]),
                    "iscrowd": int(target.crowd[person]),
                    "keypoints": xyv.astype(float).ravel().tolist(),
                    "num_keypoints": int(target.labelled[person]),
                }
            )
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": number + 1} for number in range(len(pictures))],
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.COCO.names)}],
        "annotations": annotations,
    }
    truth.createIndex()
    return truth


def coco_found(truth: COCO, pictures: Pictures, kind: str) -> COCO:
    results: list[dict[str, Any]] = []
    for number, (people, _) in enumerate(pictures):
        for person in range(len(people)):
            x1, y1, x2, y2 = people.boxes[person].astype(float).tolist()
            xyv = np.concatenate((people.keypoints[person], np.ones((len(skeleton.COCO.names), 1))), 1).astype(float)
            where = {"keypoints": xyv.ravel().tolist()} if kind == "keypoints" else {"bbox": [x1, y1, x2 - x1, y2 - y1]}
            results.append({"image_id": number + 1, "category_id": 1, "score": float(people.scores[person]), **where})
    return truth.loadRes(results) if results else COCO()


def coco_summary(pictures: Pictures, kind: str) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_truth(pictures)
        evaluation = COCOeval(truth, coco_found(truth, pictures, kind), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = [math.nan if value == -1 else float(value) for value in evaluation.stats]
    return {name: value for name, value in zip(NAMES_OF[kind], stats, strict=True) if name}


def ours(pictures: Pictures, kind: str) -> dict[str, float]:
    if kind == "keypoints":
        return summary([by_keypoints(people, target, skeleton.COCO.sigmas) for people, target in pictures])
    return summary([by_boxes(people, target) for people, target in pictures], ("", "S", "M", "L"))


def assert_like_coco(pictures: Pictures, kind: str) -> None:
    wanted, got = coco_summary(pictures, kind), ours(pictures, kind)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_random_people_are_scored_as_by_coco_s_program(seed: int, kind: str) -> None:
    assert_like_coco([picture(20 * seed + each) for each in range(20)], kind)


@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_crowded_pictures_are_scored_as_by_coco_s_program(kind: str) -> None:
    assert_like_coco([picture(1000 + each, most=60) for each in range(6)], kind)


@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_one_equal_score_for_all_is_scored_as_by_coco_s_program(kind: str) -> None:
    pictures = [picture(2000 + each) for each in range(15)]
    assert_like_coco([(replace(people, scores=np.full_like(people.scores, 0.5)), t) for people, t in pictures], kind)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the labelled pictures are not beside the repository")
@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_labels_of_photographs_are_scored_as_by_coco_s_program(kind: str) -> None:
    rng = np.random.default_rng(0)
    dataset = read_coco(SAMPLE / "person_keypoints.json", SAMPLE / "images", truth_only=True)
    targets = [each.target for each in sorted(dataset.pictures, key=lambda each: each.id)[:400]]
    assert_like_coco([(found(rng, target, int(rng.integers(0, 4))), target) for target in targets], kind)


def test_the_truth_itself_is_perfect() -> None:
    rng = np.random.default_rng(0)
    target = labelled(rng, 8)
    people = People(
        target.boxes,
        np.linspace(1, 0.3, 8),
        target.keypoints,
        np.ones((8, len(skeleton.COCO.names))),
        np.ones((8, len(skeleton.COCO.names))),
    )
    assert ours([(people, target)], "keypoints")["AP"] == pytest.approx(1)
    assert ours([(people, target)], "bbox")["AP"] == pytest.approx(1)


def test_nobody_labelled_has_no_curve_and_nobody_found_has_none_above_zero() -> None:
    people, target = picture(3)
    nobody_found = people.take(np.zeros(0, np.intp))
    assert curves([by_boxes(people, target.take(np.zeros(0, np.intp)))]) is None
    assert ours([(nobody_found, target)], "keypoints")["AR"] == 0


def test_one_keypoint_5_px_off_at_scale_100_has_oks_0_882() -> None:
    target = labelled(np.random.default_rng(0), 1)
    visibility = np.zeros_like(target.visibility)
    visibility[0, 0] = 2
    target = replace(target, visibility=visibility, areas_px2=np.array([1e4], np.float32))
    people = found(np.random.default_rng(1), target, 0)
    assert len(people) == 1
    people = replace(people, keypoints=target.keypoints + np.array([3, 4], np.float32))
    kappa = 0.1  # 2 sigma of our formula: exp(-25 / (2 * 100² * 0.1²))
    assert oks_to_truth(people, target, np.full(len(skeleton.COCO.names), kappa / 2))[0, 0] == pytest.approx(
        math.exp(-0.125)
    )
    assert math.exp(-0.125) == pytest.approx(0.882, abs=5e-4)


def test_one_keypoint_alone_is_scored_as_by_coco_s_program_with_only_it_labelled() -> None:
    pictures = [picture(3000 + each) for each in range(20)]
    at = skeleton.COCO.names.index("left_wrist")
    only = []
    for people, target in pictures:
        visibility = np.zeros_like(target.visibility)
        visibility[:, at] = target.visibility[:, at]
        only.append((people, replace(target, visibility=visibility)))
    of = curves([by_keypoint(people, target, skeleton.COCO.sigmas, at) for people, target in pictures])
    assert of is not None
    assert of.precision.mean() == pytest.approx(coco_summary(only, "keypoints")["AP"], abs=1e-6)


def test_the_sigmas_are_those_of_coco_s_program() -> None:
    assert Params("keypoints").kpt_oks_sigmas == pytest.approx(skeleton.COCO.sigmas)
