"""Backends: all give what eager gives; `auto` chooses one, says so, stays with it, and falls when it must."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from configs.errors import EngineError
from engines import cache_folder
from engines.backends import eager, openvino
from engines.backends.choose import choose
from engines.backends.task import Task
from engines.model.architecture import LITE
from engines.model.found import Found
from engines.model.inference import ProposalFinder
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.parts import Parts
from engines.model.roi import Limits
from engines.preprocess import to_input
from engines.weights.load import load_model

REPO = Path(__file__).parents[3]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> KeypointRCNN:
    return load_model("lite")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def reference(network: KeypointRCNN) -> Parts:
    return eager.build(network, CPU)


@pytest.fixture(scope="module")
def by_openvino(network: KeypointRCNN, _own_cache: None) -> Parts:
    return openvino.build(network, CPU)


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _assert_alike(got: Tensor, wanted: Tensor) -> None:
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()


@torch.inference_mode()
def _assert_same_parts(got: Parts, wanted: Parts, batch: int, hw: tuple[int, int] = (96, 160)) -> None:
    rows = {
        "features": _random(batch, 3, *hw),
        "box_head": _random(batch, 7, 7, LITE.channels).permute(0, 3, 1, 2),  # as RoI features come
        "keypoint_head": _random(batch, LITE.channels, 14, 14),
    }
    assert got.run.keys() == wanted.run.keys() == rows.keys()
    for name, some in rows.items():
        for one, other in zip(got.run[name](some), wanted.run[name](some), strict=True):
            _assert_alike(one, other)


@pytest.mark.parametrize(("batch", "hw"), [(1, (96, 160)), (3, (96, 160)), (1, (160, 96))])
def test_openvino_gives_what_eager_gives_for_pictures_of_any_size_in_turn(
    by_openvino: Parts, reference: Parts, batch: int, hw: tuple[int, int]
) -> None:
    _assert_same_parts(by_openvino, reference, batch, hw)


def test_openvino_out_of_its_cache_gives_the_same(network: KeypointRCNN, by_openvino: Parts, reference: Parts) -> None:
    kept = list((cache_folder.folder() / "openvino").iterdir())
    assert [len(list(folder.glob("*.xml"))) for folder in kept] == [3]
    again = openvino.build(network, CPU)
    assert list((cache_folder.folder() / "openvino").iterdir()) == kept
    _assert_same_parts(again, reference, 2)
    del again


def test_what_openvino_gave_outlives_its_next_call(by_openvino: Parts) -> None:
    (first,) = by_openvino.run["keypoint_head"](_random(2, LITE.channels, 14, 14))
    before = first.clone()
    by_openvino.run["keypoint_head"](-_random(2, LITE.channels, 14, 14))
    assert torch.equal(first, before)


def test_openvino_finds_the_same_people_in_a_photograph(by_openvino: Parts, reference: Parts) -> None:
    frame = _photograph()
    wanted, got = _find(reference, frame), _find(by_openvino, frame)
    assert len(wanted.scores) > 0
    assert torch.equal(got.image, wanted.image)
    torch.testing.assert_close(got.boxes, wanted.boxes, rtol=0, atol=1e-2)
    torch.testing.assert_close(got.scores, wanted.scores, rtol=0, atol=1e-4)
    torch.testing.assert_close(got.keypoints, wanted.keypoints, rtol=0, atol=1e-2)


@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_is_given_as_many_threads_as_torch_is_set_to(
    network: KeypointRCNN, by_openvino: Parts, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        features, *heads = openvino.compile_parts(network).values()
    finally:
        torch.set_num_threads(before)
    # Compiled later, by whatever thread asks first: not with as many as that one's torch is set to.
    parts = [features.of((1, 64, 64, 3)), *heads]
    assert [part.model.get_property("INFERENCE_NUM_THREADS") for part in parts] == [threads] * 3


def test_openvino_refuses_a_gpu(network: KeypointRCNN) -> None:
    with pytest.raises(EngineError, match="openvino runs on a CPU, not on cuda:0: use --device cpu"):
        openvino.build(network, torch.device("cuda:0"))


def test_threads_that_use_openvino_at_once_for_the_first_time_do_not_wait_for_each_other_for_ever() -> None:
    code = """
