"""The skeleton that a settings file names."""

from __future__ import annotations

from pydantic import BaseModel

from configs.load import load_as
from configs.skeleton import SkeletonSettings
from engines.ops.skeleton import Skeleton


class _File(BaseModel):
    """Of a settings file the one part that is needed here; whatever else is in it may stay."""

    skeleton: SkeletonSettings


def read_skeleton(path: str) -> Skeleton:
    """The skeleton of a file's part `skeleton:`.

    Raises:
        ConfigError: there is none, or it does not fit together.
    """
    return Skeleton(load_as(_File, path).skeleton)
