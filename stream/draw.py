"""What a pencil can do on a picture: skeletons, corners, paths, labels, blurs; its size and its JPEG. All of OpenCV."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.ops.people import F
from engines.ops.skeleton import COCO, Skeleton

Colour = tuple[int, int, int]
"""RGB, each 0..255."""

_DARK: Colour = (20, 20, 24)
_WHITE: Colour = (255, 255, 255)
_SHIFT = 4  # OpenCV's fixed point: 1/16 px, so that a slow skeleton glides instead of hopping
_BLUR_CELLS = 6  # across a face: too few to know somebody by
_FAR_PX = 1e6  # further out a point is as good as here, and its fixed-point form fits 32 bits


def colour_of(number: int) -> Colour:
    """Colour of an identity: always the same, far from its neighbours', never darker than mid grey.

    Hues go round by the golden ratio, so that any few in a row lie far apart.
    """
    rgb = np.array(colorsys.hsv_to_rgb(number * 0.6180339887498949 % 1, 0.8, 1.0))
    light = float(rgb @ [0.299, 0.587, 0.114])
    return _mix(rgb * 255, max(0.0, (0.55 - light) / (1 - light)))


def scaled(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A copy of a picture, (H, W, 3) to (height, width, 3); made smaller it does not flicker."""
    if picture.shape[:2] == (height, width):
        return picture.copy()
    smaller = height * width < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def jpeg_of(picture: NDArray[np.uint8], quality: int) -> bytes:
    """The JPEG of a picture, (H, W, 3) RGB; `quality` in 0..100."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


class Canvas:
    """A copy of a picture to draw on. Widths and letters grow with the picture.

    Coordinates are pixels, the centre of the top left one at (0.5, 0.5); they may lie far outside.
    """

    def __init__(self, picture: NDArray[np.uint8], skeleton: Skeleton = COCO) -> None:
        """Copy `picture`, (H, W, 3) RGB; people have the keypoints and limbs of `skeleton`."""
        self.picture = picture.copy()
        self._limbs = np.array(skeleton.limbs, int).reshape(-1, 2)
        self._left, self._right = (
            np.array([name.startswith(side) for name in skeleton.names]) for side in ("left", "right")
        )
        self._height, self._width = picture.shape[:2]
        self._unit = math.sqrt(self._height * self._width) / 960  # 1 at 1280 x 720
        self._halo = max(1, round(1.2 * self._unit))
        self._letter = max(0.36, 0.52 * self._unit)  # OpenCV's font scale; smaller than 0.36 cannot be read
        self._stroke = max(1, round(1.4 * self._letter))

    def skeleton(self, xy: F, confidence: F, size_px: float, colour: Colour, kpt_thr: float) -> None:
        """Draw a person's limbs and joints, the left ones lighter, unsure joints smaller.

        Args:
            xy: (K, 2).
            confidence: (K,) in 0..1.
            size_px: the person's; a small person gets thin lines.
            colour: the person's.
            kpt_thr: less sure keypoints are left out, and limbs that end there.
        """
        seen = confidence >= kpt_thr
        limbs = self._limbs[seen[self._limbs].all(1)]
        left = self._left[limbs].any(1) & ~self._right[limbs].any(1)
        at, width = _fixed(xy), self._line_px(size_px)
        radii = np.rint(width * (0.6 + 0.8 * confidence) * 16).astype(int)
        light = _mix(np.array(colour), 0.5)
        self._lines(at[limbs], _DARK, width + 2 * self._halo)
        for joint in np.flatnonzero(seen):
            self._disc(at[joint], int(radii[joint]) + self._halo * 16, _DARK)
        self._lines(at[limbs[~left]], colour, width)
        self._lines(at[limbs[left]], light, width)
        for joint in np.flatnonzero(seen):
            self._disc(at[joint], int(radii[joint]), light if self._left[joint] else colour)

    def corners(self, box: F, colour: Colour) -> None:
        """Mark the corners of a box, (4,): x1, y1, x2, y2."""
        x1, y1, x2, y2 = (float(side) for side in box)
        reach = 0.16 * min(x2 - x1, y2 - y1)
        corners = [
            [[x + step_x, y], [x, y], [x, y + step_y]]
            for x, step_x in ((x1, reach), (x2, -reach))
            for y, step_y in ((y1, reach), (y2, -reach))
        ]
        width = max(1, round(0.6 * self._line_px(max(x2 - x1, y2 - y1))))
        lines = _fixed(np.array(corners, np.float32))
        self._lines(lines, _DARK, width + 2 * self._halo)
        self._lines(lines, colour, width)

    def path(self, points: F, colour: Colour) -> None:
        """Draw a trail, (points, 2), oldest point first, thin at its start."""
        at = _fixed(points)
        widest = max(1, round(2.5 * self._unit))
        thirds = [part for part in np.array_split(np.arange(len(at) - 1), 3) if len(part)]
        for pen, extra in ((_DARK, 2 * self._halo), (colour, 0)):
            for third, part in enumerate(thirds, 3 - len(thirds)):
                width = max(1, round(widest * (third + 2) / 4))
                self._lines([at[part[0] : part[-1] + 2]], pen, width + extra)

    def lines(self, ends: F, colour: Colour) -> None:
        """Draw straight lines, (lines, 2, 2)."""
        at, width = _fixed(ends), max(2, round(1.6 * self._unit))
        self._lines(at, _DARK, width + 2 * self._halo)
        self._lines(at, colour, width)

    def label(self, name: str, more: str, box: F, colour: Colour) -> None:
        """Write on a plate upon a box, or as near as the picture allows; `more` only where the box is wide enough."""
        left, top, right, _ = (float(side) for side in box)
        whole = f"{name} {more}"
        text = whole if self._size_px(whole)[0] <= right - left else name
        self._write(text, left, top, colour)

    def note(self, text: str) -> None:
        """Write a line in the lower left corner of the picture."""
        margin = round(8 * self._unit)
        self._write(text, margin, self._height - margin, None)

    def panel(self, rows: Sequence[tuple[str, str]]) -> None:
        """Write rows of two columns on dimmed glass in the middle of the picture."""
        widths = [max(self._size_px(row[at])[0] for row in rows) for at in (0, 1)]
        _, above, below = self._size_px(rows[0][0])
        step = round(1.6 * (above + below))
        wide, high = sum(widths) + 3 * step, step * (len(rows) + 1)
        x, y = max(0, (self._width - wide) // 2), max(0, (self._height - high) // 2)
        plate = self.picture[y : y + high, x : x + wide]
        plate[:] = plate // 10 * 2
        for at, (left, right) in enumerate(rows, 1):
            self._ink(plate, left, (step, at * step + step // 4), _WHITE)
            self._ink(plate, right, (2 * step + widths[0], at * step + step // 4), _WHITE)

    def caption(self, text: str, left: int, top: int) -> None:
        """Write a line below and right of a point."""
        _, above, below = self._size_px(text)
        pad = max(2, round(7 * self._letter))
        self._write(text, left, top + above + below + 2 * pad, None)

    def _line_px(self, size_px: float) -> int:
        return max(1, round(min(max(2, 3 * self._unit), size_px / 55)))

    def _lines(self, lines: list[NDArray[np.int32]] | NDArray[np.int32], colour: Colour, width_px: int) -> None:
        cv2.polylines(self.picture, list(lines), False, colour, width_px, cv2.LINE_AA, _SHIFT)

    def _disc(self, at: NDArray[np.int32], radius: int, colour: Colour) -> None:
        cv2.circle(self.picture, (int(at[0]), int(at[1])), radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)

    def _size_px(self, text: str) -> tuple[int, int, int]:
        """Width of a text, its height above the baseline, and its depth below."""
        (width, above), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, self._letter, self._stroke)
        return width, above, below

    def _write(self, text: str, left: float, bottom: float, paper: Colour | None) -> None:
        """Write on a plate with that lower left corner, moved into the picture; None: dimmed glass, white letters."""
        width, above, below = self._size_px(text)
        pad = max(2, round(7 * self._letter))
        wide, high = width + 2 * pad, above + below + 2 * pad
        x = round(min(max(left, 0), max(0, self._width - wide)))
        y = round(min(max(bottom - high, 0), max(0, self._height - high)))
        plate = self.picture[y : y + high, x : x + wide]
        plate[:] = paper or plate // 10 * 3
        self._ink(plate, text, (pad, pad + above), _DARK if paper else _WHITE)

    def _ink(self, plate: NDArray[np.uint8], text: str, at: tuple[int, int], ink: Colour) -> None:
        cv2.putText(plate, text, at, cv2.FONT_HERSHEY_SIMPLEX, self._letter, ink, self._stroke, cv2.LINE_AA)


def resized(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A picture at another size: (height, width, 3)."""
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = width < picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    made = cv2.resize(picture, (width, height), interpolation=how)
    return np.asarray(made, np.uint8)


