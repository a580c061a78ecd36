"""All formats, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from configs.schema import FormatName
from engines.ops.skeleton import Skeleton
from stream.export.arrays_npz import NPZ
from stream.export.c3d_points import C3D
from stream.export.coco import COCO_ANNOTATIONS, COCO_RESULTS
from stream.export.csv_table import CSV
from stream.export.format import Format
from stream.export.jsonl import JSONL
from stream.export.mmpose import MMPOSE
from stream.export.mot import MOT
from stream.export.openpose import OPENPOSE
from stream.export.parquet import PARQUET
from stream.export.trc import TRC
from stream.export.ultralytics import ULTRALYTICS

FORMATS: Final[dict[FormatName, Format]] = {
    "jsonl": JSONL,
    "csv": CSV,
    "parquet": PARQUET,
    "coco": COCO_RESULTS,
    "coco-annotations": COCO_ANNOTATIONS,
    "openpose": OPENPOSE,
    "mot": MOT,
    "mmpose": MMPOSE,
    "ultralytics": ULTRALYTICS,
    "trc": TRC,
    "c3d": C3D,
    "npz": NPZ,
}


def check_formats(names: Iterable[FormatName], skeleton: Skeleton) -> None:
    """Find out before a run whether its formats can be written.

    Raises:
        ConfigError: one cannot hold the skeleton, or its library is missing.
    """
    for name in names:
        FORMATS[name].check(skeleton)
