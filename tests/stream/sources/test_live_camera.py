"""Cameras of this machine: none is here, so paths that are none, and stand-ins that end and stall."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event

import av
import pytest
from av.container import InputContainer

from configs.errors import SourceError
from configs.sources import DecodeSettings, LiveSettings
from stream.messages import Frame, SourceSpec
from stream.sources import camera
from stream.sources.live import LiveSource, Unreachable
from tests.watched import QUICK

CAMERA = SourceSpec("camera-0", "camera", "0")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/video99", "/dev/video99: no such camera; check that it is plugged in"),
        ("/dev/null", "/dev/null: not a camera"),
        ("{tmp}/file", "file: not a camera"),
    ],
)
def test_what_is_no_camera_is_an_error_at_once(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "file").touch()
    spec = SourceSpec("c", "camera", path.format(tmp=tmp_path))
    with pytest.raises(SourceError, match=said):
        LiveSource(spec, DecodeSettings(), LiveSettings(), lambda: False).open()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EBUSY, "in use by another program"),
        (errno.EACCES, "no permission to use the camera"),
        (errno.ENODEV, "check that it is plugged in"),
        (errno.EIO, "cannot be opened: Input/output error"),
    ],
)
def test_what_the_driver_says_is_said_in_words(monkeypatch: pytest.MonkeyPatch, number: int, said: str) -> None:
    asked: list[dict[str, str]] = []

    def driver(*_: object, options: dict[str, str], **__: object) -> InputContainer:
        asked.append(options)
        if "input_format" in options:
            raise av.ArgumentError(errno.EINVAL, "Invalid argument", "/dev/null")
        raise av.FFmpegError(number, os.strerror(number), "/dev/null")

    monkeypatch.setattr(camera.av, "open", driver)
    with pytest.raises(Exception, match=said):
        camera.open_camera("/dev/null", 10**6)
    assert [options.get("input_format") for options in asked] == ["mjpeg", None]  # what it does not offer is let be


def stand_in(frames: int) -> InputContainer:
    """A camera that is unplugged after so many frames."""
    return av.open(f"testsrc=size=64x48:rate=25,trim=end_frame={frames}", format="lavfi")


def read(opener: Callable[[Callable[[], bool]], InputContainer], count: int, **live: float) -> list[Frame]:
    """So many frames of a camera."""
    settings = LiveSettings.model_validate(QUICK | {"retry_s": 0.02} | live)
    source = LiveSource(CAMERA, DecodeSettings(), settings, lambda: False, opener)
    assert source.open() is not None
    frames = [frame for _, frame in zip(range(count), source.read(), strict=False)]
    source.close()
    return frames


def test_a_camera_that_is_unplugged_and_plugged_in_goes_on() -> None:
    plugged = iter([5, 0, 0, 5])

    def driver(_: Callable[[], bool]) -> InputContainer:
        frames = next(plugged)
        if not frames:
            raise camera.Disconnected("no such camera; check that it is plugged in", lasting=True)
        return stand_in(frames)

    frames = read(driver, 10)
    assert [(frame.epoch, frame.index) for frame in frames] == [(index // 5, index) for index in range(10)]


def test_a_camera_that_stalls_within_the_driver_is_noticed_and_opened_anew() -> None:
    unstuck, opened = Event(), [0]

    class Stuck:
        """A file that ends its first reader's patience."""

        name = "stuck"

        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, size: int) -> bytes:
            if not self.data:
                unstuck.wait(20)
            data, self.data = self.data[:size], self.data[size:]
            return data

    def driver(_: Callable[[], bool]) -> InputContainer:
        opened[0] += 1
        if opened[0] > 1:
            return stand_in(5)
        data = b"YUV4MPEG2 W64 H48 F25:1 Cmono\n" + (b"FRAME\n" + bytes(64 * 48)) * 200
        return av.open(Stuck(data), "r", options={"probesize": "32"})

    try:
        frames = read(driver, 203, read_timeout_s=0.3)
    finally:
        unstuck.set()
    assert frames[0].epoch == 0
    assert frames[-1].epoch == 1
    assert len({frame.index for frame in frames}) == len(frames)


def test_a_restarted_decoder_goes_on_where_the_last_one_was() -> None:
    settings = LiveSettings(reconnect_limit=0)
    first = LiveSource(CAMERA, DecodeSettings(), settings, lambda: False, lambda _: stand_in(5))
    assert first.open() is not None
    frames = [frame for _, frame in zip(range(3), first.read(), strict=False)]
    first.close()
    spec = SourceSpec("camera-0", "camera", "0", states={"decode": first.state()})
    second = LiveSource(spec, DecodeSettings(), settings, lambda: False, lambda _: stand_in(5))
    assert second.open() is not None
    again = next(second.read())
    second.close()
    assert (frames[-1].epoch, again.epoch) == (0, 1)
    assert again.index > frames[-1].index


def test_a_camera_is_given_up_after_as_many_attempts_as_are_allowed() -> None:
    source = LiveSource(CAMERA, DecodeSettings(), LiveSettings(reconnect_limit=0), lambda: False, lambda _: stand_in(2))
    assert source.open() is not None
    with pytest.raises(Unreachable, match=r"^0: the stream ended; given up after 1 attempts"):
        list(source.read())
    source.close()


def test_pictures_that_are_too_large_are_refused_at_once() -> None:
    small = DecodeSettings(frame_pixels_max=64 * 48 - 1)
    source = LiveSource(CAMERA, small, LiveSettings(), lambda: False, lambda _: stand_in(5))
    with pytest.raises(SourceError, match="pictures of 3072 pixels; frame_pixels_max allows 3071"):
        source.open()
    source.close()
