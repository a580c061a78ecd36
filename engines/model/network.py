"""What every network is to those that load, compile, run and train it."""

from __future__ import annotations

from abc import abstractmethod

from torch import nn

from engines.model.architecture import Architecture
from engines.model.found import Finder
from engines.model.parts import Parts, PartSpec
from engines.model.roi import Limits


class Network(nn.Module):
    """All weights of one network."""

    architecture: Architecture

    @abstractmethod
    def parts(self) -> dict[str, PartSpec]:
        """The parts that a backend compiles, by name; they share this network's weights."""

    @abstractmethod
    def finder(self, parts: Parts, architecture: Architecture, limits: Limits, exact_peaks: bool = True) -> Finder:
        """What finds people with this network's parts, as a backend runs them.

        Args:
            parts: those of `parts`, ready to run.
            architecture: how pictures are scaled, and the network's other limits.
            limits: which people are wanted.
            exact_peaks: False: keypoints may be looked for in less places.
        """
