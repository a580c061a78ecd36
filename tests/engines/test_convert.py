"""Files of Detectron2's become files of ours: whole, for the right model, and without running what is in them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from detectron2_made import Made, made, pixels, published
from torch import Tensor

from configs.errors import EngineError
from engines.convert import main
from engines.model.architecture import ARCHITECTURES, R50_D2, Architecture, ResNet
from engines.weights import load, state_dict, zoo
from engines.weights.conversion import convert
from engines.weights.detectron2 import converted, read
from engines.weights.load import load_model

ROOT = Path(__file__).parents[2]
MEAN = (103.530, 116.280, 123.675)
BODY = ResNet((1, 1, 1, 1), stride_in_1x1=True, width=8)
SMALL = replace(R50_D2, body=BODY, channels=8, box_features=4, keypoint_features=(4,))


def state(architecture: Architecture) -> dict[str, Tensor]:
    """Of a whole network; all weights are zero, which is soon made."""
    with torch.device("meta"):
        names = Made(architecture).state_dict()
    values = {name: torch.zeros(x.shape) for name, x in names.items() if not name.endswith("num_batches_tracked")}
    values["roi_heads.box_predictor.cls_score.bias"] = torch.tensor([3.0, -1.0])
    return values


@pytest.fixture
def small_r50_d2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Model r50-d2 is as small as `SMALL`: what is done with names and files does not depend on how large they are."""
    monkeypatch.setitem(ARCHITECTURES, "r50-d2", SMALL)


