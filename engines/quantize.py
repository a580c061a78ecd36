"""Prepare parts of a network to be computed in 8 bits on a CPU: what `--mode fast` uses where it is there.

    pip install 'posestream[int8]'
    python -m engines.quantize --model r50 --weights r50.pth holiday/*.jpg

NNCF looks at what passes through the network when it sees these pictures: a hundred of the kind that it will see.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import importlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from configs.errors import EXIT_INTERRUPTED, EngineError
from configs.schema import EngineSettings
from engines.backends import eager, openvino_models
from engines.model.architecture import ARCHITECTURES
from engines.model.network import Network
from engines.model.parts import Parts, Run
from engines.modes import Plan, plan
from engines.preprocess import to_input
from engines.weights.load import load_model

if TYPE_CHECKING:
    from PIL.Image import Image

_PICTURES_MAX = 300
_IN_FP32 = r".*kps_score_lowres.*"
"""The keypoint head's last layer: OpenVINO computes it in fp32 anyway, so rounding its weights would only cost."""


def main(arguments: list[str]) -> int:
    """Run the command line and give its exit code: 0; 6 and one line that says what is missing; 130 by Ctrl-C."""
    given = _parse(arguments)
    try:
        settings = EngineSettings(model=given.model, weights=given.weights, device="cpu", mode="fast")
        network = load_model(given.model, given.weights)
        pictures = _read(given.pictures)
        for path in quantize(network, settings, pictures, given.folder or openvino_models.prepared_folder()):
            print(path)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return EngineError.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def quantize(
    network: Network, settings: EngineSettings, pictures: Iterable[NDArray[np.uint8]], folder: Path
) -> list[Path]:
    """Write the parts that a mode wants in 8 bits and give their files.

    Args:
        network: the network, as its engine has it.
        settings: of that engine: model and mode.
        pictures: (H, W, 3) uint8 RGB each; gone through once, so they need not all be in memory.
        folder: where the files go; an engine looks into `openvino_models.prepared_folder()`.

    Raises:
        EngineError: NNCF is not installed, it cannot do it, or nobody is in the pictures.
    """
    models = openvino_models.converted(network)
    nncf = _import()
    wanted = plan(settings, ARCHITECTURES[settings.model], "cpu")
    seen = _seen(network, wanted, pictures)
    written = []
    for part, model in models.items():
        if part not in wanted.int8:
            continue
        if not seen[part]:
            raise EngineError(f"{part} cannot be prepared: nobody was found in the pictures; give others")
        made = nncf.quantize(
            model,
            nncf.Dataset(seen[part]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(seen[part]),
            ignored_scope=nncf.IgnoredScope(patterns=[_IN_FP32], validate=False),
            # Weights in 7 bits: with 8, sums of products overflow on CPUs without VNNI.
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )
        written.append(_write(made, folder / openvino_models.prepared_name(network, part)))
    return written


def _seen(
    network: Network, wanted: Plan, pictures: Iterable[NDArray[np.uint8]]
) -> dict[str, list[NDArray[np.float32]]]:
    """Inputs of each part to be quantised, recorded while the network finds people in the pictures."""
    seen: dict[str, list[NDArray[np.float32]]] = {name: [] for name in wanted.int8}

    def noted(name: str, part: Run) -> Run:
        def run(x: Tensor) -> Sequence[Tensor]:
            if name in seen:
                seen[name].append(np.ascontiguousarray(openvino_models.given(x).numpy()))
            return part(x)

        return run

    cpu = torch.device("cpu")
    parts = {name: noted(name, part) for name, part in eager.build(network, cpu).run.items()}
    finder = network.finder(Parts(parts, cpu), wanted.architecture, wanted.limits)
    with torch.inference_mode():
        for picture in pictures:
            batch = to_input([picture], wanted.architecture, cpu)
            finder.find(batch.images, batch.sizes)
    return seen


def _write(made: Any, path: Path) -> Path:
    """All or nothing: the .xml, which is looked for, comes last."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            openvino_models.save(made, Path(scratch) / path.name)
            for suffix in (".bin", ".xml"):
                (Path(scratch) / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))
    except (OSError, RuntimeError) as error:
        raise EngineError(f"{path} cannot be written: {str(error).partition(chr(10))[0]}") from error
    return path


def _import() -> ModuleType:
    try:
        return importlib.import_module("nncf")
    except ImportError as error:
        raise EngineError(
            f"engines.quantize needs a package that cannot be imported ({error}): pip install 'posestream[int8]'"
        ) from error


def _read(patterns: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """Pictures, decoded one at a time; each file is checked to be a picture before the first is decoded."""
    paths = [path for pattern in patterns for path in _paths(pattern)]
    if not paths:
        raise EngineError(f"no picture at {' '.join(patterns)}: name files, as holiday/*.jpg")
    paths = paths[:: -(-len(paths) // _PICTURES_MAX)]
    for path in paths:
        with _opened(path):
            pass
    return map(_decoded, paths)


def _paths(pattern: str) -> list[str]:
    # The name of a file may look like a pattern.
    return [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))


def _decoded(path: str) -> NDArray[np.uint8]:
    with _opened(path) as picture:
        return np.asarray(picture.convert("RGB"))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Image]:
    """Open a picture, of which only the head is read, and say in one line what is wrong with it or its use."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            yield picture
    except Exception as error:  # whatever a broken picture makes of itself
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EngineError(f"picture {path} cannot be read: {reason}") from error


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.quantize",
        description="Prepare parts of a model for 8 bits on a CPU: --mode fast uses them where they are there.",
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a hundred or so of the kind it will see; globs")
    parser.add_argument("--model", choices=list(ARCHITECTURES), default="lite", help="architecture (default: lite)")
    parser.add_argument("--weights", default="auto", help="a file; auto: what belongs to the model (default)")
    parser.add_argument("--folder", type=Path, help="where the files go (default: where engines look for them)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
