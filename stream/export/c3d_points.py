"""C3D: a file a person, for Mokka, Vicon and others. All of c3d that is used."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from engines.ops.skeleton import Skeleton
from stream.export.clip import Clip
from stream.export.format import Format
from stream.export.spans import Span, spans
from stream.records import Person

_MISSING = -1.0
"""C3D's residual of a point that was not seen."""


def check(_: Skeleton) -> None:
    """Load c3d.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import c3d  # noqa: F401
    except ImportError:
        raise ConfigError("c3d needs the package c3d: python -m pip install 'posestream[c3d]'") from None


def write(clip: Clip, folder: Path) -> None:
    """Write person_7.c3d and so on, of each frame from a person's first to their last; lost frames are missing points.

    Axes and unit are those of TRC: Y up from the lower edge, Z 0, a pixel as a millimetre. The rate is the clip's
    median one. Whoever is there is in memory.
    """
    of_people, points = spans(clip), dict[int, NDArray[np.float32]]()
    for at, record in enumerate(clip):
        for person in record.people:
            span = of_people[person.id]
            if person.id not in points:
                points[person.id] = _nowhere(span, clip.skeleton.size)
            points[person.id][record.index - span.first_index] = _frame(person, record.height)
            if span.last == at:
                _write(folder / f"person_{person.id}.c3d", points.pop(person.id), clip, span)


def _nowhere(span: Span, keypoints: int) -> NDArray[np.float32]:
    """(T, K, 5): x, y, z, residual, camera; not seen."""
    points = np.zeros((span.last_index - span.first_index + 1, keypoints, 5), np.float32)
    points[..., 3] = _MISSING
    return points


def _frame(person: Person, height: int) -> NDArray[np.float32]:
    frame = np.zeros((len(person.keypoints), 5), np.float32)
    frame[:, :2] = [(x, height - y) for x, y, _ in person.keypoints]
    return frame


def _write(path: Path, points: NDArray[np.float32], clip: Clip, span: Span) -> None:
    import c3d

    writer = c3d.Writer(point_rate=clip.fps, point_units="mm  ")
    writer.set_point_labels(list(clip.skeleton.names))
    writer.set_start_frame(span.first_index + 1)
    no_analog = np.zeros((0, 0), np.float32)
    writer.add_frames([(frame, no_analog) for frame in points])
    with path.open("wb") as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No analog data", UserWarning)
        writer.write(file)


C3D = Format("c3d", "c3d/", write, check)