@pytest.fixture
def checkpoint(small_r50_d2: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small r50-d2 as the model zoo has it: it does not say what its pixels are."""
    return published(state(SMALL), tmp_path_factory.mktemp("zoo") / "model_final_abcdef.pkl")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_command_writes_what_the_engine_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a whole r50-d2."""
    checkpoint = published(state(R50_D2), tmp_path / "model_final_abcdef.pkl")
    out = tmp_path / "deep" / "r50-d2.safetensors"
    assert main([str(checkpoint), "-o", str(out), "--architecture", "r50-d2"]) == 0
    assert capsys.readouterr().out == f"{out}: weights for --model r50-d2\n"
    assert os.listdir(out.parent) == [out.name]
    assert state_dict.metadata(out) == {
        "posestream.architecture": "r50-d2",
        "posestream.source_sha256": sha256(checkpoint),
    }
    network = load_model("r50-d2", str(out))
    assert network.roi_heads.box_predictor.cls_score.bias.tolist() == [-1.0, 3.0]
    with pytest.raises(EngineError, match=r"is for another model than r50: use --model r50-d2$"):
        load_model("r50", str(out))
    shutil.rmtree(tmp_path)  # half a gigabyte


def test_what_is_not_clear_is_asked_for(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(checkpoint), "-o", str(tmp_path / "out.safetensors")]) == 6
    said = capsys.readouterr().err
    assert "has the shapes of r50-d2, but may be of another kind: say which with --architecture r50-d2|r101|x" in said
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_published_weights_are_converted_once_and_then_need_neither_their_file_nor_the_network(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("POSESTREAM_OFFLINE", "1")
    folder = tmp_path / "posestream" / "weights"
    folder.mkdir(parents=True)
    entry = replace(zoo.D2_R50_3X, hash_kind="sha256", digest=sha256(checkpoint))
    by_hand = folder / entry.file
    by_hand.symlink_to(checkpoint)
    ready = load._published(entry, None)
    made_at = ready.stat().st_mtime_ns
    by_hand.unlink()
    assert load._published(entry, None) == ready
    assert ready.stat().st_mtime_ns == made_at
    assert load_model("r50-d2").roi_heads.box_predictor.cls_score.bias.tolist() == [-1.0, 3.0]


def opened(path: Path) -> int:
    """How often this process has a file open."""
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum(os.path.exists(link) and os.readlink(link) == str(path) for link in links)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_who_waits_for_another_s_conversion_takes_what_that_one_made(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "posestream" / "weights"
    folder.mkdir(parents=True)
    entry = replace(zoo.D2_R50_3X, hash_kind="sha256", digest=sha256(checkpoint))
    (folder / entry.file).symlink_to(checkpoint)
    ready = folder / "d2_r50_3x-1.safetensors"
    lock = folder / f"{ready.name}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = threading.Thread(target=load._published, args=(entry, None))
        waiting.start()
        while waiting.is_alive() and opened(lock) < 2:
            pass
        state_dict.write(ready, {"weight": torch.ones(3)}, {state_dict.ARCHITECTURE_KEY: entry.model})
    waiting.join()
    assert state_dict.read(ready).keys() == {"weight"}


def trained(path: Path, std_bgr: tuple[float, ...]) -> Path:
    """Write a whole checkpoint of a training run."""
    model = state(SMALL) | pixels(MEAN, std_bgr)
    torch.save({"model": model, "iteration": 90_000, "optimizer": {"state": {}}}, path)
    return path


def test_a_checkpoint_that_says_what_its_pixels_are_is_known(small_r50_d2: None, tmp_path: Path) -> None:
    path = trained(tmp_path / "model_final.pth", (1.0, 1.0, 1.0))
    assert convert(path, tmp_path / "out.safetensors") == "r50-d2"


def test_a_checkpoint_whose_pixels_are_of_no_known_model_is_not_guessed(small_r50_d2: None, tmp_path: Path) -> None:
    path = trained(tmp_path / "model_final.pth", (57.375, 57.12, 58.395))
    with pytest.raises(EngineError, match=r"has the shapes of r50-d2, but may be of another kind"):
        convert(path, tmp_path / "out.safetensors")
    assert os.listdir(tmp_path) == ["model_final.pth"]


def test_a_checkpoint_of_other_pixels_or_another_size_is_refused_whatever_is_said(
    small_r50_d2: None, tmp_path: Path
) -> None:
    other = published(state(SMALL) | pixels(MEAN, (57.375, 57.12, 58.395)), tmp_path / "other.pkl")
    wanted = r"not for model r50-d2: its pixel_std is 57.375, 57.12, 58.395, not 1, 1, 1$"
    with pytest.raises(EngineError, match=wanted):
        convert(other, tmp_path / "out.safetensors", "r50-d2")
    tiny = published(made(replace(SMALL, channels=4)).state_dict(), tmp_path / "tiny.pkl")
    with pytest.raises(EngineError, match=r"tiny.pkl does not fit model r101: \d+ missing"):
        convert(tiny, tmp_path / "out.safetensors", "r101")
    with pytest.raises(EngineError, match=r"tiny.pkl has the names and shapes of no known model: say which with"):
        convert(tiny, tmp_path / "out.safetensors")
    assert sorted(os.listdir(tmp_path)) == ["other.pkl", "tiny.pkl"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"backbone.bottom_up.stem.conv1.norm.running_var": torch.ones(65)},
            "is not Detectron2's Keypoint R-CNN: its backbone.body.bn1 is not of the size of its backbone.body.conv1, ",
        ),
        (
            {"backbone.bottom_up.res2.0.conv1.weight": torch.ones(64)},
            "is not Detectron2's Keypoint R-CNN: its backbone",
        ),
        ({"backbone.bottom_up.extra.running_var": torch.ones(64)}, "it has no backbone.bottom_up.extra.weight$"),
        ({"roi_heads.box_predictor.cls_score.bias": torch.tensor(1.0)}, "does not fit model r50-d2: .* 1 unexpected"),
        ({"roi_heads.box_predictor.bbox_pred.weight": torch.tensor(1.0)}, "does not fit model r50-d2: .* 1 unexpected"),
    ],
    ids="norm flat lonely scores deltas".split(),
)
def test_weights_of_odd_shapes_are_refused_in_one_line(
    changed: dict[str, Tensor], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.pth"
    torch.save(made(SMALL).state_dict() | {"odd": torch.ones(1)} | changed, path)
    assert main([str(path), "-o", str(tmp_path / "out.safetensors"), "--architecture", "r50-d2"]) == 6
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line)
    assert os.listdir(tmp_path) == ["odd.pth"]


