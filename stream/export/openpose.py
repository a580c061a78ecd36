"""OpenPose JSON: a file a frame, people of BODY_25, as OpenPose's doc/02_output.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from configs.errors import ConfigError, SourceError
from engines.ops.skeleton import COCO, Skeleton
from stream.export.clip import Clip
from stream.export.foreign import Foreign, Pose
from stream.export.format import Format
from stream.records import Person

BODY_25: Final = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip
"""OpenPose's default model, in its order."""
COCO_18: Final = (*BODY_25[:8], *BODY_25[9:19])
"""Its older model: BODY_25 without the middle of the hips and the feet."""
_MIDDLES: Final = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
_READABLE: Final = {3 * len(names): names for names in (BODY_25, COCO_18, COCO.names)}

Point = tuple[float, float, float]


class _Pose(Struct):
    person_id: list[int] = []
    pose_keypoints_2d: list[float] = []


class _File(Struct):
    people: list[_Pose]


def check(skeleton: Skeleton) -> None:
    """Compare with BODY_25.

    Raises:
        ConfigError: the skeleton has a keypoint that BODY_25 lacks.
    """
    strange = [name for name in skeleton.names if name not in BODY_25]
    if strange:
        raise ConfigError(f"openpose holds the keypoints of BODY_25, not {strange[0]}; choose another format")


def write(clip: Clip, folder: Path) -> None:
    """Write SOURCE_000000000042_keypoints.json for frame 42, and so on."""
    for record in clip:
        people = [_person(person, clip.skeleton) for person in record.people]
        content = msgspec.json.encode({"version": 1.3, "people": people})
        (folder / f"{record.source}_{record.index:012d}_keypoints.json").write_bytes(content)


def read(folder: Path, foreign: Foreign) -> Clip:
    """The records of a folder of such files, of BODY_25, OpenPose's COCO model or COCO's own 17 keypoints.

    Neck, middle of the hips and feet are left out; who has no person_id is numbered within the frame.

    Raises:
        SourceError: there are none; while reading: one is of another form.
    """
    paths = sorted(folder.glob("*_keypoints.json"))
    if not paths:
        raise SourceError(f"{folder} holds no *_keypoints.json; name the folder that OpenPose wrote")
    return Clip(str(folder), COCO, lambda: (foreign.record(_index(path), list(_poses(path))) for path in paths))


def _person(person: Person, skeleton: Skeleton) -> dict[str, object]:
    points = dict(zip(skeleton.names, person.keypoints, strict=True))
    for name, (one, other) in _MIDDLES.items():
        if name not in points and one in points and other in points:
            points[name] = _middle(points[one], points[other])
    flat = [value for name in BODY_25 for value in points.get(name, (0.0, 0.0, 0.0))]
    others = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d")
    return {"person_id": [person.id], "pose_keypoints_2d": flat} | {name: [] for name in others}


def _middle(one: Point, other: Point) -> Point:
    """As sure as the less sure of both."""
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2, min(one[2], other[2])


def _index(path: Path) -> int:
    number = re.search(r"(\d+)_keypoints\.json$", path.name)
    if number is None:
        raise SourceError(f"{path} has no frame's number before _keypoints.json")
    return int(number[1])


def _poses(path: Path) -> Iterator[Pose]:
    try:
        people = msgspec.json.decode(path.read_bytes(), type=_File).people
    except (msgspec.MsgspecError, OSError) as error:
        raise SourceError(f"{path} is no OpenPose JSON: {error}") from None
    for person in people:
        names = _READABLE.get(len(person.pose_keypoints_2d))
        if names is None:
            raise SourceError(
                f"{path} has people of {len(person.pose_keypoints_2d) // 3} keypoints; BODY_25, OpenPose's COCO with "
                "18 and COCO's 17 can be read"
            )
        number = person.person_id[0] if person.person_id else -1
        yield Pose(_named(person.pose_keypoints_2d, names), number=number if number > 0 else None)


def _named(flat: Sequence[float], names: Sequence[str]) -> list[Point]:
    points = {name: (flat[3 * at], flat[3 * at + 1], flat[3 * at + 2]) for at, name in enumerate(names)}
    return [points[name] for name in COCO.names]


OPENPOSE = Format("openpose", "openpose/", write, check)
