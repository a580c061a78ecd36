"""The engine, row by row, against torchvision and against what the machine can do, in one run on the same frames.

    python benchmarks/engine.py                                         # a made 720p scene; r50 with seeded weights
    python benchmarks/engine.py --weights keypointrcnn_resnet50_fpn_coco-fc266e95.pth
    python benchmarks/engine.py --torchvision-python other/bin/python   # where torchvision is installed elsewhere
    python benchmarks/engine.py --device cuda                           # batches of 1, 8 and 16

Every row is a process of its own; their calls take turns, so that whatever else the machine does meets all alike.
`r50` rows keep at most `--people` people, so that all of them do the same work (seeded weights find many); `lite` rows
find whom they find. `of peak`: the share of the machine's own matrix product, measured in the same run, that backbone,
pyramid and proposal head reach. `px off`: largest distance of a keypoint from torchvision's (else from eager's), of
people both find in the same place; the 99th percentile beside it, for seeded weights make maps with two equal peaks.
`MB`: the most that a row's process held, on a GPU the most that torch held there: what TensorRT takes is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "golden")]

from seeded import weights as seeded_weights  # noqa: E402

from configs.load import load  # noqa: E402
from stream.demo import make_scene  # noqa: E402
from stream.messages import Frame  # noqa: E402
from stream.pipeline import Pipeline  # noqa: E402
from stream.sources.find import find  # noqa: E402

ROW = Path(__file__).with_name("engine_row.py")
TRUTH = "torchvision fp32"
"""The row that keypoints are compared with on a GPU, where torchvision as it comes rounds to TF32."""


@dataclass
class Row:
    """One row: its process, and what it said."""

    name: str
    model: str
    orders: dict[str, Any]
    python: str = sys.executable
    process: subprocess.Popen[str] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    whole_s: list[float] = field(default_factory=list)
    features_s: list[float] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def start(self, folder: Path) -> None:
        """Begin to load; `ready` waits for it."""
        self.log = folder / f"{self.name.replace(' ', '-').replace(',', '')}.log"
        self.process = subprocess.Popen(
            [self.python, str(ROW)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
        )
        self._ask(json.dumps(self.orders))
        self.about = self._answer().get("about", {})

    def measure(self, at: int) -> None:
        """One call."""
        if self.problem:
            return
        self._ask(str(at))
        answer = self._answer()
        if answer:
            self.whole_s.append(answer["whole_s"])
            self.features_s.append(answer["features_s"])

    def finish(self) -> None:
        """Hear the rest and let it go."""
        if not self.problem:
            self._ask("end")
            self.end = self._answer()
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def _ask(self, line: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            said = self.log.read_text().strip().splitlines()
            self.problem = said[-1] if said else "ended without a word"
            return {}
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = _frames(asked, folder)
        np.save(folder / "frames.npy", np.stack(frames))
        weights = _weights(asked, folder)
        if asked.device == "cpu" and ("r50 fast" in asked.rows or not asked.rows):
            _quantize(frames, weights)
        print(
            f"{len(frames)} frames of {frames[0].shape[1]}x{frames[0].shape[0]}; {_processor()}, "
            f"{torch.get_num_threads()} threads; python {platform.python_version()}, torch {torch.__version__}"
        )
        for batch in asked.batch:
            _table(asked, folder, weights, batch)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", help="a video; default: a made one, 1280x720")
    parser.add_argument("--people", type=int, default=5, help="people in the made scene, and kept by r50 (default: 5)")
    parser.add_argument("--weights", help="of r50; default: seeded ones, which find people anywhere")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--batch", type=int, nargs="+", help="default: 1, on a GPU 1 8 16")
    parser.add_argument("--repeats", type=int, default=5, help="turns; in each, every row is called (default: 5)")
    parser.add_argument("--torchvision-python", default=sys.executable, metavar="FILE", help="python with torchvision")
    parser.add_argument("--rows", nargs="*", default=[], help="only these, by name")
    parser.add_argument("--inductor", action="store_true", help="inductor's rows on a CPU too: compiling takes minutes")
    asked = parser.parse_args()
    asked.batch = asked.batch or ([1] if asked.device == "cpu" else [1, 8, 16])
    return asked


def _frames(asked: argparse.Namespace, folder: Path) -> list[NDArray[np.uint8]]:
    clip = Path(asked.clip) if asked.clip else folder / "scene.mp4"
    if not asked.clip:
        make_scene(clip, people=asked.people, seconds=4.0)
    messages = Pipeline().source(find([str(clip)]), load(None), lambda: False)
    frames = [message.pixels.array.copy() for message in messages if isinstance(message, Frame)]
    step = max(1, len(frames) // 16)
    return frames[::step][:16]


def _weights(asked: argparse.Namespace, folder: Path) -> str:
    if asked.weights:
        return str(asked.weights)
    lines = (ROOT / "tests" / "golden" / "r50_shapes.txt").read_text().splitlines()
    shapes = {name: tuple(map(int, sides)) for name, *sides in (line.split() for line in lines)}
    path = folder / "seeded.pth"
    torch.save({name: torch.from_numpy(values) for name, values in seeded_weights(shapes, 2).items()}, path)
    return str(path)


def _quantize(frames: list[NDArray[np.uint8]], weights: str) -> None:
    """Prepare r50 for 8 bits, on the frames it will see; without NNCF its row computes in fp32 and says so."""
    from configs.errors import EngineError
    from configs.schema import EngineSettings
    from engines.backends import openvino_models
    from engines.quantize import quantize
    from engines.weights.load import load_model

    network = load_model("r50", weights)
    if all(openvino_models.prepared_file(network, part) for part in ("features", "keypoint_head")):
        return
    try:
        quantize(network, EngineSettings(model="r50", mode="fast"), frames, openvino_models.prepared_folder())
    except EngineError as error:
        print(f"r50 fast computes in fp32: {error}")


def _rows(asked: argparse.Namespace, folder: Path, weights: str, batch: int) -> list[Row]:
    shared = {"frames": str(folder / "frames.npy"), "batch": batch, "device": asked.device}
    large = {"model": "r50", "weights": weights, "people_max": asked.people, "device": asked.device}
    lite = {"model": "lite", "device": asked.device}

    def ours(name: str, **settings: Any) -> Row:
        return Row(name, settings["model"], {**shared, "kind": "posestream", "settings": settings})

    reference = {**shared, "kind": "torchvision", "weights": weights, "people_max": asked.people}
    rows = [Row("torchvision eager", "r50", {**reference, "tf32": True}, asked.torchvision_python)]
    if asked.device == "cpu":
        rows += [
            ours("r50 eager", **large, backend="eager"),
            ours("r50 openvino", **large, backend="openvino"),
            ours("r50 fast", **large, backend="openvino", mode="fast"),
            ours("lite eager", **lite, backend="eager"),
            ours("lite openvino", **lite, backend="openvino"),
            ours("lite openvino, 5 people", **lite, backend="openvino", people_max=asked.people),
            ours("lite fast", **lite, backend="openvino", mode="fast"),
            ours("lite fast, 5 people", **lite, backend="openvino", mode="fast", people_max=asked.people),
        ]
    else:
        rows += [
            Row(TRUTH, "r50", {**reference, "tf32": False}, asked.torchvision_python),
            ours("r50 fp32", **large, backend="eager", precision="fp32"),
            ours("r50 fp16 graphs", **large, backend="eager"),
            ours("r50 fast", **large, backend="eager", mode="fast"),
            ours("r50 tensorrt", **large, backend="tensorrt"),
            ours("lite fp16 graphs", **lite, backend="eager"),
        ]
    if asked.inductor or asked.device != "cpu":
        rows += [ours("r50 inductor", **large, backend="inductor"), ours("lite inductor", **lite, backend="inductor")]
    return [row for row in rows if not asked.rows or row.name in asked.rows]


def _table(asked: argparse.Namespace, folder: Path, weights: str, batch: int) -> None:
    shared = {"frames": str(folder / "frames.npy"), "batch": 1, "device": asked.device}
    probe = Row("peak", "", {**shared, "kind": "probe"})
    rows = [probe, *_rows(asked, folder, weights, batch)]
    for row in rows:
        row.start(folder)
    for turn in range(asked.repeats):
        for row in rows:
            for call in range(4 if row.model == "lite" or row is probe else 1):  # quick rows: more calls a turn
                row.measure(turn * 4 + call)
    for row in rows:
        row.finish()
    if probe.problem:
        sys.exit(f"the machine cannot be measured: {probe.problem}")
    _print(probe, rows[1:], batch, asked.repeats)


def _print(probe: Row, rows: list[Row], batch: int, repeats: int) -> None:
    peak = probe.about["flop"] / min(probe.whole_s)
    copied = probe.about["bytes"] / min(probe.features_s)
    print(f"\nbatch {batch}, {repeats} turns; peak {peak / 1e9:.0f} GFLOP/s, copy {copied / 1e9:.1f} GB/s")
    print(
        f"{'':24}{'images/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>7}{'features ms':>13}{'of peak':>9}"
        f"{'people':>8}{'px off':>9}{'p99':>7}{'MB':>7}"
    )
    references: dict[str, Row] = {}
    truths = {row.model: row for row in rows if row.name == TRUTH and not row.problem}
    for row in rows:
        if row.problem:
            print(f"{row.name:24}not run: {row.problem}")
            continue
        reference = references.setdefault(row.model, row)
        print(_line(row, reference, truths.get(row.model, reference), peak, batch))
    for row in rows:
        for note in row.about.get("notes", []):
            print(f"{row.name}: {note}")


def _line(row: Row, reference: Row, truth: Row, peak: float, batch: int) -> str:
    whole_s, features_s = statistics.median(row.whole_s), statistics.median(row.features_s)
    share = f"{row.about['flop'] / features_s / peak:9.0%}" if row.about.get("flop") else f"{'':9}"
    people = statistics.mean(len(one["scores"]) for one in row.end["found"])
    off = _off(row.end["found"], truth.end["found"])
    far = f"{off.max():9.3f}{np.quantile(off, 0.99):7.3f}" if len(off) and row is not truth else f"{'':16}"
    return (
        f"{row.name:24}{batch / whole_s:9.2f}{1e3 * whole_s:9.1f}{1e3 * np.quantile(row.whole_s, 0.99):9.1f}"
        f"{statistics.median(reference.whole_s) / whole_s:7.2f}{1e3 * features_s:13.1f}{share}{people:8.1f}{far}"
        f"{row.end['peak_bytes'] / 1e6:7.0f}"
    )


def _off(found: list[dict[str, Any]], reference: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Distances of the keypoints of people whose boxes lie within a pixel."""
    off = [np.zeros(0)]
    for mine, other in zip(found, reference, strict=True):
        boxes, others = np.array(mine["boxes"]).reshape(-1, 4), np.array(other["boxes"]).reshape(-1, 4)
        for at, box in enumerate(boxes):
            near = np.flatnonzero(np.abs(others - box).max(1) < 1.0) if len(others) else []
            if len(near):
                away = np.array(mine["keypoints"][at]) - np.array(other["keypoints"][near[0]])
                off.append(np.abs(away).max(-1))
    return np.concatenate(off)


def _processor() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
