"""What the modes cost and cut: `exact` runs a network as it was made, `fast` does less.

How fast and how much alike the two are is measured, not promised: `python benchmarks/agreement.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from configs.schema import EngineSettings
from engines.model.architecture import Architecture
from engines.model.roi import Limits


@dataclass(frozen=True)
class Cuts:
    """What `fast` cuts."""

    short_px: int
    """Short side of what the network sees; the long side's limit shrinks with it."""
    proposals: int
    """Region proposals kept per picture."""
    people_max: int
    """At most so many people a picture, the best..."""
    score_min: float
    """...scored above this."""
    int8: tuple[str, ...] = ()
    """Parts computed in 8 bits, where they were prepared for it: see `engines.quantize`."""


_SCORE_MIN: Final = 0.05  # torchvision's own
_LITE: Final = Cuts(short_px=320, proposals=80, people_max=10, score_min=0.3, int8=("features", "keypoint_head"))
_BOTTOM_UP: Final = Cuts(short_px=256, proposals=0, people_max=50, score_min=0.3)
_LARGE_CPU: Final = Cuts(short_px=320, proposals=100, people_max=20, score_min=0.3, int8=("features", "keypoint_head"))
_LARGE_GPU: Final = Cuts(short_px=480, proposals=300, people_max=30, score_min=0.3)


@dataclass(frozen=True)
class Plan:
    """Input size and limits of an engine."""

    architecture: Architecture
    limits: Limits
    int8: tuple[str, ...]
    """Parts that may be computed in 8 bits."""
    exact: bool
    """False: frames are scaled in whole grey levels, see `preprocess`, and keypoints sought nearby, see `peaks`."""


def plan(settings: EngineSettings, architecture: Architecture, device_type: str) -> Plan:
    """Input size and limits on a "cpu" or a "cuda" device; explicit settings override the mode's presets."""
    exact = settings.mode == "exact"
    own = Cuts(architecture.short_px, architecture.proposals, architecture.people_max, _SCORE_MIN)
    cuts = own if exact else _cuts(architecture, device_type)
    short_px = settings.imgsz or cuts.short_px
    proposals = settings.proposals or cuts.proposals
    # A level can hardly give more than are kept of all levels. On clips `lite` finds the same people so.
    level = architecture.proposals_level if exact else min(architecture.proposals_level, proposals)
    seen = replace(
        architecture,
        short_px=short_px,
        long_px=round(architecture.long_px * short_px / architecture.short_px),
        proposals=proposals,
        proposals_level=level,
        grouping=settings.grouping,
    )
    score_min = cuts.score_min if settings.score_min is None else settings.score_min
    limits = Limits(score_min, settings.people_max or cuts.people_max)
    return Plan(seen, limits, cuts.int8, exact)


def _cuts(architecture: Architecture, device_type: str) -> Cuts:
    if architecture.name == "lite":
        return _LITE
    if architecture.limbs:
        return _BOTTOM_UP
    return _LARGE_CPU if device_type == "cpu" else _LARGE_GPU
