"""One row of `benchmarks/engine.py`, in a process of its own: orders come in and figures go out, a line of JSON each.

Libraries that share a process slow each other down (their threads wait by spinning), and memory is only known of a
whole process.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

Answer = Callable[[], list[dict[str, Any]]]


def main() -> None:
    given = json.loads(sys.stdin.readline())
    frames = list(np.load(given["frames"]))
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print is no answer
        make = _torchvision if given["kind"] == "torchvision" else _probe if given["kind"] == "probe" else _posestream
        batches = [frames[at : at + given["batch"]] for at in range(0, len(frames), given["batch"])]
        call, features, about = make(given, batches)
        # On a GPU graphs are recorded: of a number of people when it first comes, of a size when it comes again.
        for batch in 2 * batches if given["device"] != "cpu" else batches[:1]:
            call(batch)
            features(batch)
    print(json.dumps({"about": about}), flush=True)
    for order in sys.stdin:
        if order.strip() == "end":
            print(json.dumps(_end(call, batches)), flush=True)
            return
        at = int(order) % len(batches)
        print(
            json.dumps({"whole_s": _timed(call, batches[at]), "features_s": _timed(features, batches[at])}), flush=True
        )


def _timed(call: Callable[[Any], Any], batch: Any) -> float:
    _wait()
    started_s = time.perf_counter()
    call(batch)
    _wait()
    return time.perf_counter() - started_s


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _end(call: Callable[[Any], Any], batches: list[Any]) -> dict[str, Any]:
    found = [people for batch in batches for people in call(batch) or []]
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else _resident_bytes_max()
    return {"peak_bytes": peak, "found": found}


def _resident_bytes_max() -> int:
    # Not getrusage: what it says begins with the size of whoever started this process.
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def _posestream(given: dict[str, Any], batches: list[Any]) -> tuple[Any, Any, dict[str, Any]]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from torch.utils.flop_counter import FlopCounterMode

    from configs.schema import EngineSettings
    from engines.model.keypoint_rcnn import FeaturesPart, KeypointRCNN
    from engines.pose_engine import PoseEngine
    from engines.preprocess import to_input

    engine = PoseEngine(EngineSettings(**given["settings"]))
    parts = engine._finder.parts
    device = parts.device
    inputs = {id(batch): to_input(batch, engine.architecture, device).images for batch in batches}

    def features(batch: Any) -> None:
        with torch.inference_mode(), parts.glue():
            parts.run["features"](inputs[id(batch)])

    def people(batch: Any) -> list[dict[str, Any]]:
        return [
            {"scores": one.scores.tolist(), "boxes": one.boxes.tolist(), "keypoints": one.keypoints.tolist()}
            for one in engine(batch)
        ]

    with torch.device("meta"):
        part = FeaturesPart(KeypointRCNN(engine.architecture))
        with FlopCounterMode(display=False) as counter:
            part(torch.empty(inputs[id(batches[0])].shape))
    about = {
        "torch": torch.__version__,
        "notes": engine.notes,
        "flop": counter.get_total_flops(),
        "input": list(inputs[id(batches[0])].shape),
    }
    return people, features, about


def _torchvision(given: dict[str, Any], batches: list[Any]) -> tuple[Any, Any, dict[str, Any]]:
    import torchvision
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    device = torch.device(given["device"])
    model = keypointrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, box_detections_per_img=given["people_max"]
    ).eval()
    model.load_state_dict(torch.load(given["weights"], weights_only=True))
    model.to(device)
    if not given["tf32"]:
        torch.backends.cudnn.allow_tf32 = False

    def tensors(batch: Any) -> list[torch.Tensor]:
        return [torch.from_numpy(frame).to(device).permute(2, 0, 1) / 255 for frame in batch]

    def people(batch: Any) -> list[dict[str, Any]]:
        with torch.inference_mode():
            found = model(tensors(batch))
        return [
            {
                "scores": one["scores"].tolist(),
                "boxes": one["boxes"].tolist(),
                "keypoints": one["keypoints"][..., :2].tolist(),
            }
            for one in found
        ]

    def features(batch: Any) -> None:
        with torch.inference_mode():
            images, _ = model.transform(tensors(batch))
            model.rpn.head(list(model.backbone(images.tensors).values()))

    about = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    return people, features, about


def _probe(given: dict[str, Any], batches: list[Any]) -> tuple[Any, Any, dict[str, Any]]:
    """What the machine can do at best: "whole" is a product of matrices, "features" a copy."""
    device = torch.device(given["device"])
    side = 8192 if device.type == "cuda" else 1536
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    one, other, out = (torch.randn(side, side, device=device).to(dtype) for _ in range(3))
    here, there = (torch.zeros(1 << 26, device=device) for _ in range(2))
    times = 4
    about = {"flop": times * 2 * side**3, "bytes": times * 2 * here.nbytes}

    def product(_: Any) -> None:
        for _ in range(times):
            torch.mm(one, other, out=out)

    def copy(_: Any) -> None:
        for _ in range(times):
            there.copy_(here)

    return product, copy, about


if __name__ == "__main__":
    main()
