"""What comes of reading a file, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from media import number_of

from configs.sources import DecodeSettings
from stream.decode import decode
from stream.messages import Begin, End, Frame, Message
from stream.sources.find import find


def read(
    path: Path, stop: Callable[[], bool] = lambda: False, **settings: float
) -> tuple[Begin | None, list[Frame], End]:
    """A file's beginning, its frames and its end."""
    messages: list[Message] = list(decode(find([str(path)]), DecodeSettings.model_validate(settings), stop))
    *frames, end = messages
    begin = frames.pop(0) if frames else None
    assert begin is None or isinstance(begin, Begin)
    assert isinstance(end, End)
    assert all(isinstance(frame, Frame) for frame in frames)
    return begin, [frame for frame in frames if isinstance(frame, Frame)], end


def numbers(frames: list[Frame]) -> list[int]:
    """The numbers that `media.numbered` painted."""
    return [number_of(frame.pixels.array) for frame in frames]
