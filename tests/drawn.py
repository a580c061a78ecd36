"""Tracks whose pictures carry their number, as the drawing stage hands them on."""

from __future__ import annotations

import numpy as np

from engines.ops.people import nobody
from stream.messages import Begin, End, Frame, Message, Pixels, SourceSpec, Tracks
from stream.stage import Stage
from tests.media import numbered

WIDTH, HEIGHT, FPS = 128, 96, 25


def begin(source: str = "cam1", fps: float = FPS) -> Begin:
    return Begin(SourceSpec(source, "camera", "0"), WIDTH, HEIGHT, fps, live=True)


def end(source: str = "cam1", frames: int = 0) -> End:
    return End(source, frames)


def frame(number: int, source: str = "cam1", width: int = WIDTH, height: int = HEIGHT, epoch: int = 0) -> Frame:
    """Number and time say the same; the time counts from some hour on, as a camera's does."""
    return Frame(
        source=source,
        epoch=epoch,
        index=number,
        pts_ns=3_600_000_000_000 + number * 1_000_000_000 // FPS,
        captured_ns=5_000_000_000 + number * 1_000_000_000 // FPS,
        wall_ns=1_700_000_000_000_000_000 + number * 1_000_000_000 // FPS,
        width=width,
        height=height,
        pixels=Pixels(numbered(number % 256, width, height)),
    )


def tracks(number: int, source: str = "cam1") -> Tracks:
    return Tracks(frame(number, source), nobody(17), np.zeros(0, np.int64), np.zeros((0, 17, 2), np.float32))


def given(stage: Stage, message: Message) -> list[Message]:
    return list(stage.process(message))
