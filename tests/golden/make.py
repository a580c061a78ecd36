"""Makes the golden files: what torchvision itself gives for seeded weights and pictures.

    pip install torch===2.13.0 torchvision==0.28.0       # torch's CUDA build: torchvision has none for the CPU one
    python tests/golden/make.py

Writes r50.npz beside this file: for each case of `CASES` and `GROWN` the detections of each of its pictures; and
r50_shapes.txt, the names and shapes of torchvision's weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cases import CASES, GROWN, Case
from seeded import picture, weights

HERE = Path(__file__).parent


def main() -> None:
    """Run torchvision over all cases."""
    import torchvision

    golden: dict[str, np.ndarray] = {"torchvision": np.array(torchvision.__version__)}
    for case in (*CASES, *GROWN):
        for at, found in enumerate(_run(case)):
            for key, values in found.items():
                golden[f"{case.name}/{at}/{key}"] = values
            scores = found["scores"].round(4).tolist()
            print(f"{case.name}/{at}: {len(scores)} people, scores {scores[:1]} to {scores[-1:]}")
    np.savez_compressed(HERE / "r50.npz", **golden)


def _run(case: Case) -> list[dict[str, np.ndarray]]:
    import torch
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    model = keypointrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        min_size=case.short_px,
        max_size=case.long_px,
        box_score_thresh=case.score_min,
        box_detections_per_img=case.people_max,
    ).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    (HERE / "r50_shapes.txt").write_text(
        "".join(f"{name} {' '.join(map(str, shape))}\n" for name, shape in shapes.items())
    )
    made = weights(shapes, case.seed, case.growth)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in made.items()})
    pictures = [
        torch.from_numpy(picture(h, w, case.seed + at)).permute(2, 0, 1) / 255 for at, (h, w) in enumerate(case.sizes)
    ]
    with torch.inference_mode():
        found = model(pictures)
    return [
        {
            "boxes": one["boxes"].numpy(),
            "scores": one["scores"].numpy(),
            "keypoints": one["keypoints"][..., :2].numpy(),
            "logits": one["keypoints_scores"].numpy(),
        }
        for one in found
    ]


if __name__ == "__main__":
    main()
