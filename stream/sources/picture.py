"""A decoded picture to upright RGB."""

from __future__ import annotations

import struct
from typing import NamedTuple, cast

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from stream.sources.tone import ToneMap, is_hdr

_UNSPECIFIED, _BT709 = 2, 1  # of FFmpeg's colour spaces
_NEWER_SIDE_DATA = range(28, 48)  # types that some versions of PyAV have no name for and then refuse to list
_ASPECT_MAX = 4  # pixels longer than that are a mistake in the file


class Orientation(NamedTuple):
    """How the stored picture is turned for display: transposed first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    """Left and right are swapped."""
    mirrored_y: bool = False
    """Top and bottom are swapped."""


def orientation(picture: VideoFrame) -> Orientation:
    """Orientation by the display matrix that container or EXIF carry; the nearest of the eight that there are.

    The matrix maps a stored (x, y) to (a x + c y, b x + d y).
    Source: FFmpeg, libavutil/display.h.
    """
    matrix = _display_matrix(picture)
    if matrix is None:
        return Orientation()
    a, b, _, c, d = struct.unpack("5i", matrix[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)


def upright_rgb(picture: VideoFrame, way: Orientation, tones: ToneMap) -> NDArray[np.uint8]:
    """The picture's pixels, (H, W, 3) RGB, contiguous, oriented for display.

    Args:
        picture: as decoded.
        way: its orientation.
        tones: of its source, for pictures of high dynamic range.
    """
    rgb = tones.rgb(picture) if is_hdr(picture) else _rgb(picture)
    array = rgb.to_ndarray().astype(np.uint8, copy=False)
    if way.transposed:
        array = array.transpose(1, 0, 2)
    return np.ascontiguousarray(array[:: -1 if way.mirrored_y else 1, :: -1 if way.mirrored_x else 1])


def _rgb(picture: VideoFrame) -> VideoFrame:
    """A picture of ordinary range as rgb24.

    Video of high definition that does not name its colours is BT.709, as players take it; FFmpeg would take BT.601.
    """
    hd = picture.colorspace == _UNSPECIFIED and (picture.width >= 1280 or picture.height > 576)
    return picture.reformat(format="rgb24", src_colorspace=_BT709 if hd else None, threads=1)


def pixel_aspect(stored: tuple[int, int], way: Orientation) -> tuple[int, int]:
    """Width to height of a pixel of the upright picture; square where the stored ratio makes no sense."""
    width, height = stored
    if min(width, height) < 1 or max(width, height) > _ASPECT_MAX * min(width, height):
        return 1, 1
    return (height, width) if way.transposed else (width, height)


def _display_matrix(picture: VideoFrame) -> bytes | None:
    try:
        found = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # side data that PyAV does not know, such as EXIF
        found = _without_newer(picture).side_data.get("DISPLAYMATRIX")
    return None if found is None else bytes(cast(bytes, found))


def _without_newer(picture: VideoFrame) -> VideoFrame:
    """The picture without the side data that PyAV does not know."""
    graph = av.filter.Graph()
    base = picture.time_base
    nodes = [graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=base)]
    nodes += [graph.add("sidedata", f"mode=delete:type={number}") for number in _NEWER_SIDE_DATA]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    graph.vpush(picture)
    return graph.vpull()
