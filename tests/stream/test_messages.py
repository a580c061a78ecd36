"""What goes onto the wire comes back the same, and nothing else comes in."""

from __future__ import annotations

import dataclasses
from dataclasses import fields

import numpy as np
import pytest

from engines.ops.people import People, nobody
from stream.messages import Begin, End, Frame, Message, Pixels, Poses, Slot, SourceSpec, Tracks, WireError
from stream.wire import Wire

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
FRAME = Frame(
    "cam", 1, 42, 1_400_000_000, 5, 6, 6, 4, Pixels(PICTURE, Slot(0, 3, 9)), ("damaged",), {"busy": 2}, {"decode": 7}
)


def people(count: int) -> People:
    rng = np.random.default_rng(count)
    shapes = [(count, 4), (count,), (count, 17, 2), (count, 17), (count, 17)]
    return People(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


def wire() -> Wire:
    return Wire(lambda slot, height, width: {(Slot(0, 3, 9), 4, 6): PICTURE}[slot, height, width])


@pytest.mark.parametrize("count", [0, 1, 7])
def test_tracks_come_back_as_they_went(count: int) -> None:
    sent = Tracks(FRAME, people(count), np.arange(count), people(count).keypoints + 1)
    got = wire().from_bytes(wire().to_bytes(sent))
    assert isinstance(got, Tracks)
    for field in fields(People):
        np.testing.assert_array_equal(getattr(got.people, field.name), getattr(sent.people, field.name), strict=True)
    np.testing.assert_array_equal(got.ids, sent.ids, strict=True)
    np.testing.assert_array_equal(got.smooth, sent.smooth, strict=True)
    assert got.frame.pixels.slot == Slot(0, 3, 9)
    assert got.frame.pixels.array is PICTURE
    for name in ("source", "epoch", "index", "pts_ns", "captured_ns", "wall_ns", "flags", "dropped", "times_ns"):
        assert getattr(got.frame, name) == getattr(FRAME, name)


@pytest.mark.parametrize(
    "message",
    [Begin(SourceSpec("a", "file", "a.mp4", "runs/a"), 6, 4, 29.97, 100, 3.3, 1000), End("a", 3, 1, True, "cut")],
)
def test_a_source_s_begin_and_end_come_back_as_they_went(message: Message) -> None:
    assert wire().from_bytes(wire().to_bytes(message)) == message


def test_a_part_of_an_array_travels_as_that_part() -> None:
    some = people(5)
    some = dataclasses.replace(some, boxes=some.boxes[:, ::-1])  # not contiguous in memory
    got = wire().from_bytes(wire().to_bytes(Poses(FRAME, some)))
    assert isinstance(got, Poses)
    np.testing.assert_array_equal(got.people.boxes, some.boxes)


def test_a_picture_outside_the_frame_store_cannot_travel() -> None:
    with pytest.raises(WireError, match="lies in no frame store"):
        wire().to_bytes(Frame("a", 0, 0, 0, 0, 0, 6, 4, Pixels(PICTURE)))


def test_another_version_is_refused() -> None:
    data = bytearray(wire().to_bytes(End("a", 1)))
    data[2] += 1
    with pytest.raises(WireError, match=r"message starts with b'ps\\x07'; expected b'ps\\x06'"):
        wire().from_bytes(bytes(data))


def test_every_torn_message_is_refused() -> None:
    data = wire().to_bytes(Poses(FRAME, people(2)))
    for length in range(len(data)):
        with pytest.raises(WireError):
            wire().from_bytes(data[:length])


def test_taking_people_keeps_their_parts_together() -> None:
    all_of_them, chosen = people(6), np.array([4, 0, 2])
    taken = all_of_them.take(chosen).arrays()
    for name, each in all_of_them.arrays().items():
        np.testing.assert_array_equal(taken[name], each[chosen])
    assert len(nobody()) == 0
