from __future__ import annotations

import gc
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread
from numpy.typing import NDArray
from torch import Tensor

from configs.errors import EngineError
from configs.schema import EngineSettings
from configs.skeleton import SkeletonSettings
from engines.backends import eager
from engines.model.architecture import R50, ResNet
from engines.model.inference import ProposalFinder
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.roi import Limits
from engines.ops.people import People
from engines.ops.skeleton import COCO, Skeleton
from engines.pose_engine import PoseEngine, load
from engines.preprocess import to_input

ROOT = Path(__file__).parents[2]
CLIPS = ROOT.parent / "shared" / "clips"


@pytest.fixture(scope="module")
def engine() -> PoseEngine:
    return load("lite", backend="eager")


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    return np.asarray(imread(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def frame_of(clip: str, index: int) -> NDArray[np.uint8]:
    path = CLIPS / clip
    if not path.exists():
        pytest.skip(f"no {clip} beside the repository: shared/clips is not here")
    with av.open(str(path)) as container:
        for at, frame in enumerate(container.decode(video=0)):
            if at == index:
                return frame.to_ndarray(format="rgb24")
    raise AssertionError(f"{clip} has no frame {index}")


def assert_alike(one: People, other: People) -> None:
    assert len(one) == len(other)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
    sure = (one.confidence > 0.5) & (other.confidence > 0.5)
    np.testing.assert_allclose(one.keypoints[sure], other.keypoints[sure], atol=1e-2)
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-3)


def test_the_face_of_a_portrait_is_found_where_it_is(engine: PoseEngine, portrait: NDArray[np.uint8]) -> None:
    (people,) = engine(portrait[None])
    assert people.scores[0] > 0.9
    assert people.scores[1] < 0.5
    truth = {"nose": (268, 232), "left_eye": (312, 190), "right_eye": (218, 190), "left_shoulder": (460, 410)}
    for name, xy in truth.items():
        at = COCO.index(name)
        assert np.hypot(*(people.keypoints[0, at] - xy)) < 25, name
        assert people.confidence[0, at] > 0.5, name
    assert people.confidence[0, COCO.index("left_ankle")] < 0.3  # outside the picture


@pytest.mark.parametrize(("clip", "index", "count"), [("treadmill_cam03.mp4", 20, 2), ("one_by_one.mp4", 300, 1)])
def test_people_of_a_video_stand_on_their_feet(engine: PoseEngine, clip: str, index: int, count: int) -> None:
    (people,) = engine([frame_of(clip, index)])
    people = people.take(people.scores > 0.9)
    assert len(people) == count
    y = people.keypoints[..., 1]
    shoulders, hips = y[:, 5:7].mean(1), y[:, 11:13].mean(1)
    assert (y[:, :5].mean(1) < shoulders).all()
    assert (shoulders < hips).all()
    assert (hips < y[:, 13:17].mean(1)).all()
    inside = (people.keypoints >= people.boxes[:, None, :2]) & (people.keypoints <= people.boxes[:, None, 2:])
    assert inside.all()


def test_an_empty_room_is_empty(engine: PoseEngine) -> None:
    (people,) = engine(np.full((1, 90, 160, 3), 128, np.uint8))
    assert len(people.take(people.scores > 0.5)) == 0


def test_a_frame_gives_the_same_people_alone_and_among_others(engine: PoseEngine, portrait: NDArray[np.uint8]) -> None:
    darker = portrait // 2
    together = engine(np.stack([portrait, darker, portrait[:, ::-1]]))
    for people, frame in zip(together, (portrait, darker, portrait[:, ::-1]), strict=True):
        assert_alike(people, engine([frame])[0])


def test_frames_of_several_sizes_go_together(engine: PoseEngine, portrait: NDArray[np.uint8]) -> None:
    wide, narrow = engine([portrait[:300], portrait])
    assert wide.boxes[:, 3].max() <= 300
    assert narrow.scores[0] > 0.9
    assert narrow.boxes[:, 2:].max() <= 600


def test_frames_side_by_side_give_what_they_give_one_by_one(portrait: NDArray[np.uint8]) -> None:
    engine = load("lite", backend="openvino", threads=2)
    assert engine.batch_best == 1
    frames = [portrait, portrait[:300], np.zeros((90, 160, 3), np.uint8), portrait[:, ::-1], portrait // 2]
    alone = [engine([frame])[0] for frame in frames]
    for people, wanted in zip(engine(frames * 4), alone * 4, strict=True):
        assert_alike(people, wanted)
    with pytest.raises(ValueError, match="frame 1 is"):
        engine([portrait, portrait[0]])


def test_the_threads_for_frames_side_by_side_end_with_their_engine(portrait: NDArray[np.uint8]) -> None:
    before = set(threading.enumerate())
    engine = load("lite", backend="openvino", threads=2)
    engine([portrait] * 3)
    begun = set(threading.enumerate()) - before
    assert 1 <= len(begun) <= 2
    del engine
    gc.collect()
    for thread in begun:
        thread.join(20)
        assert not thread.is_alive()


def test_a_person_is_dropped_and_counted_among_frames_side_by_side_too(
    portrait: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load("lite", backend="openvino", threads=2)
    assert engine._crew is not None
    sound = engine._crew._make()
    run = {**sound.run, "keypoint_head": lambda x: [maps * torch.nan for maps in sound.run["keypoint_head"](x)]}
    broken = replace(sound, run=run)
    monkeypatch.setattr(engine._crew, "_make", lambda: broken)
    assert [len(people) for people in engine([portrait, portrait])] == [0, 0]
    assert engine.dropped == 2 * len(engine([portrait])[0])


def test_people_come_best_first_and_no_more_than_asked(portrait: NDArray[np.uint8]) -> None:
    (many,) = load("lite", backend="eager", score_min=0.0)([portrait])
    assert len(many) == 30
    assert (np.diff(many.scores) <= 0).all()
    (few,) = load("lite", backend="eager", score_min=0.0, people_max=3)([portrait])
    assert_alike(few, many.take(np.arange(3)))
    (sure,) = load("lite", backend="eager", score_min=0.5)([portrait])
    assert_alike(sure, many.take(many.scores > 0.5))


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2), (17, 31), (8, 2000)])
def test_odd_sizes_are_taken(engine: PoseEngine, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    (people,) = engine([noise])
    assert people.keypoints.shape == (len(people), 17, 2)
    for values in (people.boxes, people.keypoints, people.confidence, people.logits):
        assert np.isfinite(values).all()
        assert values.dtype == np.float32
    if len(people):
        assert (people.boxes >= 0).all()
        assert (people.boxes[:, 2:] <= (size[1] + 1e-3, size[0] + 1e-3)).all()


def test_no_frames_give_nothing(engine: PoseEngine) -> None:
    assert engine([]) == []


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        (np.zeros((2, 8, 8, 4), np.uint8), r"frame 0 is \(8, 8, 4\) uint8; expected \(height, width, 3\) uint8, RGB"),
        (np.zeros((2, 8, 8, 3), np.float32), r"frame 0 is \(8, 8, 3\) float32"),
        (np.zeros((8, 8, 3), np.uint8), r"frame 0 is \(8, 3\) uint8"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 3), np.uint8)], r"frame 1 is \(0, 8, 3\) uint8"),
    ],
)
def test_frames_of_another_shape_are_refused(engine: PoseEngine, frames: NDArray[np.uint8], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        engine(frames)


def test_a_person_without_finite_heat_maps_is_dropped_and_counted(portrait: NDArray[np.uint8]) -> None:
    engine = load("lite", backend="eager", score_min=0.2)
    two = np.concatenate((portrait, portrait), axis=1)
    parts = engine._finder.parts

    def second_is_broken(roi_features: Tensor) -> tuple[Tensor]:
        (maps,) = parts.run["keypoint_head"](roi_features)
        maps[1, 4, 20, 20] = torch.inf
        return (maps,)

    (whole,) = engine([two])
    engine._finder = replace(engine._finder, parts=replace(parts, run={**parts.run, "keypoint_head": second_is_broken}))
    (people,) = engine([two])
    assert engine.dropped == 1
    assert_alike(people, whole.take(np.arange(len(whole)) != 1))


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(EngineError, match="device cuda:99 is not there: torch sees"):
        load("lite", device="cuda:99")


def test_one_engine_takes_one_device() -> None:
    with pytest.raises(EngineError, match="device cpu,cpu: one engine computes on one device"):
        load("lite", device="cpu,cpu")


def test_a_cpu_computes_in_fp32_only() -> None:
    with pytest.raises(EngineError, match="precision fp16 needs an NVIDIA GPU: use --precision fp32 or auto"):
        load("lite", device="cpu", precision="fp16")


def test_auto_takes_the_bundled_model_on_a_cpu_and_says_why() -> None:
    engine = load(device="cpu", backend="eager")
    assert engine.architecture.name == "lite"
    assert engine.notes == ["model lite: bundled, and small enough for a CPU"]


def test_a_smaller_picture_and_fewer_proposals_are_what_was_asked_for(portrait: NDArray[np.uint8]) -> None:
    engine = load("lite", backend="eager", imgsz=192, proposals=20, score_min=0.0)
    (people,) = engine([portrait])
    assert people.scores[0] > 0.5
    assert len(people) <= 20


def test_the_threads_of_torch_are_given_back(portrait: NDArray[np.uint8]) -> None:
    before = torch.get_num_threads()
    engine = load("lite", backend="openvino")
    engine([portrait])
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("mode", "limit"), [("exact", 0.001), ("fast", 0.25)])
def test_verified_engines_say_how_far_they_are_off(mode: Literal["exact", "fast"], limit: float) -> None:
    engine = PoseEngine(
        EngineSettings(model="lite", device="cpu", backend="openvino", mode=mode, imgsz=96, verify=True)
    )
    assert engine.notes[0] == "backend openvino beside eager fp32:"
    assert engine.notes[-1].startswith(f"agrees with the reference; the limit is {limit}")