def test_a_stem_without_a_norm_and_a_shape_is_refused(tmp_path: Path) -> None:
    stem = "backbone.bottom_up.stem.conv1."
    state = {name: tensor for name, tensor in made(SMALL).state_dict().items() if not name.startswith(stem)}
    torch.save(state | {f"{stem}weight": torch.ones(64)}, tmp_path / "odd.pth")
    with pytest.raises(EngineError, match=r"of another shape \(backbone\.body\.conv1\.weight \(64,\) not"):
        convert(tmp_path / "odd.pth", tmp_path / "out.safetensors", "r50-d2")


def test_weights_that_went_astray_are_not_converted(small_r50_d2: None, tmp_path: Path) -> None:
    odd = state(SMALL)
    odd["backbone.bottom_up.stem.conv1.norm.running_mean"][3] = float("nan")
    wanted = r"has NaN or infinity in 1 tensors, first in backbone\.bottom_up\.stem\.conv1\.norm\.running_mean: take"
    with pytest.raises(EngineError, match=wanted):
        convert(published(odd, tmp_path / "odd.pkl"), tmp_path / "out.safetensors", "r50-d2")
    assert os.listdir(tmp_path) == ["odd.pkl"]


def test_a_missing_file_and_a_missing_norm_are_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^no weights file .*nowhere\.pkl$"):
        read(tmp_path / "nowhere.pkl")
    lacking = made(SMALL).state_dict()
    del lacking["backbone.bottom_up.stem.conv1.norm.weight"]
    path = published(lacking, tmp_path / "lacking.pkl")
    with pytest.raises(EngineError, match=r"not Detectron2's Keypoint R-CNN: it has no backbone\.body\.bn1\.weight$"):
        convert(path, tmp_path / "out.safetensors", "r50-d2")


def test_an_output_that_cannot_be_written_leaves_nothing_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "out.safetensors", tmp_path / "folder.safetensors"):
        (tmp_path / "folder.safetensors").mkdir(exist_ok=True)
        with pytest.raises(EngineError, match=rf"^weights file {path} cannot be written: "):
            state_dict.write(path, {"weight": torch.zeros(3)}, {})
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.safetensors"]
    state_dict.write(tmp_path / "out.safetensors", {"weight": torch.ones(3)}, {"key": "value"})
    before = (tmp_path / "out.safetensors").read_bytes()
    with pytest.raises(EngineError):
        convert(published(made(SMALL).state_dict(), tmp_path / "tiny.pkl"), tmp_path / "out.safetensors", "r50-d2")
    assert (tmp_path / "out.safetensors").read_bytes() == before


def test_the_name_of_the_output_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["model.pkl", "-o", "out.pth"])
    assert "got out.pth, expected a name that ends in .safetensors" in capsys.readouterr().err
    assert main(["nowhere.pkl", "-o", "OUT.SAFETENSORS"]) == 6


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "engines.convert", "nowhere.pkl", "-o", "out.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (6, "error: no weights file nowhere.pkl\n")


def test_ctrl_c_just_before_the_output_gets_its_name_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "from engines.convert import main\n"
        "from engines.model.architecture import *\n"
        f"ARCHITECTURES['r50-d2'] = {SMALL!r}\n"
        "def interrupt(event, about):\n"
        "    if event == 'os.rename': signal.raise_signal(signal.SIGINT)\n"
        "sys.addaudithook(interrupt)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    output = tmp_path / "out.safetensors"
    command = [sys.executable, "-c", code, str(checkpoint), "-o", str(output), "--architecture", "r50-d2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert os.listdir(tmp_path) == []


def test_what_is_no_weight_is_left_out() -> None:
    whole = made(SMALL).state_dict()
    assert converted(whole | pixels(MEAN, (1.0, 1.0, 1.0))).keys() == state_dict.shapes(SMALL).keys()
