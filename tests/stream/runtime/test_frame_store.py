"""Pictures come out of the store as they went in, and a stale reader notices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from stream.messages import Slot, WireError
from stream.runtime.frame_store import FrameStore, create

SLOTS, BYTES = 3, 40 * 30 * 3


@pytest.fixture
def fd() -> Iterator[int]:
    made = create(SLOTS, BYTES)
    yield made
    os.close(made)


def picture(seed: int, height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_every_mapping_sees_the_same_pictures(fd: int) -> None:
    writer, reader = FrameStore(0, fd, SLOTS), FrameStore(0, fd, SLOTS)
    slots = [writer.put(picture(n, 30 - n, 40)) for n in range(SLOTS)]
    for n, slot in enumerate(slots):
        np.testing.assert_array_equal(reader.picture(slot, 30 - n, 40), picture(n, 30 - n, 40))


def test_a_full_store_takes_nothing_until_a_slot_is_released(fd: int) -> None:
    store = FrameStore(0, fd, SLOTS)
    slots = [store.put(picture(n)) for n in range(SLOTS)]
    with pytest.raises(IndexError):
        store.put(picture(9))
    store.release(slots[1])
    again = store.put(picture(9))
    assert (again.index, again.generation) == (slots[1].index, slots[1].generation + 1)
    assert store.free == 0


def test_releasing_twice_or_late_frees_a_slot_once(fd: int) -> None:
    store = FrameStore(0, fd, SLOTS)
    first = store.put(picture(0))
    store.release(first)
    store.release(first)
    assert store.free == SLOTS
    slots = [store.put(picture(n)) for n in range(SLOTS)]
    store.release(first)
    assert store.free == 0, "a slot that holds another picture by now was released"
    assert len({slot.index for slot in slots}) == SLOTS


def test_a_reader_that_comes_too_late_is_told(fd: int) -> None:
    store = FrameStore(0, fd, SLOTS)
    slot = store.put(picture(0))
    store.release(slot)
    later = store.put(picture(1))
    assert later.index == slot.index
    with pytest.raises(WireError, match=r"slot \d holds picture 2, not 1"):
        store.picture(slot, 30, 40)


@pytest.mark.parametrize(
    ("slot", "height", "width"), [(Slot(0, SLOTS, 1), 30, 40), (Slot(0, -1, 1), 30, 40), (Slot(0, 0, 1), 3000, 4000)]
)
def test_a_message_cannot_make_a_reader_leave_the_store(fd: int, slot: Slot, height: int, width: int) -> None:
    store = FrameStore(0, fd, SLOTS)
    store.put(picture(0))
    with pytest.raises(WireError):
        store.picture(slot, height, width)


def test_a_picture_larger_than_a_slot_is_refused(fd: int) -> None:
    with pytest.raises(WireError, match="does not fit a slot"):
        FrameStore(0, fd, SLOTS).put(picture(0, 300, 400))


def test_readers_cannot_write(fd: int) -> None:
    store = FrameStore(0, fd, SLOTS)
    view = store.picture(store.put(picture(0)), 30, 40)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0


def test_a_large_store_takes_memory_only_for_what_lies_in_it(fd: int) -> None:
    large = create(8, 1 << 30)
    FrameStore(0, large, 8).put(picture(0))
    assert os.fstat(large).st_blocks * 512 < 1 << 20
    os.close(large)


def test_a_killed_process_leaves_nothing(fd: int) -> None:
    code = (
        "import os, signal, numpy as np; from stream.runtime.frame_store import FrameStore, create;"
        "fd = create(4, 1 << 20); FrameStore(0, fd, 4).put(np.ones((500, 600, 3), np.uint8));"
        "print(os.readlink(f'/proc/self/fd/{fd}'), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    assert "(deleted)" in done.stdout, "the memory has a name that can be left behind"
