from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engines.backends import eager
from engines.model.architecture import LITE
from engines.model.inference import ProposalFinder
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.roi import Limits

SIZES = torch.tensor([[64.0, 90.0], [60.0, 96.0]])
EVERYBODY = Limits(score_min=0.0, people_max=10)


@pytest.fixture(scope="module")
def finder() -> ProposalFinder:
    torch.manual_seed(0)
    network = KeypointRCNN(LITE).eval().requires_grad_(False)
    return ProposalFinder(eager.build(network, torch.device("cpu")), LITE, EVERYBODY)


def test_people_are_looked_for_again_where_the_rounds_of_suppression_were_not_enough(finder: ProposalFinder) -> None:
    judged = []

    def box_head(roi_features: Tensor) -> Sequence[Tensor]:
        judged.append(len(roi_features))
        return finder.parts.run["box_head"](roi_features)

    images = torch.randn(2, 3, 64, 96)
    wanted = finder.find(images, SIZES)
    found = replace(finder, parts=replace(finder.parts, run={**finder.parts.run, "box_head": box_head}), rounds=1).find(
        images, SIZES
    )
    assert len(judged) == 2
    assert len(wanted.scores) == 20
    assert torch.equal(found.boxes, wanted.boxes)
    assert torch.equal(found.keypoints, wanted.keypoints)


def test_a_network_finds_as_many_keypoints_as_its_architecture_has() -> None:
    few = replace(LITE, keypoints=5)
    torch.manual_seed(0)
    network = KeypointRCNN(few).eval().requires_grad_(False)
    finder = network.finder(eager.build(network, torch.device("cpu")), few, EVERYBODY)
    found = finder.find(torch.randn(2, 3, 64, 96), SIZES)
    assert found.keypoints.shape == (20, 5, 2)
    nobody = replace(finder, limits=Limits(score_min=1.0, people_max=10)).find(torch.randn(2, 3, 64, 96), SIZES)
    assert (nobody.keypoints.shape, nobody.logits.shape) == ((0, 5, 2), (0, 5))
