"""Where no model is named: the one that the weights are for, or the best that can be had; a line says which and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from configs.errors import EngineError
from engines.weights.auto_model import auto_model
from engines.weights.zoo import ASSETS

LITE = str(ASSETS / "lite.safetensors")


@pytest.fixture(autouse=True)
def _no_weights_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("POSESTREAM_OFFLINE", "1")


def test_a_cpu_gets_what_is_bundled() -> None:
    name, _, notes = auto_model("auto", "cpu")
    assert (name, notes) == ("lite", ["model lite: bundled, and small enough for a CPU"])


def test_a_gpu_gets_what_is_bundled_where_the_better_one_cannot_be_had_and_is_told_where_to_put_it() -> None:
    name, network, (warning, choice) = auto_model("auto", "cuda")
    assert name == "lite"
    assert network.rpn.head.cls_logits.in_channels == 64
    assert warning.startswith("warning: weights coco_v1 cannot be downloaded from https://")
    assert choice == "model lite: bundled, for want of the better one"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(("weights", "model"), [("coco_v1", "r50"), ("d2_x101_3x", "x101")])
def test_published_weights_that_cannot_be_had_are_not_replaced(device: str, weights: str, model: str) -> None:
    with pytest.raises(EngineError, match=f"^weights {weights} cannot be downloaded from https://"):
        auto_model(weights, device)


@pytest.mark.parametrize(("device", "why"), [("cpu", "it fits"), ("cuda", "the weights are for it")])
def test_a_file_decides_for_itself(device: str, why: str) -> None:
    name, _, notes = auto_model(LITE, device)
    assert (name, notes) == ("lite", [f"model lite: {why}"])


@pytest.mark.parametrize(("device", "model"), [("cpu", "lite"), ("cuda", "r50")])
def test_a_file_for_no_model_is_refused_as_the_likeliest_model_refuses_it(
    tmp_path: Path, device: str, model: str
) -> None:
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(EngineError, match=rf"other\.safetensors does not fit model {model}: "):
        auto_model(f"{tmp_path}/other.safetensors", device)
