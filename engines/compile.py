"""Build TensorRT's engines ahead of the first run, which takes minutes.

    python -m engines.compile --model lite --imgsz 320x576 --device cuda:0

It builds in a process of its own: when the builder crashes or runs out of memory, its caller is told and lives on.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys

import torch

from configs.errors import EXIT_INTERRUPTED, EngineError
from engines.backends import tensorrt_engine
from engines.backends.prebuild import child, child_environment, die_with
from engines.model.architecture import ARCHITECTURES
from engines.weights.load import load_model

_DTYPES = {"fp16": torch.float16, "fp32": torch.float32}


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit code: 0, or 6 and one line that says what is missing."""
    given = _parse(arguments)
    try:
        if given.child_of is None:
            tensorrt_engine.require_tensorrt(torch.device(given.device))
            return in_a_child(child("engines.compile", arguments))
        die_with(given.child_of)
        build(given.model, given.weights, given.imgsz, torch.device(given.device), _DTYPES[given.precision])
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return EngineError.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def in_a_child(command: list[str]) -> int:
    """Run a builder; return its exit code: 0, 6 or 130, whichever way it ended. Its output is shown as it comes."""
    ended = subprocess.run(command, check=False, env=child_environment()).returncode
    if ended not in (0, EngineError.exit_code, EXIT_INTERRUPTED):
        how = f"signal {signal.Signals(-ended).name}" if ended < 0 else f"exit code {ended}"
        print(f"error: the builder of the engines ended with {how}; what it said is above", file=sys.stderr)
        return EngineError.exit_code
    return ended


def build(model: str, weights: str, image_hw: tuple[int, int], device: torch.device, dtype: torch.dtype) -> None:
    """Build a model's engines in this process, or find them built, and run each of them once.

    Raises:
        EngineError: there is no such GPU or no TensorRT, or they cannot be built, or the weights cannot be loaded.
    """
    network = load_model(model, weights)
    maker = tensorrt_engine.Maker(network, device, dtype, tensorrt_engine.engine_cache())
    for name, part in network.parts().items():
        print(f"{name}: ", end="", flush=True)
        tensorrt_engine.make(maker, name, image_hw)
        run = tensorrt_engine.load(maker, name, image_hw)
        if run is None:
            raise EngineError(f"the engine of {name} was made and cannot be read back: {'; '.join(maker.cache.notes)}")
        run(torch.zeros(1, *part.row_of(image_hw), device=device))
        torch.cuda.synchronize(device)
        print("ready", flush=True)
    for note in maker.cache.notes:
        print(note, file=sys.stderr)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.compile",
        description="Build the TensorRT engines of a model and keep them, so that the first run need not.",
    )
    parser.add_argument("--model", choices=list(ARCHITECTURES), default="lite", help="architecture (default: lite)")
    parser.add_argument("--weights", default="auto", help="a file; auto: what belongs to the model (default)")
    parser.add_argument(
        "--imgsz",
        type=_height_width,
        required=True,
        metavar="HxW",
        help="what the network sees, in pixels, multiples of 32: 320x576 for lite and 768x1344 for r50 from 16:9 video",
    )
    parser.add_argument("--device", default="cuda:0", type=_cuda, help="an NVIDIA GPU (default: cuda:0)")
    parser.add_argument("--precision", choices=list(_DTYPES), default="fp16", help="computed in (default: fp16)")
    parser.add_argument("--child-of", type=int, help=argparse.SUPPRESS)  # the process whose child this is
    return parser.parse_args(arguments)


def _height_width(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"got {text}, expected height x width such as 320x576")
    if not all(0 < int(side) <= 8192 and int(side) % 32 == 0 for side in (height, width)):
        raise argparse.ArgumentTypeError(f"got {text}, expected multiples of 32 up to 8192")
    return int(height), int(width)


def _cuda(text: str) -> str:
    if not re.fullmatch(r"cuda(:(0|[1-9][0-9]?))?", text):  # torch takes cuda:256 for cuda:0
        raise argparse.ArgumentTypeError(f"got {text}, expected cuda or cuda:N")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
