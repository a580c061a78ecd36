"""Pictures come out of the store as they went in, and a stale reader notices."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from stream.messages import Slot, WireError
from stream.runtime.frame_store import FrameStore, StoreFds, create

SLOTS, BYTES = 3, 40 * 30 * 3
ME, YOU = 1, 2  # owners


@pytest.fixture
def fd() -> Iterator[StoreFds]:
    made = create(SLOTS, BYTES)
    yield made
    made.close()


def picture(seed: int, height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_every_mapping_sees_the_same_pictures(fd: StoreFds) -> None:
    writer, reader = FrameStore(0, fd, SLOTS), FrameStore(0, fd, SLOTS)
    slots = [writer.put(picture(n, 30 - n, 40), ME) for n in range(SLOTS)]
    for n, slot in enumerate(slots):
        np.testing.assert_array_equal(reader.picture(slot, 30 - n, 40), picture(n, 30 - n, 40))


def test_a_full_store_takes_nothing_until_a_slot_is_released(fd: StoreFds) -> None:
    store = FrameStore(0, fd, SLOTS)
    slots = [store.put(picture(n), ME) for n in range(SLOTS)]
    with pytest.raises(IndexError):
        store.put(picture(9), ME)
    store.release(slots[1])
    again = store.put(picture(9), ME)
    assert (again.index, again.generation) == (slots[1].index, slots[1].generation + 1)
    assert not store.has_free()


def test_releasing_twice_or_late_frees_a_slot_once(fd: StoreFds) -> None:
    store = FrameStore(0, fd, SLOTS)
    first = store.put(picture(0), ME)
    store.release(first)
    store.release(first)
    assert store.held(0) == SLOTS
    slots = [store.put(picture(n), ME) for n in range(SLOTS)]
    store.release(first)
    assert not store.has_free(), "a slot that holds another picture by now was released"
    assert len({slot.index for slot in slots}) == SLOTS


def test_a_reader_that_comes_too_late_is_told(fd: StoreFds) -> None:
    store = FrameStore(0, fd, SLOTS)
    slot = store.put(picture(0), ME)
    store.release(slot)
    later = store.put(picture(1), ME)
    assert later.index == slot.index
    with pytest.raises(WireError, match=r"slot \d holds picture 2, not 1"):
        store.picture(slot, 30, 40)


@pytest.mark.parametrize(
    ("slot", "height", "width"), [(Slot(0, SLOTS, 1), 30, 40), (Slot(0, -1, 1), 30, 40), (Slot(0, 0, 1), 3000, 4000)]
)
def test_a_message_cannot_make_a_reader_leave_the_store(fd: StoreFds, slot: Slot, height: int, width: int) -> None:
    store = FrameStore(0, fd, SLOTS)
    store.put(picture(0), ME)
    with pytest.raises(WireError):
        store.picture(slot, height, width)


def test_a_picture_larger_than_a_slot_is_refused(fd: StoreFds) -> None:
    with pytest.raises(WireError, match="does not fit a slot"):
        FrameStore(0, fd, SLOTS).put(picture(0, 300, 400), ME)


def test_readers_cannot_write(fd: StoreFds) -> None:
    store = FrameStore(0, fd, SLOTS)
    view = store.picture(store.put(picture(0), ME), 30, 40)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0


def test_a_large_store_takes_memory_only_for_what_lies_in_it(fd: StoreFds) -> None:
    large = create(8, 1 << 30)
    FrameStore(0, large, 8).put(picture(0), ME)
    assert os.fstat(large.memory).st_blocks * 512 < 1 << 20
    large.close()


def test_a_killed_process_leaves_nothing(fd: StoreFds) -> None:
    code = (
        "import os, signal, numpy as np; from stream.runtime.frame_store import FrameStore, create;"
        "fd = create(4, 1 << 20); FrameStore(0, fd, 4).put(np.ones((500, 600, 3), np.uint8), 1);"
        "print(os.readlink(f'/proc/self/fd/{fd.memory}'), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    assert "(deleted)" in done.stdout, "the memory has a name that can be left behind"


def test_any_process_may_release_and_the_decoder_is_woken(fd: StoreFds) -> None:
    decoder, reader = FrameStore(0, fd, SLOTS), FrameStore(0, fd, SLOTS)
    slot = decoder.put(picture(0), YOU)
    assert select.select([fd.listen], [], [], 0)[0] == []
    reader.release(slot)
    assert select.select([fd.listen], [], [], 0)[0] == [fd.listen]
    decoder.hush()
    assert select.select([fd.listen], [], [], 0)[0] == []
    assert decoder.held(YOU) == 0


def test_what_a_dead_group_owned_is_had_back_and_nothing_else(fd: StoreFds) -> None:
    store = FrameStore(0, fd, SLOTS)
    slots = [store.put(picture(n), ME) for n in range(SLOTS)]
    store.pass_on(slots[0], YOU)
    store.pass_on(slots[2], YOU)
    assert FrameStore(0, fd, SLOTS).reclaim(YOU) == 2
    assert (store.held(ME), store.held(YOU)) == (1, 0)
    store.release(slots[0])  # a late word of the dead
    assert store.held(0) == 2
    again = store.put(picture(9), ME)
    with pytest.raises(WireError, match="not 1"):
        store.picture(slots[again.index], 30, 40)


def test_only_as_many_slots_are_used_as_wanted(fd: StoreFds) -> None:
    store = FrameStore(0, fd, SLOTS)
    slots = [store.put(picture(n), ME) for n in range(2)]
    assert store.has_free()
    assert not store.has_free(at_most=2)
    store.release(slots[1])
    assert store.has_free(at_most=2)
    assert store.put(picture(5), ME).index == 1
