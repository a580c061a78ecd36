"""Where a cell's tags lie in the plane of tags: at the cell itself, moved by what the network says.

So tags of people who stand apart are apart before anything is learned, and the same person gets tags that are merely
moved where the picture is. Source: https://arxiv.org/abs/1906.11109, where each pixel says the way to its object's
middle; here no middle is prescribed.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from numpy.typing import NDArray
from torch import Tensor

DIMENSIONS: Final = 2
"""Of a tag."""
CELLS: Final = 4
"""One unit of a tag."""

Arrays = TypeVar("Arrays", NDArray[Any], Tensor)


def tags_at(maps: Arrays, kind: Arrays, cells: Arrays) -> Arrays:
    """Tags (..., 2) of keypoints, from maps (2K, h, w) that hold x and y of each keypoint.

    Args:
        maps: the network's.
        kind: (...) which keypoint.
        cells: (..., 2) where: x, y.
    """
    ways: Arrays = maps.reshape(-1, DIMENSIONS, *maps.shape[1:])[kind, :, cells[..., 1], cells[..., 0]]
    return ways + cells / CELLS
