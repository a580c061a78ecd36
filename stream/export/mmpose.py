"""mmpose JSON: `instance_info` as its demos and its inferencer write it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from configs.errors import SourceError
from engines.ops.skeleton import COCO, Skeleton
from stream.export.clip import Clip
from stream.export.foreign import Foreign, Pose
from stream.export.format import Format, write_list
from stream.records import Person


class _Instance(Struct):
    keypoints: list[tuple[float, float]]
    keypoint_scores: list[float]
    bbox: list[list[float] | float] = []
    bbox_score: float | None = None
    track_id: int | None = None


class _Frame(Struct):
    frame_id: int
    instances: list[_Instance]


class _File(Struct):
    instance_info: list[_Frame]


def write(clip: Clip, path: Path) -> None:
    """Write `meta_info` and `instance_info`; a frame's id is its index, `track_id` is added."""
    with path.open("wb") as file:
        file.write(b'{"meta_info": ' + msgspec.json.encode(_meta(clip.skeleton)) + b',\n"instance_info": ')
        frames = (
            {"frame_id": record.index, "instances": [_instance(person) for person in record.people]} for record in clip
        )
        write_list(file, frames)
        file.write(b"}\n")


def read(path: Path, foreign: Foreign, skeleton: Skeleton = COCO) -> Clip:
    """The records of such a file, or of the bare list that mmpose's inferencer writes of a video.

    Raises:
        SourceError: it is of another form, or its people have other keypoints.
    """
    try:
        frames = msgspec.json.decode(path.read_bytes(), type=_File | list[_Frame])
    except (msgspec.MsgspecError, OSError) as error:
        raise SourceError(f"{path} is no JSON of mmpose: {error}") from None
    listed = frames.instance_info if isinstance(frames, _File) else frames
    for frame in listed:
        for each in frame.instances:
            if not len(each.keypoints) == len(each.keypoint_scores) == skeleton.size:
                raise SourceError(
                    f"{path}: frame {frame.frame_id} has people of {len(each.keypoints)} keypoints, expected "
                    f"{skeleton.size}; name the skeleton with --skeleton FILE"
                )

    return Clip(str(path), skeleton, lambda: (foreign.record(frame.frame_id, _poses(frame)) for frame in listed))


def _meta(skeleton: Skeleton) -> dict[str, Any]:
    return {
        "dataset_name": "posestream",
        "num_keypoints": skeleton.size,
        "keypoint_id2name": dict(enumerate(skeleton.names)),
        "keypoint_name2id": {name: at for at, name in enumerate(skeleton.names)},
        "skeleton_links": skeleton.limbs,
        "sigmas": skeleton.sigmas.tolist(),
    }


def _instance(person: Person) -> dict[str, Any]:
    return {
        "keypoints": [point[:2] for point in person.keypoints],
        "keypoint_scores": [point[2] for point in person.keypoints],
        "bbox": [person.box],
        "bbox_score": person.score,
        "track_id": person.id,
    }


def _poses(frame: _Frame) -> list[Pose]:
    return list(map(_pose, frame.instances))


def _pose(instance: _Instance) -> Pose:
    points = [(x, y, sure) for (x, y), sure in zip(instance.keypoints, instance.keypoint_scores, strict=True)]
    sides = list(_numbers(instance.bbox))
    box = (sides[0], sides[1], sides[2], sides[3]) if len(sides) >= 4 else None
    number = instance.track_id if instance.track_id and instance.track_id > 0 else None
    return Pose(points, number, instance.bbox_score, box)


def _numbers(nested: list[list[float] | float]) -> Iterator[float]:
    for each in nested:
        if isinstance(each, list):
            yield from each
        else:
            yield each


MMPOSE = Format("mmpose", "mmpose.json", write)
