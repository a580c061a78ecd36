"""What a training begins with does what the given weights did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from configs.errors import EngineError
from configs.train import InitSettings
from engines.model.architecture import ARCHITECTURES, LITE, LITE_NEXT, Architecture
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.train.initial import start, transferred
from engines.weights import state_dict


def network(architecture: Architecture, seed: int, norm: type[nn.Module] = nn.Identity) -> KeypointRCNN:
    torch.manual_seed(seed)
    return KeypointRCNN(architecture, norm).eval().requires_grad_(False)


def seen(network: KeypointRCNN, part: str, x: Tensor) -> tuple[Tensor, ...]:
    found = network.parts()[part].module(x)
    return tuple(found)


@pytest.fixture(scope="module")
def pair() -> tuple[KeypointRCNN, KeypointRCNN]:
    """Networks of lite's shape, and of lite-next's with the first one's weights."""
    old, new = network(LITE, 1), network(LITE_NEXT, 2)
    new.load_state_dict({**new.state_dict(), **transferred(new.state_dict(), old.state_dict())})
    return old, new


def test_a_pyramid_with_a_finer_level_shows_the_coarser_ones_as_before(pair: tuple[KeypointRCNN, KeypointRCNN]) -> None:
    old, new = pair
    images = torch.randn(1, 3, 96, 64)
    before, after = seen(old, "features", images), seen(new, "features", images)
    assert len(after) == len(before) + 1
    for one, other in zip(before, after[1:], strict=True):
        torch.testing.assert_close(one, other)


def test_a_finer_level_begins_as_the_next_one_enlarged(pair: tuple[KeypointRCNN, KeypointRCNN]) -> None:
    _, new = pair
    finest, second = seen(new, "features", torch.randn(1, 3, 96, 64))[:2]
    enlarged = nn.functional.interpolate(second, scale_factor=2.0)
    inner = (finest - enlarged)[..., 2:-2, 2:-2]  # a 3x3 convolution of equal neighbours is nearly the same
    assert inner.abs().mean() < 0.6 * enlarged.abs().mean()


@pytest.mark.parametrize(("part", "cells"), [("box_head", 7), ("keypoint_head", 14)])
def test_heads_do_what_they_did(part: str, cells: int, pair: tuple[KeypointRCNN, KeypointRCNN]) -> None:
    roi_features = torch.randn(3, LITE.channels, cells, cells)
    for before, after in zip(*(seen(each, part, roi_features) for each in pair), strict=True):
        torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


def test_added_channels_learn(pair: tuple[KeypointRCNN, KeypointRCNN]) -> None:
    """All zeros would stay zeros."""
    _, new = pair
    head = new.parts()["keypoint_head"].module.requires_grad_(True)
    try:
        head(torch.randn(2, LITE.channels, 14, 14))[0].square().mean().backward()
        last = new.roi_heads.keypoint_predictor.kps_score_lowres.weight
        assert last.grad is not None
        assert (last.grad[128:].flatten(1).abs().amax(1) > 0).any()
    finally:
        head.requires_grad_(False)


def test_heat_maps_of_other_keypoints_begin_by_chance() -> None:
    old, new = network(LITE, 1), network(replace(LITE, keypoints=21), 2)
    taken = transferred(new.state_dict(), old.state_dict())
    assert set(new.state_dict()) - set(taken) == {
        "roi_heads.keypoint_predictor.kps_score_lowres.weight",
        "roi_heads.keypoint_predictor.kps_score_lowres.bias",
    }


def test_a_classifiers_body_is_found_without_its_prefix(tmp_path: Path) -> None:
    whole = network(ARCHITECTURES["r50"], 1, nn.BatchNorm2d).state_dict()
    body = {
        name.removeprefix("backbone.body."): each for name, each in whole.items() if name.startswith("backbone.body.")
    }
    state_dict.write(tmp_path / "resnet.safetensors", {**body, "fc.weight": torch.zeros(10, 8)}, {})
    settings = InitSettings.model_validate(
        {"model": "r50", "from": str(tmp_path / "resnet.safetensors"), "norm": "frozen"}
    )
    started = start(settings, 17).network.state_dict()
    assert all(
        torch.equal(started[f"backbone.body.{name}"], each) for name, each in body.items() if "num_batches" not in name
    )


def test_the_bundled_weights_are_what_a_training_of_the_next_ones_begins_with() -> None:
    started = start(InitSettings.model_validate({"model": "lite-next", "from": "lite"}), 17)
    assert started.note.startswith("model lite-next: ")
    assert started.note.endswith(" tensors begin as in lite")
    assert len(started.network.state_dict()) == int(started.note.split()[2]) == int(started.note.split()[4])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "r50", "norm": "frozen"}, "init.norm is frozen, which needs weights to begin with: give them by"),
        ({"model": "lite", "norm": "batch", "from": "lite"}, "weights lite hold no batch norm: use --set init.norm=no"),
        ({"model": "lite", "from": "nowhere.pth"}, "no weights file nowhere.pth"),
    ],
)
def test_weights_that_are_of_no_use_are_told(settings: dict[str, str], said: str) -> None:
    with pytest.raises(EngineError, match=said):
        start(InitSettings.model_validate(settings), 17)
