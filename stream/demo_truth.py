"""What is true in the demo's clip, and how near a run comes to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engines.evaluation.similarity import iou_to_truth
from engines.evaluation.tracking import NEAR, Frame, identities
from engines.ops.oks import oks
from engines.ops.skeleton import COCO
from engines.train.dataset import Person, person_target
from engines.train.target import Target
from stream.records import Record

TRUTH = "scene.json"


def write_truth(path: Path, targets: Sequence[Target]) -> None:
    """Write the people of each frame: id, box, area in px², keypoints as x, y, visibility; `crowd`: hardly seen."""
    frames = [
        [
            {
                "id": int(target.ids[at]),
                "box": target.boxes[at].round(2).tolist(),
                "area_px2": float(target.areas_px2[at]),
                "crowd": bool(target.crowd[at]),
                "keypoints": np.column_stack((target.keypoints[at], target.visibility[at])).round(2).tolist(),
            }
            for at in range(len(target))
        ]
        for target in targets
    ]
    size_hw = targets[0].size_hw
    path.write_text(json.dumps({"width": size_hw[1], "height": size_hw[0], "frames": frames}))


def told(truth: Path, records: Path) -> str:
    """One line on how near the records of a run come to the truth of its clip."""
    content = json.loads(truth.read_text())
    targets = [_target(people, (content["height"], content["width"])) for people in content["frames"]]
    near: list[float] = []
    frames = []
    for line in records.read_bytes().splitlines():
        record = msgspec.json.decode(line, type=Record)
        target = targets[record.index]
        boxes = np.array([person.box for person in record.people]).reshape(-1, 4)
        overlap = iou_to_truth(boxes, target)
        real = ~target.crowd
        alone = np.asarray((overlap[:, target.crowd] < NEAR).all(1))
        ids = [person.id for person, kept in zip(record.people, alone.tolist(), strict=True) if kept]
        frames.append(Frame(ids, target.ids[real].tolist(), overlap[alone][:, real]))
        near += _oks(record, target)
    kept = identities(frames)
    mean = f"{np.mean(near):.2f}" if near else "-"
    return (
        f"beside the truth: {100 * kept.found:.0f} % of people found, mean OKS {mean}, "
        f"IDF1 {kept.idf1:.2f}, {kept.switches} id switches"
    )


def _oks(record: Record, target: Target) -> list[float]:
    """Of each person who was found the OKS of the track that overlaps most."""
    if not record.people:
        return []
    boxes = np.array([person.box for person in record.people])
    xy = np.array([[point[:2] for point in person.keypoints] for person in record.people])
    target = target.take(~target.crowd & (target.labelled > 0))
    overlap = iou_to_truth(boxes, target)
    seen = (target.visibility > 0).astype(float)
    similarity = oks(target.keypoints.astype(float), xy, target.areas_px2.astype(float), COCO.sigmas, seen)
    whom = np.flatnonzero(overlap.max(0, initial=0) >= NEAR)
    return [float(similarity[person, overlap[:, person].argmax()]) for person in whom]


def _target(people: Sequence[dict[str, Any]], size_hw: tuple[int, int]) -> Target:
    labelled = []
    for person in people:
        xyv = np.array(person["keypoints"], float)
        weights = (xyv[:, 2] > 0).astype(float)
        box = (person["box"][0], person["box"][1], person["box"][2], person["box"][3])
        labelled.append(
            Person(
                id=person["id"], box=box, xyv=xyv, weights=weights, area_px2=person["area_px2"], crowd=person["crowd"]
            )
        )
    return person_target(size_hw, labelled, len(COCO.names))
