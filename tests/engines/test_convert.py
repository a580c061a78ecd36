"""Files of Detectron2's become files of ours: whole, for the right model, and without running what is in them."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2_made import Made, made, pixels, published
from torch import Tensor

from engines import state_dict, weights, zoo
from engines.convert import convert, main
from engines.detectron2 import converted, read
from engines.errors import EngineError
from engines.model.architecture import R50_D2, Architecture, ResNet
from engines.weights import load_model

ROOT = Path(__file__).parents[2]
MEAN = (103.530, 116.280, 123.675)
SMALL = replace(
    R50_D2, body=ResNet((1, 1, 1, 1), stride_in_1x1=True), channels=8, box_features=4, keypoint_features=(4,)
)


def state(architecture: Architecture) -> dict[str, Tensor]:
    """Of a whole network; all weights are zero, which is soon made."""
    with torch.device("meta"):
        names = Made(architecture).state_dict()
    values = {name: torch.zeros(x.shape) for name, x in names.items() if not name.endswith("num_batches_tracked")}
    values["roi_heads.box_predictor.cls_score.bias"] = torch.tensor([3.0, -1.0])
    return values


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A whole r50 as the model zoo has it: it does not say what its pixels are."""
    path = published(state(R50_D2), tmp_path_factory.mktemp("zoo") / "model_final_abcdef.pkl")
    yield path
    path.unlink()


@pytest.fixture(autouse=True)
def _large_files_do_not_stay(tmp_path: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tmp_path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_command_writes_what_the_engine_loads(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    ready = weights._published(entry, None)
    made_at = ready.stat().st_mtime_ns
    by_hand.unlink()
    assert weights._published(entry, None) == ready
    assert ready.stat().st_mtime_ns == made_at
    assert load_model("r50-d2").roi_heads.box_predictor.cls_score.bias.tolist() == [-1.0, 3.0]


def trained(path: Path, std_bgr: tuple[float, ...]) -> Path:
    """Write a whole checkpoint of a training run."""
    model = state(R50_D2) | pixels(MEAN, std_bgr)
    torch.save({"model": model, "iteration": 90_000, "optimizer": {"state": {}}}, path)
    return path


def test_a_checkpoint_that_says_what_its_pixels_are_is_known(tmp_path: Path) -> None:
    path = trained(tmp_path / "model_final.pth", (1.0, 1.0, 1.0))
    assert convert(path, tmp_path / "out.safetensors") == "r50-d2"


def test_a_checkpoint_whose_pixels_are_of_no_known_model_is_not_guessed(tmp_path: Path) -> None:
    path = trained(tmp_path / "model_final.pth", (57.375, 57.12, 58.395))
    with pytest.raises(EngineError, match=r"has the shapes of r50-d2, but may be of another kind"):
        convert(path, tmp_path / "out.safetensors")
    assert os.listdir(tmp_path) == ["model_final.pth"]


def test_a_checkpoint_of_other_pixels_or_another_size_is_refused_whatever_is_said(tmp_path: Path) -> None:
    other = published(state(R50_D2) | pixels(MEAN, (57.375, 57.12, 58.395)), tmp_path / "other.pkl")
    wanted = r"not for model r50-d2: its pixel_std is 57.375, 57.12, 58.395, not 1, 1, 1$"
    with pytest.raises(EngineError, match=wanted):
        convert(other, tmp_path / "out.safetensors", "r50-d2")
    tiny = published(made(SMALL).state_dict(), tmp_path / "tiny.pkl")
    with pytest.raises(EngineError, match=r"tiny.pkl does not fit model r101: \d+ missing"):
        convert(tiny, tmp_path / "out.safetensors", "r101")
    with pytest.raises(EngineError, match=r"tiny.pkl has the names and shapes of no known model: say which with"):
        convert(tiny, tmp_path / "out.safetensors")
    assert sorted(os.listdir(tmp_path)) == ["other.pkl", "tiny.pkl"]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_pickle_of_arrays_is_read_as_it_was_written(protocol: int, tmp_path: Path) -> None:
    whole = made(SMALL).state_dict() | pixels(MEAN, (1.0, 1.0, 1.0))
    found = read(published(whole, tmp_path / "model.pkl", protocol))
    assert found.keys() == {name for name in whole if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(found[name], whole[name]) for name in found)


def test_arrays_of_older_numpy_of_other_orders_and_kinds_are_read(tmp_path: Path) -> None:
    arrays = {
        "fortran": np.asfortranarray(np.arange(6.0, dtype=np.float32).reshape(2, 3)),
        "big": np.arange(5, dtype=">f4"),
        "half": np.arange(5, dtype=np.float16),
        "one": np.array(7, dtype=np.int64),
        "none": np.zeros((0, 3), np.float32),
    }
    text = pickle.dumps({"model": arrays}, protocol=3)
    assert b"numpy._core.multiarray" in text
    (tmp_path / "old.pkl").write_bytes(text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    found = read(tmp_path / "old.pkl")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), array)


class _Bomb:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ((os.system, "touch MARK"), "system"),
        ((eval, "open('MARK', 'w')"), "eval"),
        ((subprocess.Popen, ["touch", "MARK"]), "Popen"),
        ((np.save, "MARK", 1), "save"),
        ((getattr, "", "join"), "getattr"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_wants_more_is_refused_and_not_run(
    call: tuple[object, ...], name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bomb.pkl").write_bytes(pickle.dumps({"model": {"weight": _Bomb(*call)}}, protocol))
    with pytest.raises(EngineError, match=rf"bomb.pkl cannot be read: it wants \w+\.{name}, which no weights need$"):
        read(Path("bomb.pkl"))
    assert os.listdir() == ["bomb.pkl"]


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"model": {"weight": 1.0}}),
        pickle.dumps({"model": [np.zeros(3)]}),
        pickle.dumps({"model": {"weight": np.array(["text"])}}),
        pickle.dumps({"model": {"weight": np.array([{}])}}),
        pickle.dumps({"model": {"weight": np.array([1j])}}),
        pickle.dumps({"model": {"weight": np.zeros(300)}})[:-900],
        b"cnumpy\nndarray\n)R.",
        b"}X\x05\x00\x00\x00model}X\x01\x00\x00\x00wcnumpy\nndarray\n)Rss.",
    ],
    ids="empty text list number list2 strings objects complex cut bare unfilled".split(),
)
def test_what_is_no_checkpoint_is_refused_in_one_line(held: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.pkl").write_bytes(held)
    with pytest.raises(EngineError, match=r"odd\.pkl (cannot be read: |is no checkpoint of Detectron2's: )") as told:
        read(tmp_path / "odd.pkl")
    assert "\n" not in str(told.value)


def test_a_missing_file_and_a_missing_norm_are_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^no weights file .*nowhere\.pkl$"):
        read(tmp_path / "nowhere.pkl")
    lacking = made(SMALL).state_dict()
    del lacking["backbone.bottom_up.stem.conv1.norm.weight"]
    path = published(lacking, tmp_path / "lacking.pkl")
    with pytest.raises(EngineError, match=r"it has no 'backbone\.body\.bn1\.weight'$"):
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


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "engines.convert", "nowhere.pkl", "-o", "out.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (6, "error: no weights file nowhere.pkl\n")


def test_what_is_no_weight_is_left_out() -> None:
    whole = made(SMALL).state_dict()
    assert converted(whole | pixels(MEAN, (1.0, 1.0, 1.0))).keys() == state_dict.shapes(SMALL).keys()
