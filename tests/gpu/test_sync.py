"""On a GPU the host waits only where it says so, and finds the same people as on a CPU."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread
from safetensors.numpy import save_file

from engines.backends import eager, graphs
from engines.model.architecture import LITE, R50
from engines.model.found import Found
from engines.model.inference import ProposalFinder
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.parts import Parts
from engines.model.roi import Limits
from engines.preprocess import to_input
from engines.weights.load import load_model

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from cases import CASES, GROWN, Case  # noqa: E402
from seeded import picture, weights  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode"),
]
DEVICE, CPU = torch.device("cuda:0"), torch.device("cpu")
LIMITS = Limits(score_min=0.05, people_max=30)


@pytest.fixture
def waiting_is_an_error() -> Iterator[Callable[[], None]]:
    """Gives what makes every wait that torch knows of raise, from then on to the end of the test."""
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    portrait = np.asarray(imread(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return [portrait, np.ascontiguousarray(portrait[:, ::-1]), portrait // 2]


@torch.inference_mode()
def find(parts: Parts, frames: list[np.ndarray]) -> Found:
    batch = to_input(frames, LITE, parts.device)
    return ProposalFinder(parts, LITE, LIMITS).find(batch.images, batch.sizes)


def test_a_wait_would_have_been_noticed(waiting_is_an_error: Callable[[], None]) -> None:
    somewhere = torch.ones(3, device=DEVICE)
    waiting_is_an_error()
    with pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
        somewhere.nonzero()


@pytest.mark.parametrize(("build", "off_px", "off"), [(eager.build, 1e-2, 1e-4), (graphs.build, 2.0, 0.02)])
def test_the_people_of_a_cpu_are_found_without_another_wait(
    build: Callable[[KeypointRCNN, torch.device], Parts],
    off_px: float,
    off: float,
    frames: list[np.ndarray],
    waiting_is_an_error: Callable[[], None],
) -> None:
    wanted = find(eager.build(load_model("lite"), CPU), frames)
    parts = build(load_model("lite"), DEVICE)
    for _ in range(2):  # libraries are loaded and graphs are recorded
        find(parts, frames)
    waiting_is_an_error()
    found = find(parts, frames)
    sure, others = found.scores > 0.5, wanted.scores > 0.5
    assert others.any()
    assert torch.equal(found.image[sure], wanted.image[others])
    torch.testing.assert_close(found.scores[sure], wanted.scores[others], rtol=0, atol=off)
    torch.testing.assert_close(found.boxes[sure], wanted.boxes[others], rtol=0, atol=off_px)
    clear = wanted.confidence[others] > 0.5
    assert clear.any()
    torch.testing.assert_close(
        found.keypoints[sure][clear], wanted.keypoints[others][clear], rtol=0, atol=max(off_px, 0.01)
    )


@pytest.mark.filterwarnings("ignore")  # of the profiler, about itself
def test_what_is_copied_comes_from_and_goes_to_pinned_memory(frames: list[np.ndarray]) -> None:
    """torch's debug mode does not see a copy from ordinary memory that was called non-blocking."""
    parts = graphs.build(load_model("lite"), DEVICE)
    for _ in range(2):
        find(parts, frames)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        find(parts, frames)
        torch.cuda.synchronize()
    copies = [event.name for event in profile.events() if event.name.startswith("Memcpy")]
    assert any("HtoD" in name for name in copies)
    assert not [name for name in copies if "Pageable" in name]
    reads = [name for name in copies if "DtoH" in name]
    assert 2 <= len(reads) <= 3  # people; keypoints; and those that had to be looked for pixel by pixel


def test_a_person_whose_maps_are_not_finite_is_dropped(
    frames: list[np.ndarray], waiting_is_an_error: Callable[[], None]
) -> None:
    parts = graphs.build(load_model("lite"), DEVICE)
    find(parts, frames)
    whole = find(parts, frames)

    def first_is_broken(roi_features: torch.Tensor) -> tuple[torch.Tensor]:
        (maps,) = parts.run["keypoint_head"](roi_features)
        maps[0, 3].fill_(torch.nan)
        return (maps,)

    waiting_is_an_error()
    found = find(replace(parts, run={**parts.run, "keypoint_head": first_is_broken}), frames)
    assert found.dropped == 1
    assert torch.equal(found.boxes, whole.boxes[1:])
    assert torch.equal(found.keypoints, whole.keypoints[1:])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", [*CASES, *GROWN], ids=lambda case: case.name)
def test_r50_gives_torchvision_s_results(case: Case, tmp_path: Path) -> None:
    golden = np.load(GOLDEN / "r50.npz")
    lines = (GOLDEN / "r50_shapes.txt").read_text().splitlines()
    shapes = {name: tuple(map(int, sides)) for name, *sides in (line.split() for line in lines)}
    save_file(weights(shapes, case.seed, case.growth), tmp_path / "r50.safetensors")
    parts = eager.build(load_model("r50", str(tmp_path / "r50.safetensors")), DEVICE)
    architecture = replace(R50, short_px=case.short_px, long_px=case.long_px)
    frames = [picture(height, width, case.seed + at) for at, (height, width) in enumerate(case.sizes)]
    with torch.inference_mode():
        batch = to_input(frames, architecture, DEVICE)
        found = ProposalFinder(parts, architecture, Limits(case.score_min, case.people_max)).find(
            batch.images, batch.sizes
        )
    for at in range(len(case.sizes)):
        wanted = {key: golden[f"{case.name}/{at}/{key}"] for key in ("boxes", "scores", "keypoints", "logits")}
        mine, scale = found.image == at, batch.to_source[at]
        assert int(mine.sum()) == len(wanted["scores"])
        np.testing.assert_allclose(found.scores[mine].numpy(), wanted["scores"], atol=1e-4)
        np.testing.assert_allclose(found.boxes[mine].numpy() * np.tile(scale, 2), wanted["boxes"], atol=1e-2)
        np.testing.assert_allclose(found.logits[mine].numpy(), wanted["logits"], atol=1e-3, rtol=1e-3)
        off = np.abs(found.keypoints[mine].numpy() * scale - wanted["keypoints"]).max(-1)
        # A keypoint may lie elsewhere only where two places of its map are as good as each other.
        elsewhere = off > 1e-2
        assert elsewhere.sum() <= 0.01 * off.size, f"{elsewhere.sum()} of {off.size} keypoints are off"
        assert (elsewhere.sum(1) <= 2).all(), f"of one person {elsewhere.sum(1).max()} keypoints are off"
