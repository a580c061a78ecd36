"""The keypoints of a person, as indices and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.skeleton import SkeletonSettings

F = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Skeleton:
    """K keypoints, in the order of the network's heat maps; left and right are the person's own."""

    settings: SkeletonSettings

    @property
    def size(self) -> int:
        """K, the number of keypoints."""
        return len(self.settings.names)

    @property
    def names(self) -> tuple[str, ...]:
        """K names, each different."""
        return self.settings.names

    @cached_property
    def limbs(self) -> tuple[tuple[int, int], ...]:
        """Index pairs of the keypoints that a line joins."""
        return tuple((self.index(one), self.index(other)) for one, other in self.settings.limbs)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """K indices: the keypoint that takes each one's place when a picture is mirrored."""
        places = list(range(self.size))
        for left, right in self.settings.mirror:
            places[self.index(left)], places[self.index(right)] = self.index(right), self.index(left)
        return tuple(places)

    @cached_property
    def sigmas(self) -> F:
        """(K,) OKS falloff of each keypoint, unitless; read-only."""
        sigmas = np.array(self.settings.sigmas)
        sigmas.setflags(write=False)
        return sigmas

    def index(self, name: str) -> int:
        """Index of a keypoint.

        Raises:
            ValueError: there is no keypoint of that name.
        """
        if name not in self.names:
            raise ValueError(f"no keypoint {name}: there are {', '.join(self.names)}")
        return self.names.index(name)


COCO: Final = Skeleton(SkeletonSettings())
"""COCO's 17 keypoints."""
