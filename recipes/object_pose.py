"""Follow an object in six degrees of freedom: where it stands, how it is turned, and its model drawn upon it.

    python -m recipes.object_pose --demo seen                     # on a rendered video, which is made there first
    python -m recipes.object_pose --source 0 --focal 620 --output seen

The object is the toy truck of docs/pose6d.md. Printed twice a second: its place before the camera, from which side it
is seen, and how sure both are. Distances are right where the camera's focal length is.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from msgspec import structs

from configs.errors import ConfigError, PosestreamError
from configs.load import load, resolve
from engines.pose6d import truck
from engines.pose6d.camera import F, in_camera, intrinsics, project
from engines.pose6d.locate import Locator
from engines.pose6d.outline import Outline
from engines.pose6d.pose import Estimate
from engines.pose6d.refine import Pose
from engines.pose6d.views import seen_from
from recipes.object_demo import FOCAL_SHARE, make_demo
from recipes.run import go
from stream.draw import Canvas
from stream.interrupts import Interrupts
from stream.messages import Frame, Message, Pixels
from stream.outputs import output_folders
from stream.pipeline import Pipeline
from stream.sources.find import find
from stream.stage import Stage

_EVERY_S = 0.5
_COLOURS = ((90, 240, 255), (235, 70, 70), (70, 210, 90), (90, 140, 255))
"""Of the model, and of the object's axes x, y, z."""
_AXIS_M = 0.08


class ObjectPose(Stage):
    """Frames in and on, the object drawn on a copy of their picture; its pose is printed."""

    def __init__(self, focal_px: float | None = None) -> None:
        """Load the network; `focal_px`: the camera's focal length, None where it is not known.

        Raises:
            EngineError: its weights cannot be read.
        """
        self._locator, self._outline, self._focal_px = Locator(), Outline(truck.mesh()), focal_px
        self.last: dict[str, Estimate | None] = {}
        """Source -> what its newest frame says; None: the object is not there."""
        self._told_s: dict[tuple[str, int], float] = {}
        """(source, epoch) -> time of the newest frame whose pose was printed."""

    def process(self, message: Message) -> Iterator[Message]:
        yield self._drawn(message) if isinstance(message, Frame) else message

    def _drawn(self, frame: Frame) -> Frame:
        focal_px = self._focal_px or FOCAL_SHARE * frame.width
        camera = intrinsics(focal_px, (frame.height, frame.width))
        located = self._locator.locate(frame.picture, camera, self.last.get(frame.source))
        self.last[frame.source] = estimate = located.estimate if located else None
        text = _text(estimate)
        key, now_s = (frame.source, frame.epoch), frame.pts_ns / 1e9
        if now_s >= self._told_s.get(key, -math.inf) + _EVERY_S - 1e-6:
            self._told_s[key] = now_s
            print(f"{frame.source} {now_s:8.2f} s  {text}", flush=True)
        canvas = Canvas(frame.picture)
        if estimate and estimate.pose:
            self._draw(canvas, estimate.pose, camera)
        canvas.note(text)
        slot = frame.pixels.slot if frame.pixels else None
        return structs.replace(frame, pixels=Pixels(canvas.picture, slot))

    def _draw(self, canvas: Canvas, pose: Pose, camera: F) -> None:
        ends = np.stack((np.zeros((3, 3)), _AXIS_M * np.eye(3)), 1).reshape(-1, 3)
        axes = in_camera(ends, pose.rotation, pose.translation).reshape(-1, 1, 2, 3)
        for lines, colour in zip((self._outline.seen(pose.rotation, pose.translation), *axes), _COLOURS, strict=True):
            canvas.lines(project(camera, lines.reshape(-1, 3)).reshape(-1, 2, 2), colour)


def _text(estimate: Estimate | None) -> str:
    if estimate is None or estimate.pose is None:
        return "nothing found" if estimate is None else f"no pose: {estimate.verdict}"
    pose = estimate.pose
    x, y, z = 100 * pose.translation
    azimuth, elevation = seen_from(pose.rotation)
    deviations = np.sqrt(pose.covariance.diagonal()[:6])
    turn_deg, place_cm = np.degrees(np.linalg.norm(deviations[:3])), 100 * np.linalg.norm(deviations[3:])
    doubt = "" if estimate.verdict == "ok" else f" {estimate.verdict}"
    side = f"azimuth {azimuth:.0f}, elevation {elevation:.0f} +- {turn_deg:.1f} deg"
    return f"x {x:.1f} y {y:.1f} z {z:.1f} +- {place_cm:.1f} cm, {side}{doubt}"


def main(arguments: list[str]) -> int:
    """Run the command line; its exit code."""
    given = _parse(arguments)
    try:
        with Interrupts() as interrupts:
            _watch(given, lambda: interrupts.count() > 0)
            return interrupts.exit_code()
    except PosestreamError as error:
        print(f"posestream: {error}", file=sys.stderr)
        return error.exit_code


def _watch(given: argparse.Namespace, stop: Callable[[], bool]) -> None:
    source, output = given.source, given.output
    if given.focal is not None and not given.focal >= 1:
        raise ConfigError(f"--focal is {given.focal:g}; it must be 1 pixel or more")
    if given.demo is not None:
        source = str(make_demo(given.demo / "truck.mp4"))
        output = output or str(given.demo / "overlay")
    settings = resolve(load(None, given.set, {"output.folder": output}, {}))
    specs, pipeline = find([source]), Pipeline()
    if output is None:
        go(pipeline.source(specs, settings, stop), [ObjectPose(given.focal)])
        return
    with output_folders(specs, settings) as placed:
        go(pipeline.source(placed, settings, stop), [ObjectPose(given.focal), pipeline.stage("video", settings)])
        print(*sorted(path for spec in placed for path in Path(spec.folder).glob("overlay*.mp4")), sep="\n")


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = argparse.ArgumentParser(
        "python -m recipes.object_pose", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", help="file, folder, camera (0), rtsp://…")
    what.add_argument("--demo", type=Path, metavar="DIR", help="make a video of the object there, and follow it")
    made.add_argument("--focal", type=float, metavar="PX", help="the camera's focal length (0.9 of the width)")
    made.add_argument("--output", metavar="DIR", help="write an overlay video there (--demo: overlay/ in its folder)")
    made.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting, as decode.start_s=10"
    )
    return made.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
