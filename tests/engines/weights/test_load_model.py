from __future__ import annotations

import argparse
import hashlib
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from configs.errors import EngineError
from engines.weights import load, zoo
from engines.weights.folding import fold_batch_norm
from engines.weights.load import load_model
from engines.weights.zoo import ASSETS

LITE_FILE = ASSETS / "lite.safetensors"


def saved(path: Path, state: dict[str, Tensor]) -> str:
    save_file(state, path)
    return str(path)


def test_the_bundled_weights_are_those_on_their_card() -> None:
    assert hashlib.sha256(LITE_FILE.read_bytes()).hexdigest() in (ASSETS / "lite.md").read_text()


def test_half_precision_weights_are_computed_in_full() -> None:
    assert {tensor.dtype for tensor in load_file(LITE_FILE).values()} == {torch.float16}
    assert {tensor.dtype for tensor in load_model("lite").state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torch_file_gives_the_same_network(tmp_path: Path, wrapped: bool) -> None:
    state = load_file(LITE_FILE)
    args = argparse.Namespace(model="keypointrcnn_resnet50_fpn", lr=0.02, aspect_ratio_group_factor=3, distributed=True)
    torch.save({"model": state, "epoch": 3, "args": args} if wrapped else state, tmp_path / "lite.pth")
    ours, theirs = load_model("lite").state_dict(), load_model("lite", str(tmp_path / "lite.pth")).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_names_of_older_torchvision_are_understood(tmp_path: Path) -> None:
    older = {}
    for name, tensor in load_file(LITE_FILE).items():
        name = re.sub(r"(inner|layer)_blocks\.(\d)\.0\.", r"\1_blocks.\2.", name)
        older[name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")] = tensor
    assert "backbone.fpn.inner_blocks.0.weight" in older
    network = load_model("lite", saved(tmp_path / "older.safetensors", older))
    assert torch.equal(network.rpn.head.conv[0][0].weight, load_model("lite").rpn.head.conv[0][0].weight)


def test_folded_batch_norm_gives_the_same_numbers() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6, eps=0.1).eval()
    state = {"layer1.0.conv2.weight": torch.randn(6, 4, 3, 3), "layer1.0.bn2.num_batches_tracked": torch.tensor(1)}
    for part in ("weight", "bias", "running_mean", "running_var"):
        state[f"layer1.0.bn2.{part}"] = torch.rand(6) + 0.1
        getattr(norm, part).data = state[f"layer1.0.bn2.{part}"]
    x = torch.randn(2, 4, 9, 9)
    folded = fold_batch_norm(state, eps=0.1)
    one = torch.conv2d(x, folded["layer1.0.conv2.weight"], folded["layer1.0.conv2.bias"])
    torch.testing.assert_close(one, norm(torch.conv2d(x, state["layer1.0.conv2.weight"])))


def test_the_norm_of_a_shortcut_is_folded_into_the_shortcut() -> None:
    norm = {
        f"layer1.0.downsample.1.{part}": torch.ones(5) for part in ("weight", "bias", "running_mean", "running_var")
    }
    folded = fold_batch_norm({"layer1.0.downsample.0.weight": torch.ones(5, 2, 1, 1), **norm}, eps=0.0)
    assert sorted(folded) == ["layer1.0.downsample.0.bias", "layer1.0.downsample.0.weight"]


def test_a_batch_norm_that_is_alone_is_named(tmp_path: Path) -> None:
    odd = load_file(LITE_FILE) | {"backbone.body.bn1.running_var": torch.ones(64)}
    wanted = r"odd.safetensors does not fit model lite: it has no backbone\.body\.bn1\.weight$"
    with pytest.raises(EngineError, match=wanted):
        load_model("lite", saved(tmp_path / "odd.safetensors", odd))


def test_to_the_variances_of_coco_v1_nothing_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are as small as what is added to those of all other files."""
    state = load_file(LITE_FILE)
    del state["rpn.head.conv.0.0.bias"]
    for part, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 3e-5}.items():
        state[f"rpn.head.conv.0.1.{part}"] = torch.full((64,), value)
    path = saved(tmp_path / "norm.safetensors", state)
    bare = state["rpn.head.conv.0.0.weight"].float()
    torch.testing.assert_close(load_model("lite", path).rpn.head.conv[0][0].weight, bare / (3e-5 + 1e-5) ** 0.5)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    monkeypatch.setitem(load._EPS_OF_FILE, digest, load._EPS_OF_FILE[zoo.COCO_V1.digest])
    torch.testing.assert_close(load_model("lite", path).rpn.head.conv[0][0].weight, bare / 3e-5**0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_went_astray_are_counted_and_the_first_is_named(value: float, tmp_path: Path) -> None:
    state = load_file(LITE_FILE)
    names = ["backbone.fpn.layer_blocks.1.0.weight", "rpn.head.cls_logits.bias"]
    for name in names:
        state[name].flatten()[-1] = value
    wanted = rf"odd.safetensors has NaN or infinity in 2 tensors, first in {names[0]}: take a checkpoint from before"
    with pytest.raises(EngineError, match=wanted):
        load_model("lite", saved(tmp_path / "odd.safetensors", state))


def test_weights_that_are_large_and_finite_are_loaded(tmp_path: Path) -> None:
    state = load_file(LITE_FILE) | {"roi_heads.box_head.fc7.bias": torch.full((256,), 3e38)}  # their sum is not finite
    network = load_model("lite", saved(tmp_path / "large.safetensors", state))
    assert network.roi_heads.box_head.fc7.bias.max() == torch.tensor(3e38)


@pytest.mark.parametrize(("name", "value"), [("running_var", -1.0), ("weight", 1e300)])
def test_numbers_that_are_finite_only_in_the_file_are_found(name: str, value: float, tmp_path: Path) -> None:
    state = load_file(LITE_FILE)
    del state["rpn.head.conv.0.0.bias"]
    for part in ("weight", "bias", "running_mean", "running_var"):
        state[f"rpn.head.conv.0.1.{part}"] = torch.full((64,), value if part == name else 1.0, dtype=torch.float64)
    with pytest.raises(EngineError, match=r"has NaN or infinity in 2 tensors, first in rpn\.head\.conv\.0\.0\.weight"):
        load_model("lite", saved(tmp_path / "odd.safetensors", state))


def test_weights_of_another_network_are_told_by_their_names(tmp_path: Path) -> None:
    state = load_file(LITE_FILE)
    del state["backbone.fpn.inner_blocks.1.0.bias"]
    state["backbone.extra"] = torch.zeros(1)
    state["roi_heads.box_head.fc7.bias"] = torch.zeros(9)
    path = saved(tmp_path / "odd.safetensors", state)
    wanted = (
        r"odd.safetensors does not fit model lite: 1 missing \(backbone.fpn.inner_blocks.1.0.bias\); "
        r"1 unexpected \(backbone.extra\); 1 of another shape \(roi_heads.box_head.fc7.bias \(9,\) not \(256,\)\)$"
    )
    with pytest.raises(EngineError, match=wanted):
        load_model("lite", path)


def test_of_many_wrong_names_two_are_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"missing \(backbone.body.conv1.bias, [^,]*, \.\.\.\)") as told:
        load_model("r50", str(LITE_FILE))
    assert len(str(told.value).replace(str(LITE_FILE), "")) < 500


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no weights file .*nowhere\.pth"):
        load_model("lite", str(tmp_path / "nowhere.pth"))


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.pth"])
@pytest.mark.parametrize("length", [0, 7, 100_000])
def test_a_file_that_was_cut_short_is_refused_in_one_line(tmp_path: Path, name: str, length: int) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(load_file(LITE_FILE), whole)
    source = LITE_FILE if name.endswith(".safetensors") else whole
    (tmp_path / name).write_bytes(source.read_bytes()[:length])
    with pytest.raises(EngineError, match=rf"weights file .*{name} cannot be read: ") as told:
        load_model("lite", str(tmp_path / name))
    assert "\n" not in str(told.value)


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_code_in_a_weights_file_is_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"
    torch.save({"weight": _Bomb(mark)}, tmp_path / "bomb.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"weight": _Bomb(mark)}, protocol=2))
    for name in ("bomb.pth", "plain.pth"):
        with pytest.raises(EngineError, match=rf"{name} cannot be read"):
            load_model("lite", str(tmp_path / name))
    assert not mark.exists()


def test_a_file_without_names_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(EngineError, match="holds no state dict"):
        load_model("lite", str(tmp_path / "list.pth"))


def test_weights_that_are_not_at_hand_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSESTREAM_OFFLINE", "1")
    wanted = r"weights coco_v1 cannot be downloaded from https://\S+: POSESTREAM_OFFLINE is set; .* to \S+\.pth$"
    with pytest.raises(EngineError, match=wanted):
        load_model("r50")


def marked(path: Path, model: str) -> str:
    save_file(load_file(LITE_FILE), path, {"posestream.architecture": model})
    return str(path)


def test_weights_that_say_what_they_are_for_are_loaded_for_that_only(tmp_path: Path) -> None:
    assert load_model("lite", marked(tmp_path / "own.safetensors", "lite"))
    for model in ("lite", "r50"):
        path = marked(tmp_path / "d2.safetensors", "r50-d2")
        with pytest.raises(EngineError, match=rf"is for another model than {model}: use --model r50-d2$"):
            load_model(model, path)
    with pytest.raises(EngineError, match=r"is for another model than r50-d2: use --model r50$"):
        load_model("r50-d2", marked(tmp_path / "r50.safetensors", "r50"))


def test_weights_for_a_model_that_there_is_not_are_refused_in_one_line(tmp_path: Path) -> None:
    path = marked(tmp_path / "new.safetensors", "r152\n" + "a" * 100)
    with pytest.raises(EngineError, match=r"is for model 'r152\\na{35}', which is not among those there are$"):
        load_model("lite", path)


@pytest.mark.parametrize("model", ["r50-d2", "r101", "x101"])
def test_weights_that_do_not_say_what_they_are_for_are_not_taken_for_detectron2_s(model: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "bare.safetensors", load_file(LITE_FILE))
    wanted = rf"does not say that it is for model {model}: convert it .* python -m engines.convert {re.escape(path)}"
    with pytest.raises(EngineError, match=wanted):
        load_model(model, path)


@pytest.mark.parametrize(
    ("model", "weights", "wanted"),
    [
        ("r50", "d2_r50_3x", "weights d2_r50_3x are for another model than r50: use --model r50-d2$"),
        ("x101", "coco_v1", "weights coco_v1 are for another model than x101: use --model r50$"),
        (
            "r50",
            "coco_legasy",
            r"no weights file coco_legasy \(did you mean coco_legacy\?\); published for model r50: ",
        ),
        ("r50", "COCO_V1", r"no weights file COCO_V1 \(did you mean coco_v1\?\); published for model r50: "),
        (
            "r50",
            "",
            "no name of weights: give auto or a .safetensors or .pth file; published for model r50: coco_v1, c",
        ),
        ("lite", "a" * 300, "weights file a{300} cannot be read: File name too long$"),
        ("lite", str(ASSETS), f"weights file {ASSETS} is a folder: name a file in it$"),
        (
            "r50x",
            "auto",
            r"no model r50x \(did you mean r50\?\): there are lite, lite-next, bottom-up, r50, r50-d2, r101, x101$",
        ),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(model: str, weights: str, wanted: str) -> None:
    with pytest.raises(EngineError, match=wanted):
        load_model(model, weights)


def test_a_published_name_is_taken_from_the_cache_folder_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "posestream" / "weights").mkdir(parents=True)
    path = tmp_path / "posestream" / "weights" / "keypointrcnn_resnet50_fpn_coco-9f466800.pth"
    path.write_bytes(b"something else")
    wanted = rf"weights file {path} is not coco_legacy: its sha256 begins [0-9a-f]{{8}}, not 9f466800; remove it"
    with pytest.raises(EngineError, match=wanted):
        load_model("r50", "coco_legacy")
    assert path.exists()
