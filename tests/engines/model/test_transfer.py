"""The glue asks the device nothing between its reads: it runs where there is nobody to be asked.

A tensor on the device "meta" has a shape and no values, so whatever would read one, or mix devices, raises.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engines.model.architecture import LITE, R50, Architecture
from engines.model.features import Features
from engines.model.heatmap import _seen
from engines.model.roi import Limits, detect
from engines.model.roi_align import Pyramid, roi_align
from engines.model.rpn import propose
from engines.model.transfer import to_device, to_host

META = torch.device("meta")
BATCH, IMAGE_HW = 2, (96, 160)


def said(architecture: Architecture, dtype: torch.dtype) -> Features:
    sides = [
        (IMAGE_HW[0] >> level, IMAGE_HW[1] >> level)
        for level in range(architecture.level_first, architecture.level_first + len(architecture.anchor_px) - 1)
    ]
    levels, objectness, deltas = (
        tuple(torch.zeros(BATCH, channels, *hw, device=META, dtype=dtype) for hw in some)
        for channels, some in (
            (architecture.channels, sides),
            (3, [*sides, (sides[-1][0] // 2 + 1, sides[-1][1] // 2)]),
            (12, [*sides, (sides[-1][0] // 2 + 1, sides[-1][1] // 2)]),
        )
    )
    return Features(levels, objectness, deltas)


@pytest.mark.parametrize("architecture", [LITE, replace(R50, proposals_level=50)], ids=["lite", "r50"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_people_are_found_without_asking_the_device(architecture: Architecture, dtype: torch.dtype) -> None:
    seen = said(architecture, dtype)
    sizes = to_device(torch.tensor([[90.0, 130.0], [70.0, 160.0]]), META)
    proposals = propose(seen, IMAGE_HW, sizes, architecture, rounds=32)
    boxes = proposals.boxes.flatten(0, 1)
    image = torch.zeros(len(boxes), dtype=torch.long, device=META)
    cut = roi_align(Pyramid.of(seen.levels, architecture.level_first), boxes, image, 7)
    assert (cut.shape, cut.dtype) == ((len(boxes), architecture.channels, 7, 7), dtype)
    judged = (torch.zeros(len(boxes), 2, device=META), torch.zeros(len(boxes), 8, device=META))
    people = detect(*judged, proposals, sizes, Limits(0.05, 10), rounds=32)
    assert (people.boxes.shape, people.boxes.device) == ((BATCH, 10, 4), META)


def test_keypoints_are_looked_for_without_asking_the_device() -> None:
    boxes = torch.tensor([[0.0, 0.0, 700.0, 900.0], [3.0, 4.0, 3.5, 30.0], [10.0, 10.0, 60.0, 200.0]])
    found = _seen(torch.zeros(3, 17, 56, 56, device=META), boxes)
    assert (found.shape, found.device) == ((3, 17, 5), META)


@pytest.mark.parametrize(
    "ask",
    [lambda x: x[x > 0], lambda x: bool(x.sum()), lambda x: x.nonzero(), to_host],
    ids="mask if nonzero read".split(),
)
def test_whatever_asks_the_device_would_have_been_noticed(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(RuntimeError):
        ask(torch.zeros(3, device=META))


def test_on_a_cpu_nothing_is_copied() -> None:
    here: Tensor = torch.arange(3)
    assert to_device(here, torch.device("cpu")) is here
    assert to_host(here) is here
