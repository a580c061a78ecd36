"""Write the records of a run, or those of another program, in other formats.

python -m stream.export runs/clip --format csv,coco
python -m stream.export runs/clip/keypoints.jsonl --format trc --out elsewhere
python -m stream.export openpose_json/ --from openpose --size 1280x720 --fps 30 --format jsonl --out clip
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from configs.errors import EXIT_INTERRUPTED, ConfigError, PosestreamError
from engines.ops.skeleton import COCO, Skeleton
from stream.export import mmpose, openpose, ultralytics
from stream.export.clip import Clip, open_run
from stream.export.foreign import Foreign
from stream.export.formats import FORMATS
from stream.export.skeleton_file import read_skeleton

_FOREIGN = ("openpose", "mmpose", "ultralytics")


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code is that of the error, of which a line tells what is wrong."""
    given = _parse(arguments)
    try:
        clip = _clip(given)
        path = given.source
        folder = given.out or (path if path.is_dir() and given.form == "posestream" else path.parent)
        chosen = [FORMATS[name] for name in given.format]
        for each in chosen:
            each.check(clip.skeleton)
        for each in chosen:
            print(each.export(clip, folder, given.overwrite))
    except PosestreamError as error:
        print(f"posestream: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _clip(given: argparse.Namespace) -> Clip:
    skeleton: Skeleton | None = read_skeleton(given.skeleton) if given.skeleton else None
    if given.form == "posestream":
        return open_run(given.source, skeleton)
    if given.size is None or given.fps is None:
        raise ConfigError(f"--from {given.form} needs --size and --fps of the video: its files do not hold them")
    foreign = Foreign(given.source.stem, given.size, given.fps)
    if given.form == "openpose":
        return openpose.read(given.source, foreign)
    read = mmpose.read if given.form == "mmpose" else ultralytics.read
    return read(given.source, foreign, skeleton or COCO)


def _parse(arguments: list[str]) -> argparse.Namespace:
    about, _, examples = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        "python -m stream.export",
        description=about,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="a source's folder in runs/, a keypoints.jsonl, or see --from")
    parser.add_argument("--format", type=_formats, required=True, help=f"one or several of {', '.join(FORMATS)}")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to (default: beside the records)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--skeleton", metavar="FILE", help="a settings file with a part `skeleton:` (default: run.json's)"
    )
    parser.add_argument(
        "--from", dest="form", default="posestream", choices=("posestream", *_FOREIGN), help="who wrote it"
    )
    parser.add_argument("--size", type=_size, metavar="WxH", help="the video's width and height, as 1280x720")
    parser.add_argument("--fps", type=_fps, help="the video's frame rate")
    return parser.parse_args(arguments)


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is no format; known are {', '.join(FORMATS)}")
    return names


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"got {text}, expected width and height as 1280x720")
    return int(found[1]), int(found[2])


def _fps(text: str) -> float:
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 0 < fps <= 1000:
        raise argparse.ArgumentTypeError(f"got {text}, expected frames a second, above 0 and at most 1000")
    return fps


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
