"""What was converted does what Detectron2's network does: each difference from torchvision against plain torch."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from detectron2_made import Made, bgr, made
from torch import Tensor
from torch.nn.functional import interpolate, pad

from engines.model.architecture import R50, R50_D2, R101, X101, Architecture, ResNet
from engines.model.backbone import Bottleneck
from engines.model.features import Features
from engines.model.keypoint_rcnn import BoxHeadPart, FeaturesPart, KeypointHeadPart, KeypointRCNN
from engines.model.roi_align import Pyramid, roi_align
from engines.model.rpn import base_anchors, propose
from engines.preprocess import to_input
from engines.weights import state_dict
from engines.weights.detectron2 import converted, differs

ONES, IMAGENET = (1.0, 1.0, 1.0), (57.375, 57.120, 58.395)
PIXELS = {"r50-d2": ONES, "r101": ONES, "x101": IMAGENET}
"""PIXEL_STD of configs/COCO-Keypoints: BGR, of pixels in 0..255."""
BODIES = {
    "r50-d2": ResNet((3, 4, 6, 3), stride_in_1x1=True),
    "r101": ResNet((3, 4, 23, 3), stride_in_1x1=True),
    "x101": ResNet((3, 4, 23, 3), stride_in_1x1=False, groups=32, width_per_group=8),
}
"""DEPTH, STRIDE_IN_1X1, NUM_GROUPS and WIDTH_PER_GROUP there and in detectron2/config/defaults.py."""
D2 = pytest.mark.parametrize("architecture", [R50_D2, R101, X101], ids=lambda architecture: architecture.name)


def small(architecture: Architecture) -> Architecture:
    body = replace(architecture.body, blocks=(1, 2, 1, 1), width=16)
    return replace(architecture, body=body, channels=16, box_features=8, keypoint_features=(8, 8))


def their_small(architecture: Architecture) -> Made:
    return made(small(replace(architecture, body=BODIES[architecture.name])))


def ours(network: Made, architecture: Architecture) -> KeypointRCNN:
    model = KeypointRCNN(architecture)
    model.load_state_dict(converted(network.state_dict()))
    return model.eval().requires_grad_(False)


def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (96, 130, 3), dtype=np.uint8)


@D2
def test_a_frame_gives_the_same_features(architecture: Architecture) -> None:
    few = replace(small(architecture), short_px=96, long_px=130)
    network = their_small(architecture)
    theirs = network.features(pad(bgr(frame(), PIXELS[architecture.name]), (0, 160 - 130)))
    images = to_input([frame()], few, torch.device("cpu")).images
    for mine, wanted in zip(
        Features.of(FeaturesPart(ours(network, few))(images), len(few.anchor_px)), theirs, strict=True
    ):
        for one, other in zip(mine, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


@D2
def test_the_place_of_the_stride_and_the_order_of_colours_are_seen_in_the_features(architecture: Architecture) -> None:
    few = small(architecture)
    network, images = made(few), bgr(frame()[:96, :128], ONES)
    wanted = network.features(images)[0][-1]
    other_body = replace(few, body=replace(few.body, stride_in_1x1=not few.body.stride_in_1x1))
    assert (ours(network, other_body).backbone(images.flip(1))[-1] - wanted).abs().max() > 0.05 * wanted.abs().max()
    assert (ours(network, few).backbone(images)[-1] - wanted).abs().max() > 0.05 * wanted.abs().max()


def test_the_pixels_that_the_network_gets_are_theirs_in_another_order() -> None:
    for architecture in (R50_D2, R101, X101):
        few = replace(architecture, short_px=96, long_px=130)
        mine = to_input([frame()], few, torch.device("cpu")).images[:, :, :, :130]
        wanted = bgr(frame(), PIXELS[architecture.name])
        torch.testing.assert_close(mine.flip(1), wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("body", "sides", "groups"),
    [
        (ResNet((1, 1, 1, 1)), (128, 128), 1),
        (ResNet((1, 1, 1, 1), stride_in_1x1=True), (128, 128), 1),
        (ResNet((1, 1, 1, 1), groups=32, width_per_group=8), (512, 16), 32),
    ],
    ids=["torchvision", "r50 and r101", "x101"],
)
def test_a_bottleneck_has_its_stride_and_groups_where_they_belong(
    body: ResNet, sides: tuple[int, int], groups: int
) -> None:
    torch.manual_seed(0)
    block, x = Bottleneck(256, 512, 2, body), torch.randn(1, 256, 8, 8)
    assert (len(block.conv2.weight), block.conv2.weight.shape[1]) == sides
    first = x[:, :, ::2, ::2] if body.stride_in_1x1 else x
    y = torch.conv2d(first, block.conv1.weight, block.conv1.bias).relu()
    each = zip(*(part.chunk(groups, at) for part, at in ((y, 1), (block.conv2.weight, 0))), strict=True)
    y = torch.cat([torch.conv2d(some, weight, padding=1) for some, weight in each], 1)
    y = (y if body.stride_in_1x1 else y[:, :, ::2, ::2]) + block.conv2.bias[:, None, None]
    y = torch.conv2d(y.relu(), block.conv3.weight, block.conv3.bias)
    y = y + torch.conv2d(x[:, :, ::2, ::2], block.downsample[0].weight, block.downsample[0].bias)
    torch.testing.assert_close(block(x), y.relu(), rtol=1e-4, atol=1e-5)


def test_the_heads_give_the_same_with_the_background_first() -> None:
    network = made(small(R50_D2))
    model = ours(network, small(R50_D2))
    torch.manual_seed(1)
    roi_features = torch.randn(5, 16, 7, 7)
    logits, deltas = BoxHeadPart(model)(roi_features)
    person_background, person_deltas = network.boxes(roi_features)
    assert not torch.allclose(person_background, person_background[:, [1, 0]], atol=1e-2)
    torch.testing.assert_close(logits, person_background[:, [1, 0]])
    torch.testing.assert_close(deltas[:, 4:], person_deltas)
    people = torch.randn(3, 16, 14, 14)
    torch.testing.assert_close(KeypointHeadPart(model)(people)[0], network.keypoints(people))


@D2
def test_all_names_and_shapes_of_a_whole_network_are_known(architecture: Architecture) -> None:
    with torch.device("meta"):
        mine = converted(Made(replace(architecture, body=BODIES[architecture.name])).state_dict())
    wanted = state_dict.shapes(architecture)
    assert {name: x.shape for name, x in mine.items()} == {name: x.shape for name, x in wanted.items()}


@pytest.mark.parametrize("count", [0, 1, 4, 100_000])
def test_pixels_that_are_not_of_three_colours_are_told_by_their_number(count: int) -> None:
    assert differs({"pixel_std": torch.ones(count)}, R50_D2) == f"its pixel_std has {count} numbers, not 3"
    assert differs({"pixel_std": torch.ones(3)}, R50_D2) == ""


@D2
def test_all_else_is_as_in_torchvision_s_network(architecture: Architecture) -> None:
    assert architecture.roi_aligned
    assert architecture.anchors_exact
    same = {"name": "r50", "body": R50.body, "mean": R50.mean, "std": R50.std}
    assert replace(architecture, roi_aligned=False, anchors_exact=False, **same) == R50  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("architecture", "published"),
    [(R50, 25_557_032), (R50_D2, 25_557_032), (R101, 44_549_160), (X101, 88_791_336)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_body_has_the_size_that_its_classifier_is_published_with(architecture: Architecture, published: int) -> None:
    """https://docs.pytorch.org/vision/stable/models.html: resnet50, resnet101, resnext101_32x8d."""
    body = {name: x.numel() for name, x in state_dict.shapes(architecture).items() if "backbone.body" in name}
    biases = sum(count for name, count in body.items() if name.endswith("bias"))
    # Batch norm has two numbers a channel where a folded convolution has its bias; the last layer tells 1000 classes.
    assert sum(body.values()) + biases + 2048 * 1000 + 1000 == published


