"""How well two answers about the same frame agree: who is found by both, and how alike their poses are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.ops.boxes import iou
from engines.ops.oks import oks
from engines.ops.people import People
from engines.ops.skeleton import COCO, Skeleton

F = NDArray[np.floating[Any]]
_IOU_MIN = 0.5


def agreement(ref: People, people: People, kpt_thr: float = 0.0, skeleton: Skeleton = COCO) -> F:
    """Likeness of each reference person and the one found in the same place.

    Best scored first, each reference person takes whoever is still free and overlaps it most, by an IoU of 0.5 at
    least.

    Args:
        ref: R people, best score first.
        people: N people in the same pixels.
        kpt_thr: only keypoints count that the reference is at least so sure of.
        skeleton: of both.

    Returns:
        (R,) OKS in 0..1 over the area of the reference's box; NaN for a person whom nobody was found for, or of whom
        no keypoint counts.
    """
    alike = np.full(len(ref), np.nan)
    if not len(ref) or not len(people):
        return alike
    counts = (ref.confidence >= kpt_thr).astype(np.float32)
    poses = oks(ref.keypoints, people.keypoints, ref.areas_px2, skeleton.sigmas, counts)
    overlaps = iou(ref.boxes, people.boxes)
    for person, mine in enumerate(overlaps):
        other = int(mine.argmax())
        if mine[other] >= _IOU_MIN:
            overlaps[:, other] = -1.0
            alike[person] = poses[person, other] if counts[person].any() else np.nan
    return alike
