"""What a picture teaches: whole ones people and keypoints, collages keypoints alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engines.train.batches import collated
from engines.train.network import LossSettings, TrainedKeypointRCNN
from engines.weights.load import load_model
from tests.engines.train.made_people import people, spots

DETECTION = ("objectness", "anchors", "person", "boxes")


@pytest.fixture(scope="module")
def network() -> TrainedKeypointRCNN:
    return TrainedKeypointRCNN(load_model("lite").requires_grad_(), LossSettings(jitter=0), 0)


def losses(network: TrainedKeypointRCNN, seeds: str) -> dict[str, Tensor]:
    """Of made pictures, a letter each; a capital one is said to be a collage."""
    samples = [spots(people(ord(each.lower()), size_hw=(128, 192))) for each in seeds]
    batch = collated(
        [
            each._replace(target=replace(each.target, collage=name.isupper()))
            for each, name in zip(samples, seeds, strict=True)
        ]
    )
    network.at_batch(1)
    return network.losses(batch.images, batch.targets)


def test_a_collage_teaches_keypoints_and_no_boxes(network: TrainedKeypointRCNN) -> None:
    alone, beside, both = losses(network, "a"), losses(network, "aB"), losses(network, "ab")
    for task in DETECTION:
        torch.testing.assert_close(beside[task], alone[task], rtol=1e-4, atol=1e-5)
        assert (both[task] - alone[task]).abs() > 1e-3
    torch.testing.assert_close(beside["keypoints"], both["keypoints"], rtol=1e-4, atol=1e-5)


def test_collages_alone_leave_the_detection_parts_as_they_are(network: TrainedKeypointRCNN) -> None:
    network.zero_grad()
    found = losses(network, "AB")
    assert [float(found[task].detach()) for task in DETECTION] == [0, 0, 0, 0]
    sum(found.values()).backward()  # type: ignore[union-attr]
    learned = {name for name, weight in network.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert not [name for name in learned if ".rpn." in name or ".box_" in name]
    assert any("keypoint" in name for name in learned)
    assert any("body" in name for name in learned)
