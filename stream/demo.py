"""Short clips made at run time: the demo's drawn people, who cross, leave and come back, and portraits at a counter.

The portrait, of whom copies pass each other, is matplotlib's sample picture of Grace Hopper, a photograph of the US
Navy in the public domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from matplotlib.cbook import get_sample_data
from matplotlib.path import Path as Outline
from msgspec import structs
from numpy.typing import NDArray

from engines.train.synthetic import Scene
from engines.train.target import Target
from stream.demo_truth import TRUTH, told, write_truth
from stream.messages import SourceSpec

FPS = 30
WIDTH, HEIGHT = 1280, 720

_OUTLINE = (
    (18, 600), (18, 540), (20, 500), (27, 450), (33, 425), (41, 403), (49, 390), (61, 381), (80, 372), (110, 362),
    (140, 352), (165, 342), (180, 331), (193, 317), (199, 304), (186, 292), (173, 282), (164, 270), (164, 240),
    (159, 224), (155, 208), (154, 192), (156, 176), (150, 165), (151, 130), (154, 104), (160, 91), (167, 86),
    (177, 83), (177, 79), (182, 67), (191, 57), (206, 47), (219, 42), (223, 35), (236, 28), (260, 24), (280, 27),
    (292, 33), (300, 42), (318, 47), (334, 58), (345, 71), (352, 86), (361, 88), (366, 96), (369, 120), (370, 140),
    (368, 165), (366, 183), (371, 188), (373, 196), (372, 210), (368, 230), (364, 245), (356, 262), (355, 275),
    (349, 288), (342, 297), (333, 302), (329, 308), (339, 320), (360, 334), (400, 352), (440, 370), (465, 380),
    (489, 392), (498, 410), (506, 432), (509, 450), (509, 600),
)  # fmt: skip
"""The person in the portrait, x and y of its pixels, drawn along by hand."""
_COUNTER_TOP = 600
_COATS = ((0, 0, 0), (84, 8, 26), (0, 62, 58), (66, 52, 8), (50, 18, 84), (8, 44, 96))
"""What is added to dark pixels, RGB: people in coats of their own colours."""


@dataclass(frozen=True)
class _Actor:
    """One copy of the person: a picture, how much of each pixel covers, and its way."""

    rgb: NDArray[np.int16]
    cover: NDArray[np.int16]
    """(h, w, 1) in 0..128: times a difference of two colours it fits 16 bits."""
    middle: float
    swing: float
    """How far it goes to either side, pixels; below 0: to the left first."""
    top: float

    def paint(self, scene: NDArray[np.int16], time_s: float) -> None:
        """Put it into the scene, where it is at that time."""
        height, width, _ = self.rgb.shape
        left = round(self.middle + self.swing * math.sin(1.7 * time_s) - width / 2)
        top = round(self.top + 6 * math.sin(5 * time_s + self.middle))
        x = slice(max(left, 0), min(left + width, WIDTH))
        mine = (slice(None), slice(x.start - left, x.stop - left))
        under = scene[top : top + height, x]
        under += (self.rgb[mine] - under) * self.cover[mine] >> 7


def with_scene(spec: SourceSpec) -> SourceSpec:
    """The demo's source, its clip made in its folder as scene.mp4, and what is true in it as scene.json."""
    clip = Path(spec.folder) / "scene.mp4"
    write_truth(clip.with_name(TRUTH), make_walkers(clip))
    return structs.replace(spec, uri=str(clip))


def outcome(folder: Path, number: int) -> list[str]:
    """Lines on a demo's run: a frame of its overlay as a picture, and how near its records come to the truth.

    Args:
        folder: with the outputs that the run has written.
        number: of the frame.
    """
    overlay, records = folder / "overlay.mp4", folder / "keypoints.jsonl"
    lines = [f"one of its frames as a picture: {save_picture(overlay, number)}"] if overlay.exists() else []
    return [*lines, told(folder / TRUTH, records)] if records.exists() else lines


def save_picture(overlay: Path, number: int) -> Path:
    """Path of frame.png, one frame of an overlay, written beside it."""
    path = overlay.with_name("frame.png")
    with av.open(str(overlay)) as container:
        frames = container.decode(video=0)
        next(islice(frames, number, None)).save(str(path))
    return path


def make_scene(path: Path, people: int = 3, seconds: float = 5.0) -> None:
    """Write an H.264 clip, 1280 x 720 at 30 fps, of people at a counter who step up to each other and back.

    Args:
        path: ends in .mp4; what is there is overwritten.
        people: 1 to 6, all in sight all the time, though a shoulder may hide behind another.
        seconds: its length, to the nearest frame.
    """
    write_clip(path, _counter_scene(people, round(seconds * FPS)))