def test_too_little_memory_is_told_with_what_to_do() -> None:
    code = """
import resource
import numpy as np
from engines.pose_engine import load
engine = load("lite", backend="eager", device="cpu", imgsz=4096)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (256 << 20),) * 2)
try:
    engine(np.zeros((1, 64, 64, 3), np.uint8))
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines() == [
        "NoMemory: no memory for 1 frames at once: use a smaller --imgsz, or --set infer.batch_max=1"
    ]


def test_too_little_memory_to_load_is_told_too() -> None:
    code = """
import resource
import engines.backends.choose, engines.weights.load
from engines.pose_engine import load
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (4 << 20),) * 2)
try:
    load("lite", backend="eager", device="cpu")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines() == [
        "NoMemory: no memory to load model lite: use a smaller --model, or another --device"
    ]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile with"),
            "^the GPU failed: CUDA error: an illegal memory access was encountered; use --device cpu, or another GPU$",
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), "^the GPU failed: cuDNN error: "),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "^no memory for 1 frames at once: "),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "^no memory for 1 frames at once: "),
        (MemoryError(), "^no memory for 1 frames at once: "),
    ],
)
def test_what_a_device_fails_of_is_no_fault_of_the_program(
    portrait: NDArray[np.uint8], raised: Exception, told: str
) -> None:
    def fails(_: Tensor) -> list[Tensor]:
        raise raised

    engine = load("lite", backend="eager")
    parts = engine._finder.parts
    engine._finder = replace(engine._finder, parts=replace(parts, run={**parts.run, "features": fails}))
    with pytest.raises(EngineError, match=told):
        engine([portrait])


