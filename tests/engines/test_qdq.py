"""Rounded parts: the operator is modelopt's, and where that is not installed its formula stands in for it here."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread
from torch import Tensor, nn
from torch.nn.functional import interpolate

from configs.errors import EngineError
from engines.backends.exported import PARTS, ROWS, graph, row_shape
from engines.backends.qdq import in_8_bits
from engines.model.keypoint_rcnn import KeypointHeadPart, KeypointRCNN
from engines.weights import load_model


@pytest.fixture(scope="module")
def lite() -> KeypointRCNN:
    return load_model("lite")


@pytest.fixture(autouse=True)
def _operator() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.library._scoped_library("tensorrt", "FRAGMENT") as library:
        library.define(
            "quantize_op(Tensor x, Tensor amax, int bits, int exponent, bool unsigned, bool narrow) -> Tensor"
        )
        library.impl("quantize_op", rounded, "CompositeExplicitAutograd")
        yield


def rounded(x: Tensor, amax: Tensor, bits: int, exponent: int, unsigned: bool, narrow: bool) -> Tensor:
    assert (bits, exponent, unsigned, narrow) == (8, 0, False, False)
    step = (amax / 127).clamp(min=1e-12)
    return (x / step).round().clamp(-128, 127) * step


def portraits(height: int, width: int) -> Tensor:
    """(2, 3, height, width) a photograph, and mirrored: in noise the network sees nothing, so all is rounding."""
    photograph = torch.tensor(imread(get_sample_data("grace_hopper.jpg", asfileobj=False))).permute(2, 0, 1)[None]
    scaled = interpolate(photograph / 127.5 - 1, (height, width), mode="bilinear", antialias=True)
    return torch.cat((scaled, scaled.flip(3)))


@pytest.mark.parametrize("name", list(ROWS))
def test_a_rounded_part_gives_nearly_what_its_part_gives_and_leaves_it_alone(lite: KeypointRCNN, name: str) -> None:
    part = PARTS[name](lite).eval()
    before = copy.deepcopy(part.state_dict())
    row = row_shape(lite, name, (128, 192))
    x = portraits(128, 192) if name == "features" else torch.rand(2, *row) * 2 - 1
    found = graph(in_8_bits(part, [x]), row, ROWS[name].max, torch.float32).module()(x)
    wanted = graph(part, row, ROWS[name].max, torch.float32).module()(x)
    for mine, other in zip(found, wanted, strict=True):
        off = (mine - other).square().mean().sqrt() / other.std()
        assert 1e-4 < off < 0.3
    assert all(torch.equal(values, before[key]) for key, values in part.state_dict().items())


def test_a_layer_computes_with_rounded_inputs_and_rounded_weights() -> None:
    layer = nn.Sequential(nn.Linear(5, 40))
    x = torch.randn(3, 5)
    weights = layer[0].weight
    step = weights.abs().amax(1, keepdim=True) / 127
    x_step = x.abs().max() / 127
    wanted = ((x / x_step).round() * x_step) @ ((weights / step).round() * step).T + layer[0].bias
    torch.testing.assert_close(in_8_bits(layer, [x])(x), wanted)
    beyond = in_8_bits(layer, [x])(100 * x)  # what is larger than anything that was seen is cut
    assert (beyond - layer[0].bias).abs().max() <= x.abs().max() * weights.abs().sum(1).max() * 1.05


def test_predictions_are_not_rounded(lite: KeypointRCNN) -> None:
    part = in_8_bits(PARTS["box_head"](lite).eval(), [torch.rand(4, *row_shape(lite, "box_head", (0, 0)))])
    assert type(part.get_submodule("predictor.cls_score")) is nn.Linear
    assert type(part.get_submodule("head.fc6")) is not nn.Linear


def test_nothing_seen_is_refused(lite: KeypointRCNN) -> None:
    with pytest.raises(EngineError, match="given nothing to look at"):
        in_8_bits(KeypointHeadPart(lite), [])


@pytest.mark.skipif(importlib.util.find_spec("modelopt") is not None, reason="modelopt is installed")
def test_without_modelopt_the_error_says_what_to_install() -> None:
    code = "from torch import nn; from engines.backends.qdq import in_8_bits; in_8_bits(nn.Linear(2, 20), [])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "pip install nvidia-modelopt" in done.stderr