def blurred(picture: NDArray[np.uint8], areas: Iterable[tuple[float, float, float, float]]) -> NDArray[np.uint8]:
    """A copy of a picture, (H, W, 3), in which areas hold six colours a side.

    Args:
        picture: stays as it is.
        areas: rounded rectangles, centre x and y, half the width and half the height.
    """
    copy = picture.copy()
    high, wide, _ = picture.shape
    for x, y, rx, ry in areas:
        left, right = max(math.floor(x - rx), 0), min(math.ceil(x + rx), wide)
        top, bottom = max(math.floor(y - ry), 0), min(math.ceil(y + ry), high)
        if left >= right or top >= bottom:
            continue
        part = copy[top:bottom, left:right]
        cells = [
            max(1, round(_BLUR_CELLS * length / (2 * r))) for length, r in ((right - left, rx), (bottom - top, ry))
        ]
        few = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
        smooth = cv2.resize(few, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        across = (np.arange(left, right) + 0.5 - x) / rx
        down = (np.arange(top, bottom) + 0.5 - y) / ry
        inside = across**4 + down[:, None] ** 4 <= 1
        part[inside] = smooth[inside]
    return copy


def png_of(picture: NDArray[np.uint8]) -> bytes:
    """The PNG file of a picture, (H, W, 3) RGB."""
    _, data = cv2.imencode(".png", picture[..., ::-1])
    return bytes(data)


def _fixed(xy: F) -> NDArray[np.int32]:
    """OpenCV's fixed-point coordinates: its pixel centres are whole numbers, ours end in a half."""
    fixed: NDArray[np.int32] = np.rint((np.clip(xy, -_FAR_PX, _FAR_PX) - 0.5) * (1 << _SHIFT)).astype(np.int32)
    return fixed


def _mix(colour: NDArray[np.floating] | NDArray[np.int_], white: float) -> Colour:
    red, green, blue = (round(float(part + (255 - part) * white)) for part in colour)
    return red, green, blue
