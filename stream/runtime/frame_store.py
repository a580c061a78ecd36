"""Pictures in memory that every process of a run maps, so that none travels through a socket."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile

import numpy as np
from numpy.typing import NDArray

from stream.messages import Slot, WireError

_HEADER_BYTES = 4096  # one page: an int64 generation a slot


class FrameStore:
    """The slots of one decoder. Its free slots are the credits: no free slot, no new frame.

    The memory has no name (a memfd, elsewhere an unlinked file), so nothing is left of it
    when the last process that maps it is gone, however it went. It is sparse: a slot takes
    as much memory as the largest picture that lay in it.
    """

    def __init__(self, number: int, fd: int, slots: int) -> None:
        """Map a store that `create` made.

        Args:
            number: which decoder's it is.
            fd: its file descriptor; the caller keeps and closes it.
            slots: how many it has.
        """
        self.number = number
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        self._slot_bytes = (len(self._map) - _HEADER_BYTES) // slots
        self._generations = np.frombuffer(self._map, np.int64, slots)
        self._free = list(range(slots))

    @property
    def free(self) -> int:
        """Slots that a picture may be put in now."""
        return len(self._free)

    def put(self, picture: NDArray[np.uint8]) -> Slot:
        """Copy an (H, W, 3) picture into a free slot; for the store's decoder alone.

        Raises:
            IndexError: no slot is free.
            WireError: the picture is larger than a slot.
        """
        if picture.nbytes > self._slot_bytes:
            raise WireError(f"a picture of {picture.nbytes} bytes does not fit a slot of {self._slot_bytes}")
        index = self._free.pop()
        self._generations[index] += 1
        slot = Slot(self.number, index, int(self._generations[index]))
        self._view(index, *picture.shape[:2])[:] = picture
        return slot

    def release(self, slot: Slot) -> None:
        """Take a slot back: its last reader is done. A stale or repeated release changes nothing."""
        if slot.generation == self._generations[slot.index] and slot.index not in self._free:
            self._free.append(slot.index)

    def picture(self, slot: Slot, height: int, width: int) -> NDArray[np.uint8]:
        """Give a read-only (height, width, 3) view of the picture in a slot; nothing is copied.

        Raises:
            WireError: the slot holds another picture by now, or does not exist.
        """
        if not 0 <= slot.index < len(self._generations):
            raise WireError(f"slot {slot.index} of store {self.number}; it has {len(self._generations)}")
        if height * width * 3 > self._slot_bytes or height < 0 or width < 0:
            raise WireError(f"a picture of {width}x{height} does not fit a slot of {self._slot_bytes} bytes")
        if self._generations[slot.index] != slot.generation:
            raise WireError(f"slot {slot.index} holds picture {self._generations[slot.index]}, not {slot.generation}")
        view = self._view(slot.index, height, width)
        view.flags.writeable = False
        return view

    def _view(self, index: int, height: int, width: int) -> NDArray[np.uint8]:
        start = _HEADER_BYTES + index * self._slot_bytes
        return np.frombuffer(self._map, np.uint8, height * width * 3, start).reshape(height, width, 3)


def create(slots: int, slot_bytes: int) -> int:
    """Make the memory of a store and give its file descriptor, which child processes may inherit.

    Args:
        slots: 1 to 512.
        slot_bytes: the largest picture, in bytes.
    """
    page_bytes = mmap.ALLOCATIONGRANULARITY
    slot_bytes = -(-slot_bytes // page_bytes) * page_bytes
    if sys.platform == "linux":
        fd = os.memfd_create("posestream-frames")
    else:
        with tempfile.TemporaryFile() as file:  # has no name on disk
            fd = os.dup(file.fileno())
    os.ftruncate(fd, _HEADER_BYTES + slots * slot_bytes)
    return fd
