"""Parts in 8 bits: those that come with the project are near those in fp32; making them, and what may go wrong."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread, imsave
from numpy.typing import NDArray
from torch import nn

from configs.schema import EngineSettings
from engines import quantize
from engines.backends import openvino_models
from engines.ops.agreement import agreement
from engines.pose_engine import PoseEngine, load
from engines.weights.load import load_model

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    return np.asarray(imread(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def test_the_bundled_parts_find_what_those_in_fp32_find(portrait: NDArray[np.uint8]) -> None:
    settings = {"backend": "openvino", "score_min": 0.5}
    (exact,), (fast,) = (load("lite", mode=mode, **settings)([portrait]) for mode in ("exact", "fast"))
    assert len(exact) == len(fast) == 1
    assert agreement(exact, fast, kpt_thr=0.3)[0] > 0.9
    assert not np.array_equal(exact.logits, fast.logits)  # it was computed in 8 bits


def test_the_bundled_weights_are_whole_multiples_as_in_8_bits() -> None:
    """So `exact` computes with nearly the weights of `fast`, which has little more to round than activations."""
    for module in load_model("lite").modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):  # what is left is computed in fp32
            continue
        rows = module.weight.detach().flatten(1)
        largest = rows.abs().amax(1, keepdim=True)
        steps = rows / largest * 63.5
        off = (steps - steps.round()).abs()[rows.abs() < largest]
        assert off.max() < 0.1


def test_of_other_weights_fast_computes_in_fp32_and_says_so(tmp_path: Path) -> None:
    state = load_model("lite").state_dict()
    state["rpn.head.cls_logits.bias"] = state["rpn.head.cls_logits.bias"] + 0.01
    torch.save(state, tmp_path / "own.pth")
    engine = load("lite", weights=str(tmp_path / "own.pth"), backend="openvino", mode="fast")
    assert engine.notes == [
        "mode fast computes features and keypoint_head in fp32: python -m engines.quantize can prepare that for 8 bits"
    ]


@pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="needs NNCF: pip install 'posestream[int8]'")
def test_a_part_that_was_prepared_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portrait: NDArray[np.uint8]
) -> None:
    state = load_model("lite").state_dict()
    state["roi_heads.keypoint_predictor.kps_score_lowres.bias"] += 0.01
    torch.save(state, tmp_path / "own.pth")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = EngineSettings(model="lite", weights=str(tmp_path / "own.pth"), backend="openvino", mode="fast")
    network = load_model("lite", settings.weights)
    written = quantize.quantize(network, settings, [portrait] * 2, openvino_models.prepared_folder())
    assert [openvino_models.prepared_file(network, part) for part in ("features", "keypoint_head")] == written
    assert sorted(path.suffix for path in written[0].parent.iterdir()) == [".bin", ".bin", ".xml", ".xml"]
    engine = PoseEngine(settings)
    assert engine.notes == []
    assert len(engine([portrait])[0]) >= 1


@pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="needs NNCF: pip install 'posestream[int8]'")
def test_pictures_without_people_are_refused() -> None:
    empty = np.full((90, 160, 3), 128, np.uint8)
    settings = EngineSettings(model="lite", mode="fast")
    with pytest.raises(quantize.EngineError, match="nobody was found in the pictures; give others"):
        quantize.quantize(load_model("lite"), settings, [empty], openvino_models.prepared_folder())


def png_of_400_megapixels() -> bytes:
    """A head that promises them and a body that holds none."""
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    sealed = (struct.pack(">I", len(x)) + kind + x + struct.pack(">I", zlib.crc32(kind + x)) for kind, x in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(sealed)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none-*.jpg", r"no picture at .*none-.*: name files"),
        ("text.jpg", r"picture .*text\.jpg cannot be read: "),
        ("folder", r"picture .*folder cannot be read: \[Errno 21\] Is a directory"),
        ("large.png", r"picture .*large\.png cannot be read: Image size \(400000000 pixels\) exceeds limit"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong_with_its_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "large.png").write_bytes(png_of_400_megapixels())
    (tmp_path / "folder").mkdir()
    assert quantize.main([str(tmp_path / name)]) == 6
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line)


def test_a_picture_whose_name_looks_like_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    for name in ("h1.png", "h[1].png", "h[2].png"):
        imsave(tmp_path / name, np.full((2, 3, 3), len(name), np.uint8))
    wanted = {"h[1].png": [8], "h[1-9].png": [6], "h*.png": [6, 8, 8], "h[[]?].png": [8, 8]}
    for pattern, found in wanted.items():
        assert [int(picture.max()) for picture in quantize._read([str(tmp_path / pattern)])] == found


def test_what_is_no_picture_is_told_before_the_first_is_decoded(tmp_path: Path) -> None:
    imsave(tmp_path / "a.png", np.zeros((2, 3, 3), np.uint8))
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(quantize.EngineError, match=r"^picture .*b\.png cannot be read: "):
        quantize._read([str(tmp_path / "*.png")])


def test_pictures_are_decoded_one_after_the_other_when_they_are_wanted(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        imsave(tmp_path / name, np.zeros((2, 3, 3), np.uint8))
    pictures = quantize._read([str(tmp_path / "*.png")])
    assert next(pictures).shape == (2, 3, 3)
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:-30])
    with pytest.raises(quantize.EngineError, match=r"^picture .*b\.png cannot be read: "):
        next(pictures)


def test_ctrl_c_ends_the_command_without_a_traceback(tmp_path: Path) -> None:
    picture = tmp_path / "one.jpg"
    os.mkfifo(picture)
    command = [sys.executable, "-m", "engines.quantize", str(picture)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as running:
        with picture.open("wb"):  # waits until the command opens it too
            running.send_signal(signal.SIGINT)
        said = running.communicate()
    assert (running.returncode, *said) == (130, "", "")


def test_the_command_says_that_nncf_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, portrait: NDArray[np.uint8]
) -> None:
    imsave(tmp_path / "one.png", portrait)
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert quantize.main([str(tmp_path / "one.png")]) == 6
    assert "pip install 'posestream[int8]'" in capsys.readouterr().err
