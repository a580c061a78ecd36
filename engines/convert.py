"""Convert a checkpoint of Detectron2's Keypoint R-CNN into weights for this engine.

    python -m engines.convert model_final_a6e10b.pkl -o r50-d2.safetensors
    python -m engines.convert output/model_final.pth -o mine.safetensors --architecture r50-d2

What the checkpoint is for is never guessed. A published file is known by its hash; any other says it itself, if it
names its pixel_std, or you say it with --architecture.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from configs.errors import EXIT_INTERRUPTED, EngineError
from engines import detectron2, state_dict, zoo
from engines.model.architecture import ARCHITECTURES

_MODELS = [entry.model for entry in zoo.ENTRIES.values() if entry.detectron2]


def main(arguments: list[str]) -> int:
    """Run the command line and give its exit code: 0; 6 and one line that says why it cannot be done; 130 by Ctrl-C."""
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


def convert(source: Path, output: Path, model: str | None = None) -> str:
    """Write a checkpoint's weights as a .safetensors file and give the model that they are for.

    Args:
        source: Detectron2's .pkl or .pth.
        output: written whole or not at all.
        model: what it is for; None: it has to be clear from the file.

    Raises:
        EngineError: the file cannot be read, is for another model or is not clear, or not all of its numbers are
            finite; or the output cannot be written.
    """
    theirs = detectron2.read(source)
    try:
        ours = detectron2.converted(theirs)
    except ValueError as error:
        raise EngineError(f"weights file {source} is not Detectron2's Keypoint R-CNN: {error}") from None
    model = model or _recognised(source, theirs, ours)
    state_dict.check(source, model, state_dict.shapes(ARCHITECTURES[model]), ours)
    fault = detectron2.differs(theirs, ARCHITECTURES[model])
    if fault:
        raise EngineError(f"weights file {source} is not for model {model}: {fault}")
    state_dict.check_finite(source, ours, theirs)
    with source.open("rb") as file:
        made_of = hashlib.file_digest(file, "sha256").hexdigest()
    state_dict.write(output, ours, {state_dict.ARCHITECTURE_KEY: model, state_dict.SOURCE_KEY: made_of})
    return model


def _recognised(source: Path, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> str:
    """Give the model that a checkpoint is for.

    Names and shapes do not tell where the strides lie, nor what pixels the network wants. In Detectron2's
    configurations both go with pixel_std: 1 for networks that halve in the 1x1 convolution, ImageNet's for the others.
    """
    for entry in zoo.ENTRIES.values():
        if entry.detectron2 and entry.digest_of(source) == entry.digest:
            return entry.model
    ask = f"say which with --architecture {'|'.join(_MODELS)}"
    sizes = {name: tensor.shape for name, tensor in ours.items()}
    for model in _MODELS:
        if sizes == {name: tensor.shape for name, tensor in state_dict.shapes(ARCHITECTURES[model]).items()}:
            if "pixel_std" in theirs and not detectron2.differs(theirs, ARCHITECTURES[model]):
                return model
            raise EngineError(f"weights file {source} has the shapes of {model}, but may be of another kind: {ask}")
    raise EngineError(f"weights file {source} has the names and shapes of no known model: {ask}, to see what differs")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.convert",
        description="Convert a checkpoint of Detectron2's Keypoint R-CNN into weights for this engine.",
    )
    parser.add_argument("checkpoint", type=Path, help="Detectron2's file: .pkl of its model zoo, or .pth of a training")
    parser.add_argument(
        "-o", "--output", type=_safetensors, required=True, metavar="FILE", help="what to write: a .safetensors file"
    )
    parser.add_argument("--architecture", choices=_MODELS, help="what it is for (default: known from the file)")
    return parser.parse_args(arguments)


def _safetensors(text: str) -> Path:
    path = Path(text)
    if not state_dict.is_safetensors(path):
        raise argparse.ArgumentTypeError(f"got {text}, expected a name that ends in .safetensors")
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
