"""Convert a checkpoint of Detectron2's Keypoint R-CNN into weights for this engine.

    python -m engines.convert model_final_a6e10b.pkl -o r50-d2.safetensors
    python -m engines.convert output/model_final.pth -o mine.safetensors --architecture r50-d2

What the checkpoint is for is never guessed. A published file is known by its hash; any other says it itself, if it
names its pixel_std, or you say it with --architecture.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from configs.errors import EXIT_INTERRUPTED, EngineError
from engines.weights import state_dict
from engines.weights.conversion import MODELS, convert


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit code: 0; 6 and one line that says why it cannot be done; 130 by Ctrl-C."""
    given = _parse(arguments)
    try:
        model = convert(given.checkpoint, given.output, given.architecture)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return EngineError.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    print(f"{given.output}: weights for --model {model}")
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.convert",
        description="Convert a checkpoint of Detectron2's Keypoint R-CNN into weights for this engine.",
    )
    parser.add_argument("checkpoint", type=Path, help="Detectron2's file: .pkl of its model zoo, or .pth of a training")
    parser.add_argument(
        "-o", "--output", type=_safetensors, required=True, metavar="FILE", help="what to write: a .safetensors file"
    )
    parser.add_argument("--architecture", choices=MODELS, help="what it is for (default: known from the file)")
    return parser.parse_args(arguments)


def _safetensors(text: str) -> Path:
    path = Path(text)
    if not state_dict.is_safetensors(path):
        raise argparse.ArgumentTypeError(f"got {text}, expected a name that ends in .safetensors")
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
