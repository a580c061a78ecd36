"""r50 gives torchvision's results, number for number; the golden files are torchvision's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from engines.backends import eager
from engines.model.architecture import R50
from engines.model.found import Found
from engines.model.inference import ProposalFinder
from engines.model.parts import Parts
from engines.model.roi import Limits
from engines.model.roi_align import level_of
from engines.preprocess import Batch, to_input
from engines.weights.load import load_model

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from cases import CASES, GROWN, Case  # noqa: E402
from seeded import picture, weights  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "r50.npz"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("weights")
    _network.cache_clear()


@cache
def _network(seed: int, growth: float, folder: Path) -> Parts:
    path = folder / f"{seed}.safetensors"
    save_file(weights(_shapes(), seed, growth), path)
    parts = eager.build(load_model("r50", str(path)), CPU)
    path.unlink()
    return parts


def _shapes() -> dict[str, tuple[int, ...]]:
    lines = (GOLDEN / "r50_shapes.txt").read_text().splitlines()
    return {name: tuple(map(int, sides)) for name, *sides in (line.split() for line in lines)}


def find(case: Case, folder: Path) -> tuple[Found, Batch]:
    architecture = replace(R50, short_px=case.short_px, long_px=case.long_px)
    parts = _network(case.seed, case.growth, folder)
    finder = ProposalFinder(parts, architecture, Limits(case.score_min, case.people_max))
    with torch.inference_mode():
        pictures = [picture(height, width, case.seed + at) for at, (height, width) in enumerate(case.sizes)]
        batch = to_input(pictures, architecture, CPU)
        return finder.find(batch.images, batch.sizes), batch


@pytest.mark.parametrize("case", [*CASES, *GROWN], ids=lambda case: case.name)
def test_r50_gives_torchvision_s_results(case: Case, golden: dict[str, np.ndarray], folder: Path) -> None:
    found, batch = find(case, folder)
    for at in range(len(case.sizes)):
        wanted = {key: golden[f"{case.name}/{at}/{key}"] for key in ("boxes", "scores", "keypoints", "logits")}
        mine, scale = found.image == at, batch.to_source[at]
        assert int(mine.sum()) == len(wanted["scores"])
        np.testing.assert_allclose(found.scores[mine].numpy(), wanted["scores"], atol=1e-4)
        np.testing.assert_allclose(found.boxes[mine].numpy() * np.tile(scale, 2), wanted["boxes"], atol=1e-2)
        np.testing.assert_allclose(found.logits[mine].numpy(), wanted["logits"], atol=1e-3, rtol=1e-3)
        off = np.abs(found.keypoints[mine].numpy() * scale - wanted["keypoints"]).max(-1)
        assert (off <= 1e-2).all(), f"{(off > 1e-2).sum()} of {off.size} keypoints are off"


def test_the_cases_cover_nobody_few_and_the_limit(golden: dict[str, np.ndarray]) -> None:
    counts = {len(values) for key, values in golden.items() if key.endswith("scores")}
    assert {0, 3, 100} <= counts
    assert any(3 < count < 100 for count in counts)


def test_the_grown_cases_cover_sides_below_a_pixel_and_every_level(golden: dict[str, np.ndarray]) -> None:
    small, large = (
        torch.from_numpy(golden[f"{case.name}/0/boxes"]) * (case.short_px / min(case.sizes[0])) for case in GROWN
    )
    assert (small[:, 2:] - small[:, :2]).min() < 0.5
    assert set(level_of(large, R50.level_first, len(R50.anchor_px) - 1).tolist()) == {0, 1, 2, 3}