def make_walkers(path: Path, people: int = 4, seconds: float = 5.0, seed: int = 5) -> list[Target]:
    """Write such a clip of drawn people who walk past each other, leave the picture and come back.

    Args:
        path: ends in .mp4; what is there is overwritten.
        people: how many; one in three comes back.
        seconds: its length, to the nearest frame.
        seed: who they are and where they go.

    Returns:
        Of each frame who is where; `ids` say who is who.
    """
    scene = Scene(seed, (HEIGHT, WIDTH), people, seconds)
    targets: list[Target] = []

    def frames() -> Iterator[NDArray[np.uint8]]:
        for number in range(round(seconds * FPS)):
            pixels, target = scene.frame(number / FPS)
            targets.append(target)
            yield pixels

    write_clip(path, frames())
    return targets


def _counter_scene(people: int, frames: int) -> Iterator[NDArray[np.uint8]]:
    wall, counter, actors = _wall(), _counter(), _actors(people)
    for number in range(frames):
        scene = wall.copy()
        for actor in actors:
            actor.paint(scene, number / FPS)
        scene[_COUNTER_TOP:] = counter
        yield scene.astype(np.uint8)


def write_clip(path: Path, frames: Iterable[NDArray[np.uint8]], size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    """Write pictures (height, width, 3) of one size as an H.264 clip at 30 fps; `path` ends in .mp4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = size_hw
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20", "threads": "1"}  # one thread: the same bytes everywhere
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))


def _actors(people: int) -> list[_Actor]:
    """Give the people, the ones in front last."""
    rgb, cover = _cut_out()
    slot = WIDTH / people
    actors = []
    for number in sorted(range(people), key=lambda n: n % 2):
        front = number % 2 == 1  # in front: larger, mirrored, and in step against its neighbours
        pixels = _scaled(_dressed(rgb, _COATS[number]), cover, min(0.55, 2.4 / people) * (1.0 if front else 0.92))
        if front:
            pixels = pixels[:, ::-1]
        actors.append(
            _Actor(
                rgb=pixels[..., :3].astype(np.int16),
                cover=np.rint(pixels[..., 3:] / 255 * 128).astype(np.int16),
                middle=(number + 0.5) * slot,
                swing=(0.13 if front else -0.13) * slot,
                top=_COUNTER_TOP + 10 - len(pixels) + (30 if front else 0),
            )
        )
    return actors


def _cut_out() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Give the portrait, (600, 512, 3), and how much of each pixel is the person, 0..1, soft at the edge."""
    with av.open(str(get_sample_data("grace_hopper.jpg", asfileobj=False))) as file:
        rgb = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    inside = Outline(_OUTLINE).contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(x.shape)
    cover = np.pad(inside, 2, mode="edge").astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(cover, (5, 5))
    return rgb, windows.mean((2, 3))


def _dressed(rgb: NDArray[np.uint8], coat: tuple[int, int, int]) -> NDArray[np.uint8]:
    dark = (1 - rgb.max(2, keepdims=True) / 255) ** 4
    dressed: NDArray[np.uint8] = (rgb + dark * coat).clip(0, 255).astype(np.uint8)
    return dressed


def _scaled(rgb: NDArray[np.uint8], cover: NDArray[np.float64], scale: float) -> NDArray[np.uint8]:
    """Give both as one smaller picture, (h, w, 4): red, green, blue, cover."""
    rgba = np.concatenate([rgb, np.rint(255 * cover[..., None]).astype(np.uint8)], 2)
    height, width = round(rgb.shape[0] * scale), round(rgb.shape[1] * scale)
    frame = av.VideoFrame.from_ndarray(rgba, "rgba").reformat(width, height, interpolation="AREA")
    return frame.to_ndarray().astype(np.uint8, copy=False)


def _counter() -> NDArray[np.int16]:
    """Give what the back row stands behind: a lit board on a front that darkens downwards; (h, 1, 3)."""
    depth = np.arange(HEIGHT - _COUNTER_TOP)[:, None, None]
    front = np.array([112, 84, 62]) * (1 - 0.45 * depth / HEIGHT)
    counter: NDArray[np.int16] = np.where(depth < 14, [168, 134, 102], front).astype(np.int16)
    return counter


def _wall() -> NDArray[np.int16]:
    """Give a lit wall: light falls off from the middle, and its grain is the same every time."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    away = np.hypot((x - 0.55 * WIDTH) / WIDTH, (y - 0.25 * HEIGHT) / HEIGHT)
    light = np.exp(-1.6 * away**2)[..., None]
    grain = np.random.default_rng(0).normal(0, 2, (HEIGHT, WIDTH, 1))
    wall: NDArray[np.int16] = (light * [206, 200, 186] + (1 - light) * [70, 78, 92] + grain).astype(np.int16)
    return wall
