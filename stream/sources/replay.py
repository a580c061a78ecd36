"""Messages that `--dump` has written, as a source: the later stages see again what they saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
from msgspec import structs

from configs.errors import SourceError
from configs.sources import DecodeSettings
from engines.ops.people import People
from stream.address import is_plain, printable
from stream.message_file import MessageFileError, MessageReader
from stream.messages import Begin, Cut, Drop, End, Frame, Message, Pixels, Poses, SourceSpec, Status, frame_of


def recorded_sources(path: str) -> list[str]:
    """Names of the sources whose messages a file holds, in order.

    Raises:
        SourceError: there is none, or a name would not do for a folder.
    """
    names: dict[str, None] = {}
    why = "holds no source"
    try:
        reader = MessageReader(path)
        try:
            for data in reader.payloads():
                if b"begin" in data[:20] or b"end" in data[:20]:  # where a message says its kind
                    message = reader.message_of(data)
                    if isinstance(message, Begin):
                        names[message.spec.name] = None
                    elif isinstance(message, End):
                        names[message.source] = None
        finally:
            reader.close()
    except MessageFileError as error:
        why = str(error)
    if bad := [name for name in names if not is_plain(name)]:
        raise SourceError(f"{printable(path)}: names a source {printable(bad[0])!r}, which is no name for a folder")
    if not names:
        raise SourceError(f"{printable(path)}: {why}")
    return list(names)


def replay(
    specs: Sequence[SourceSpec], settings: DecodeSettings, keypoints: tuple[str, ...], stop: Callable[[], bool]
) -> Generator[Message, None, None]:
    """The messages of a file, as they stood behind the network; each frame's picture is black.

    Times of this machine's clock are moved to now. A source that the file does not tell the end of, for it is cut short
    or damaged, ends there, and its End says so.

    Args:
        specs: the sources that `recorded_sources` names, all of one file.
        settings: limits.
        keypoints: names of those of the settings' skeleton.
        stop: asked before each message; once it is true, open sources end as stopped.
    """
    label = printable(specs[0].path)
    frames = {spec.name: 0 for spec in specs}
    why = f"{label}: cut short"
    try:
        for message in _read(specs, settings, keypoints):
            if stop():
                yield from (End(name, count, stopped=True) for name, count in frames.items())
                return
            if (frame := frame_of(message)) is not None:
                frames[frame.source] += 1
            if isinstance(message, End):
                frames.pop(message.source, None)
            yield message
    except MessageFileError as error:
        why = f"{label}: {error}"
    yield from (End(name, count, problem=f"{why}; what comes before was used") for name, count in frames.items())


def _read(specs: Sequence[SourceSpec], settings: DecodeSettings, keypoints: tuple[str, ...]) -> Iterator[Message]:
    named = {spec.name: spec for spec in specs}
    begun: set[str] = set()
    reader = MessageReader(specs[0].path)
    try:
        if reader.header.keypoints != keypoints:
            raise MessageFileError("its people have other keypoints; give the skeleton settings of that run")
        for data in reader.payloads():
            message = reader.message_of(data)
            if not _fits(message, begun, len(keypoints), settings):
                raise MessageFileError("holds a message that no run gives")
            if isinstance(message, Begin):
                begun.add(message.spec.name)
                spec = structs.replace(named[message.spec.name], states=message.spec.states)
                message = structs.replace(message, spec=spec, sound=False)
            elif isinstance(message, Poses | Drop):
                message = structs.replace(message, frame=_now(message.frame))
            yield message
    finally:
        reader.close()


def _fits(message: Message, begun: set[str], keypoints: int, settings: DecodeSettings) -> bool:
    """Whether the stages can work with a message: a file may be anybody's."""
    match message:
        case Begin():
            return is_plain(message.spec.name) and message.fps > 0
        case Poses():
            return _is_known(message.frame, begun, settings) and _agrees(message.people, keypoints)
        case Drop():
            return _is_known(message.frame, begun, settings)
        case Cut() | Status() | End():
            return True
        case _:
            return False


def _is_known(frame: Frame, begun: set[str], settings: DecodeSettings) -> bool:
    has_size = frame.width > 0 and 0 < frame.width * frame.height <= settings.frame_pixels_max
    return frame.source in begun and has_size and min(frame.pixel_aspect) > 0


def _agrees(people: People | None, keypoints: int) -> bool:
    if people is None:
        return True
    n, k = len(people.scores), keypoints
    arrays = (people.boxes, people.scores, people.keypoints, people.confidence, people.logits)
    shapes = ((n, 4), (n,), (n, k, 2), (n, k), (n, k))
    return all(
        array.shape == shape and bool(np.isfinite(array).all()) for array, shape in zip(arrays, shapes, strict=True)
    )


def _now(frame: Frame) -> Frame:
    """The frame with a black picture, as old as it was when it was written."""
    shift_ns = time.monotonic_ns() - max(frame.times_ns.values(), default=frame.captured_ns)
    black = np.broadcast_to(np.uint8(0), (frame.height, frame.width, 3))  # takes no memory
    return structs.replace(
        frame,
        captured_ns=frame.captured_ns + shift_ns,
        times_ns={stage: at_ns + shift_ns for stage, at_ns in frame.times_ns.items()},
        pixels=Pixels(black),
    )