import os, sys, threading
from engines.backends.openvino_models import library
sys.setswitchinterval(1e-6)
begin = threading.Barrier(4)
def use():
    begin.wait()
    library().Type.f32.to_dtype()
threads = [threading.Thread(target=use) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    subprocess.run([sys.executable, "-c", code], cwd=REPO, timeout=60, check=True)


def test_a_signal_after_openvino_was_used_and_dropped_does_no_harm() -> None:
    code = """
import gc, os, signal
import numpy as np
from engines.pose_engine import load
for _ in range(2):
    engine = load("lite", backend="openvino", device="cpu")
    engine(np.zeros((1, 64, 64, 3), np.uint8))
    del engine
    gc.collect()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, timeout=60, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_openvino_does_not_report_its_use(by_openvino: Parts) -> None:
    from openvino.tools.ovc import telemetry_utils

    assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"


def test_auto_says_what_it_chose_and_stays_with_it(network: KeypointRCNN, by_openvino: Parts) -> None:
    first = choose("auto", Task(network, LITE, CPU))
    assert [note.partition(" ms")[0].rstrip("0123456789") for note in first.notes] == [
        f"backend {first.backend}, measured: openvino "
    ]
    (memory,) = (cache_folder.folder() / "backends").iterdir()
    for remembered in ("eager", "openvino"):
        memory.write_text(remembered)
        again = choose("auto", Task(network, LITE, CPU))
        assert (again.backend, again.notes) == (remembered, [f"backend {remembered}, as chosen before"])


def test_a_memory_that_names_no_backend_is_measured_anew(network: KeypointRCNN, by_openvino: Parts) -> None:
    first = choose("auto", Task(network, LITE, CPU))
    (memory,) = (cache_folder.folder() / "backends").iterdir()
    memory.write_text("inductor")
    assert "measured" in choose("auto", Task(network, LITE, CPU)).notes[-1]
    assert memory.read_text() in ("eager", "openvino")
    assert first.backend in ("eager", "openvino")


@pytest.mark.parametrize("remembered", [False, True])
def test_auto_falls_to_eager_with_one_warning_where_openvino_cannot_be_imported(
    network: KeypointRCNN, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by_openvino: Parts, remembered: bool
) -> None:
    if remembered:
        choose("auto", Task(network, LITE, CPU))
        (memory,) = (cache_folder.folder() / "backends").iterdir()
        memory.write_text("openvino")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "openvino", None)
    chosen = choose("auto", Task(network, LITE, CPU))
    warning, choice = chosen.notes
    assert chosen.backend == "eager"
    assert warning.startswith("warning: backend openvino needs a package that cannot be imported: pip install")
    assert choice.startswith("backend eager")
    assert not (tmp_path / "posestream").exists()


def test_a_named_backend_fails_instead_of_falling(network: KeypointRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match="pip install openvino, or use --backend eager"):
        choose("openvino", Task(network, LITE, CPU))


def test_auto_works_where_the_cache_cannot_be_written(
    network: KeypointRCNN, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "posestream").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    notes = choose("auto", Task(network, LITE, CPU)).notes
    assert "measured" in notes[0]
    assert notes[1].startswith("warning: the choice of backend cannot be kept for the next run: ")


def test_a_backend_that_is_not_there_is_refused(network: KeypointRCNN) -> None:
    with pytest.raises(EngineError, match="backend abacus is not in this version: use one of eager"):
        choose("abacus", Task(network, LITE, CPU))


@torch.inference_mode()
def _find(parts: Parts, frame: np.ndarray) -> Found:
    batch = to_input([frame], LITE, CPU)
    return ProposalFinder(parts, LITE, Limits(score_min=0.05, people_max=30)).find(batch.images, batch.sizes)


def _photograph() -> np.ndarray:
    path = REPO.parent / "shared" / "clips" / "treadmill_cam01.mp4"
    if not path.is_file():
        pytest.skip("shared/clips/treadmill_cam01.mp4 is not here")
    with av.open(path) as clip:
        return next(clip.decode(video=0)).to_ndarray(format="rgb24")