def test_exact_anchors_keep_fractions_of_a_pixel() -> None:
    wanted = []
    for ratio in (0.5, 1.0, 2.0):  # height to width
        width = math.sqrt(32**2 / ratio)
        wanted.append([-width / 2, -ratio * width / 2, width / 2, ratio * width / 2])
    torch.testing.assert_close(base_anchors([32], exact=True)[0], torch.tensor(wanted))


@pytest.mark.parametrize(("architecture", "step"), [(R50_D2, 64), (R50, 48)], ids=["r50-d2", "r50"])
def test_anchors_of_a_level_halved_from_an_odd_one_lie_64_pixels_apart(architecture: Architecture, step: int) -> None:
    sides = [(24, 24), (12, 12), (6, 6), (3, 3), (2, 2)]  # of 96 x 96 pixels
    objectness = tuple(torch.full((1, 3, h, w), -50.0) for h, w in sides)
    objectness[4][0, 1, 1, 1] = 5.0  # the square anchor of the last cell of the last level
    deltas = tuple(torch.zeros(1, 12, h, w) for h, w in sides)
    deltas[4][0, 6:8] = math.log(1 / 32)  # 16 px instead of 512: else it would fill the picture
    few = replace(architecture, proposals_level=3, proposals=1)
    best = propose(Features((), objectness, deltas), (96, 96), torch.tensor([[96.0, 96.0]]), few, rounds=None)
    assert best.boxes[0, 0].tolist() == pytest.approx([step - 8, step - 8, step + 8, step + 8])


