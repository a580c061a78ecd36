"""Batches that fit into memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from engines.device_memory import Fitting, NoMemory, device_errors


class Device:
    """Doubles numbers, `room` at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.sizes: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.sizes.append(len(items))
        with device_errors("no memory"):
            if len(items) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return [2 * item for item in items]


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    notes: list[str] = []
    fitting, device = Fitting(notes), Device(2)
    assert fitting.call(device, range(8)) == list(range(0, 16, 2))
    assert device.sizes == [8, 4, 2, 2, 2, 2]
    assert fitting.call(device, range(7)) == list(range(0, 14, 2))
    assert device.sizes[6:] == [2, 2, 2, 1]
    assert notes == ["no memory for 8 frames at once: fewer from now on, more again after a while"]


def test_it_grows_back_once_there_is_room_again() -> None:
    fitting, device = Fitting([]), Device(1)
    fitting.call(device, range(8))
    device.room, device.sizes = 8, []
    for _ in range(60):
        assert fitting.call(device, range(8)) == list(range(0, 16, 2))
    assert device.sizes[0] == 1
    assert device.sizes[-1] == 8
    assert sorted(device.sizes) == device.sizes


def test_where_there_is_no_room_for_one_that_is_told() -> None:
    with pytest.raises(NoMemory, match=r"^no memory$"):
        Fitting([]).call(Device(0), range(4))
