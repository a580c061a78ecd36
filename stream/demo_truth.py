"""What is true in the demo's clip, and how near a run comes to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from engines.ops.skeleton import COCO
from engines.train.target import Target
from stream.evaluate import evaluate
from stream.export.clip import open_run
from stream.truth import SCENE, Scene, ScenePerson, read_truth

TRUTH = SCENE


def write_truth(path: Path, targets: Sequence[Target]) -> None:
    """Write the people of each frame."""
    height, width = targets[0].size_hw
    scene = Scene(width, height, [[_person(target, at) for at in range(len(target))] for target in targets])
    path.write_bytes(msgspec.json.encode(scene))


def told(truth: Path, records: Path) -> str:
    """One line on how near the records of a run come to the truth of its clip."""
    scores = evaluate(open_run(records, COCO), read_truth(truth, COCO))
    mean = "-" if np.isnan(scores.oks) else f"{scores.oks:.2f}"
    return (
        f"beside the truth: {100 * scores.found:.0f} % of people found, mean OKS {mean}, "
        f"IDF1 {scores.idf1:.2f}, {scores.switches} id switches"
    )


def _person(target: Target, at: int) -> ScenePerson:
    box = target.boxes[at].round(2).tolist()
    return ScenePerson(
        id=int(target.ids[at]),
        box=(box[0], box[1], box[2], box[3]),
        area_px2=float(target.areas_px2[at]),
        crowd=bool(target.crowd[at]),
        keypoints=np.column_stack((target.keypoints[at], target.visibility[at])).round(2).tolist(),
    )
