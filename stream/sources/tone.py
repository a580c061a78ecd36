"""Pictures of high dynamic range, PQ or HLG, as BT.709: what screens, encoders and the network expect."""

from __future__ import annotations

import tempfile

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray

F = NDArray[np.floating]

_PQ, _HLG = 16, 18  # of FFmpeg's transfer characteristics
_WHITE_NITS = 203.0  # of paper, by ITU-R BT.2408
_PEAK_NITS = 1000.0  # what is brighter is cut off
_SIDE = 33  # of the table of colours; between its entries it is interpolated
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Linear light of BT.2020's primaries to that of BT.709's. Source: ITU-R BT.2087."""


def is_hdr(picture: VideoFrame) -> bool:
    """Whether a picture says that it is of high dynamic range."""
    return picture.color_trc in (_PQ, _HLG)


class ToneMap:
    """Makes the pictures of one source RGB of the ordinary range."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._kind: tuple[object, ...] = ()

    def rgb(self, picture: VideoFrame) -> VideoFrame:
        """A picture of high dynamic range as rgb24."""
        kind = (picture.width, picture.height, picture.format.name, picture.color_trc)
        if self._graph is None or kind != self._kind:
            self._graph, self._kind = _graph(picture), kind
        self._graph.vpush(picture)
        return self._graph.vpull()


def bt709(code: F, is_pq: bool) -> F:
    """Colours of the high range, (..., 3) RGB codes in 0..1 with BT.2020's primaries, as codes of BT.709 in 0..1.

    The brightest of the three is pressed by Reinhard's curve, its white point the peak, and the others with it: hues
    stay. Source: Reinhard et al., Photographic Tone Reproduction for Digital Images, 2002, equation 4.
    """
    light = _pq_nits(code) if is_pq else _hlg_nits(code)
    narrow = np.clip(light @ _TO_BT709.T, 0, None) / _WHITE_NITS
    brightest = np.maximum(narrow.max(-1, keepdims=True), 1e-9)
    white = _PEAK_NITS / _WHITE_NITS
    pressed = np.minimum(brightest * (1 + brightest / white**2) / (1 + brightest), 1)
    shown: F = (narrow * pressed / brightest) ** (1 / 2.4)
    return shown


def _pq_nits(code: F) -> F:
    """Light that a code of PQ stands for. Source: SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = code ** (1 / m2)
    nits: F = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return nits


def _hlg_nits(code: F) -> F:
    """Light that a code of HLG stands for on a screen of the peak's brightness. Source: ITU-R BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    luma = (scene @ [0.2627, 0.6780, 0.0593])[..., None]
    nits: F = _PEAK_NITS * scene * np.maximum(luma, 1e-9) ** 0.2
    return nits


def _graph(picture: VideoFrame) -> Graph:
    """FFmpeg's filters for pictures like this one."""
    steps = np.linspace(0, 1, _SIDE)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")  # red changes fastest, as .cube wants it
    table = bt709(np.stack([red, green, blue], -1).reshape(-1, 3), picture.color_trc == _PQ)
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
    )
    with tempfile.NamedTemporaryFile("w", suffix=".cube") as file:
        file.write(f"LUT_3D_SIZE {_SIDE}\n" + "\n".join(f"{r:.5f} {g:.5f} {b:.5f}" for r, g, b in table))
        file.flush()
        looked_up = graph.add("lut3d", file=file.name, interp="tetrahedral")
        nodes = [graph.add("format", "gbrp10"), looked_up, graph.add("format", "rgb24"), graph.add("buffersink")]
        graph.link_nodes(source, graph.add("scale", in_color_matrix="bt2020"), *nodes).configure()
    return graph