def adaptive(level: Tensor, box: list[float], stride: int, bins: int) -> Tensor:
    """RoIAlign as Detectron2 has it: aligned, ceil(side of a bin) points along each axis of a bin."""
    x1, y1, x2, y2 = (side / stride - 0.5 for side in box)
    _, h, w = level.shape
    places = []
    for start, end, cells in ((y1, y2, h), (x1, x2, w)):
        bin_side = (end - start) / bins
        count = math.ceil(bin_side)
        at = torch.arange(bins)[:, None] + (torch.arange(count) + 0.5) / count
        places.append((start + at * bin_side).clamp(0, cells - 1).flatten())
    y, x = (2 * at / (cells - 1) - 1 for at, cells in zip(places, (h, w), strict=True))
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None]
    points = torch.nn.functional.grid_sample(level[None], grid, align_corners=True)[0]
    return points.unflatten(2, (bins, -1)).unflatten(1, (bins, -1)).mean((2, 4))


@pytest.mark.parametrize(("bins", "box"), [(7, [30.0, 20.0, 142.0, 130.0]), (14, [30.0, 20.0, 230.0, 220.0])])
def test_roi_align_is_detectron2_s_where_a_bin_is_one_to_two_cells_wide(bins: int, box: list[float]) -> None:
    torch.manual_seed(0)
    level = torch.randn(1, 4, 64, 64)
    cut = roi_align(Pyramid.of((level,), 3), torch.tensor([box]), torch.zeros(1, dtype=torch.long), bins, aligned=True)
    torch.testing.assert_close(cut[0], adaptive(level[0], box, 8, bins), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("box", "off_max"),
    [([30.0, 20.0, 230.0, 220.0], 0.08), ([30.0, 20.0, 110.0, 420.0], 0.15), ([8.0, 8.0, 30.0, 48.0], 0.05)],
    ids=["square", "standing", "small"],
)
def test_elsewhere_it_is_off_by_a_small_share_of_what_features_vary(box: list[float], off_max: float) -> None:
    """The share, on features as smooth as noise that was widened 3.2 times."""
    torch.manual_seed(0)
    level = interpolate(torch.randn(1, 16, 20, 20), (64, 64), mode="bicubic")
    cut = roi_align(Pyramid.of((level,), 3), torch.tensor([box]), torch.zeros(1, dtype=torch.long), 7, aligned=True)[0]
    wanted = adaptive(level[0], box, 8, 7)
    off = (cut - wanted).square().mean().sqrt() / wanted.std()
    assert 1e-4 < off < off_max, f"{off:.3f}"