def test_frames_of_a_batch_that_are_alike_give_people_alike_frame_by_frame() -> None:
    torch.manual_seed(0)
    architecture = replace(
        R50, body=ResNet((1, 1, 1, 1), width=8), short_px=96, long_px=160, channels=8, keypoint_features=(8, 8)
    )
    parts = eager.build(KeypointRCNN(architecture).eval().requires_grad_(False), torch.device("cpu"))
    finder = ProposalFinder(parts, architecture, Limits(score_min=0.0, people_max=5))
    frames = [np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)] * 2
    with torch.inference_mode():
        batch = to_input(frames, architecture, torch.device("cpu"))
        found = finder.find(batch.images, batch.sizes)
    assert found.image.tolist() == [0] * 5 + [1] * 5
    torch.testing.assert_close(found.keypoints[:5], found.keypoints[5:], rtol=0, atol=1e-2)
    assert (found.boxes[:, 2:] <= batch.sizes[0].flip(0)).all()


def test_a_skeleton_of_other_keypoints_than_the_network_s_is_refused() -> None:
    hand = Skeleton(SkeletonSettings(names=("wrist", "tip"), limbs=(), mirror=(), sigmas=(0.1, 0.1)))
    said = "^model lite finds 17 keypoints and skeleton.names has 2: name those of the model$"
    with pytest.raises(EngineError, match=said):
        PoseEngine(EngineSettings(model="lite", device="cpu"), hand)
