"""What inductor compiles gives what eager gives, and is compiled before the first picture."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from configs.errors import EngineError
from engines.backends import eager, inductor
from engines.model.architecture import R50, ResNet
from engines.model.keypoint_rcnn import KeypointRCNN

CPU = torch.device("cpu")
TINY = replace(R50, body=ResNet((1, 1, 1, 1), width=8), channels=8, box_features=4, keypoint_features=(4,))


@pytest.fixture
def network() -> KeypointRCNN:
    torch.manual_seed(0)
    return KeypointRCNN(TINY).eval().requires_grad_(False)


@pytest.mark.skipif(
    os.environ.get("POSESTREAM_SLOW") != "1",
    reason="compiles for half a minute: set POSESTREAM_SLOW=1",
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about itself
@torch.inference_mode()
def test_compiled_parts_give_what_eager_gives_and_are_compiled_before_the_first_picture(network: KeypointRCNN) -> None:
    from torch._dynamo.utils import counters

    parts, reference = inductor.build(network, CPU, (320, 576)), eager.build(network, CPU)
    compiled = counters["stats"]["unique_graphs"]
    for hw in ((320, 576), (320, 640), (576, 320)):
        for name, part in network.parts().items():
            for count in (1, 2, 5):
                rows = torch.randn(count, *part.row_of(hw))
                for got, wanted in zip(parts.run[name](rows), reference.run[name](rows), strict=True):
                    assert got.shape == wanted.shape
                    assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    assert counters["stats"]["unique_graphs"] == compiled > 0


def test_a_cpu_needs_a_compiler_and_is_told_so(network: KeypointRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EngineError, match="needs a C\\+\\+ compiler and there is no no-such-compiler: install one"):
        inductor.build(network, CPU, (64, 96))
