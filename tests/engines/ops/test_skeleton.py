"""A skeleton is a value: COCO's is COCO's, and another one is used by all that follows the network."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pydantic import ValidationError

from configs.skeleton import SkeletonSettings
from engines.ops.skeleton import COCO, Skeleton

HAND = {
    "names": ("wrist", "left_tip", "right_tip"),
    "limbs": (("wrist", "left_tip"), ("wrist", "right_tip")),
    "mirror": (("left_tip", "right_tip"),),
    "sigmas": (0.05, 0.1, 0.1),
}


def test_coco_s_skeleton_is_that_of_its_annotations() -> None:
    # categories[0].skeleton of person_keypoints_val2017.json, which counts from 1.
    limbs = [16, 14, 14, 12, 17, 15, 15, 13, 12, 13, 6, 12, 7, 13, 6, 7, 6, 8, 7, 9, 8, 10, 9, 11, 2, 3, 1, 2, 1, 3]
    limbs += [2, 4, 3, 5, 4, 6, 5, 7]
    assert (np.array(COCO.limbs).flatten() + 1).tolist() == limbs
    # pycocotools.cocoeval.Params
    sigmas = [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
    assert COCO.sigmas == pytest.approx(np.array(sigmas) / 10)


def test_a_mirror_exchanges_left_and_right_and_nothing_else() -> None:
    for name, at in zip(COCO.names, COCO.mirror, strict=True):
        other = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert COCO.names[at] == other


def test_indices_follow_the_names() -> None:
    hand = Skeleton(SkeletonSettings(**HAND))
    assert (hand.size, hand.limbs, hand.mirror) == (3, ((0, 1), (0, 2)), (0, 2, 1))
    assert hand.index("right_tip") == 2
    with pytest.raises(ValueError, match=r"^no keypoint nose: there are wrist, left_tip, right_tip$"):
        hand.index("nose")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"names": ("wrist", "left_tip", "wrist")}, "names has wrist twice; each keypoint needs a name of its own"),
        ({"sigmas": (0.05, 0.1)}, "sigmas has 2 numbers for 3 names; one each is needed"),
        ({"sigmas": (0.05, 0.0, 0.1)}, "greater than 0"),
        ({"limbs": (("wrist", "nose"),)}, "limbs names nose, which is not in names"),
        ({"mirror": (("left_tip", "nose"),)}, "mirror names nose, which is not in names"),
        ({"mirror": (("left_tip", "wrist"), ("right_tip", "wrist"))}, "mirror has wrist twice"),
        ({"names": (), "sigmas": ()}, "at least 1 item"),
    ],
)
def test_a_skeleton_that_does_not_fit_together_is_refused(changed: dict[str, tuple[object, ...]], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        SkeletonSettings(**{**HAND, **changed})
