"""Records for roboflow's `supervision`: its annotators then draw them. All of supervision that is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from configs.errors import ConfigError
from stream.records import Record

if TYPE_CHECKING:
    import supervision


def key_points(record: Record) -> supervision.KeyPoints:
    """People of a frame as `supervision.KeyPoints`, class 0, ids in `data["tracker_id"]`; empty without people.

    Raises:
        ConfigError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError:
        raise ConfigError("key_points needs supervision: python -m pip install supervision") from None
    people = record.people
    if not people:
        return supervision.KeyPoints.empty()
    xyc = np.array([person.keypoints for person in people], np.float32)  # (N, K, 3)
    return supervision.KeyPoints(
        xy=xyc[..., :2],
        class_id=np.zeros(len(people), int),
        keypoint_confidence=xyc[..., 2],
        detection_confidence=np.array([person.score for person in people], np.float32),
        data={"tracker_id": np.array([person.id for person in people])},
    )
