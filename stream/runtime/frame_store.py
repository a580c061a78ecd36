"""Pictures in memory that every process of a run maps, so that none travels through a socket."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.messages import Slot, WireError

SLOTS_MAX = 256
_ROWS = 6  # of an int64 a slot: generation, owner, source, frame, whether it is in hand; the last is the store's own
_HEADER_BYTES = 8 * _ROWS * SLOTS_MAX
_FREE = 0
_NONE = np.zeros(0, np.int64)


class StoreFds(NamedTuple):
    """File descriptors of a store, which child processes may inherit; who made them closes them."""

    memory: int
    listen: int
    """Readable once a slot was released."""
    ring: int
    """What a release writes to; may be the same as `listen`."""

    def close(self) -> None:
        """Close them; a store that maps the memory keeps it."""
        for fd in set(self):
            os.close(fd)


class FrameStore:
    """The slots of one decoder, each with its owner: the group that is to read or to release it.

    Its free slots are the credits: no free slot, no new frame. The owner stands in the shared memory, so any
    group can release a slot, and what a dead group owned can be had back from outside. Which frame it is
    stands there too, and whether its owner has begun to work on it: on what a group has died.

    The memory has no name (a memfd, elsewhere an unlinked file), so nothing is left of it
    when the last process that maps it is gone, however it went. It is sparse: a slot takes
    as much memory as the largest picture that lay in it.
    """

    def __init__(self, number: int, fds: StoreFds, slots: int) -> None:
        """Map a store that `create` made.

        Args:
            number: which decoder's it is.
            fds: its file descriptors; the caller keeps and closes them.
            slots: how many it has.
        """
        self.number = number
        self.fds = fds
        self.slots = slots
        self._map = mmap.mmap(fds.memory, os.fstat(fds.memory).st_size)
        self._slot_bytes = (len(self._map) - _HEADER_BYTES) // slots
        header = np.frombuffer(self._map, np.int64, _ROWS * SLOTS_MAX).reshape(_ROWS, SLOTS_MAX)
        self._generations, self._owners, self._sources, self._frames, self._in_hand = header[:-1, :slots]
        self._of_store = header[-1]

    def has_free(self, at_most: int | None = None) -> bool:
        """Whether a picture may be put now; `at_most`: of so many slots only."""
        return bool((self._owners[:at_most] == _FREE).any())

    def held(self, owner: int) -> int:
        """How many slots a group owns."""
        return int((self._owners == owner).sum())

    def in_hand(self, owner: int) -> list[tuple[int, int]]:
        """Which frames a group has begun to work on and not handed on: number of the source, index of the frame."""
        slots = np.flatnonzero((self._owners == owner) & (self._in_hand == 1))
        return [(int(self._sources[slot]), int(self._frames[slot])) for slot in slots]

    @property
    def sources_read(self) -> int:
        """How many of its sources the decoder has read to their ends, in turn."""
        return int(self._of_store[0])

    @sources_read.setter
    def sources_read(self, count: int) -> None:
        self._of_store[:2] = count, 0

    @property
    def frames_read(self) -> int:
        """Index of the frame of the source at hand that comes next."""
        return int(self._of_store[1])

    def put(self, picture: NDArray[np.uint8], owner: int, index: int = 0) -> Slot:
        """Copy an (H, W, 3) picture of the source at hand into a free slot; for the store's decoder alone.

        Args:
            picture: of any size that fits.
            owner: number of the group that gets it, from 1.
            index: of the frame.

        Raises:
            IndexError: no slot is free.
            WireError: the picture is larger than a slot.
        """
        if picture.nbytes > self._slot_bytes:
            raise WireError(f"a picture of {picture.nbytes} bytes does not fit a slot of {self._slot_bytes}")
        slot = int(np.flatnonzero(self._owners == _FREE)[0])
        self._generations[slot] += 1
        self._sources[slot], self._frames[slot], self._in_hand[slot] = self._of_store[0], index, 0
        self._of_store[1] = index + 1
        self._owners[slot] = owner
        self._view(slot, *picture.shape[:2])[:] = picture
        return Slot(self.number, slot, int(self._generations[slot]))

    def take(self, slot: Slot) -> None:
        """Note that the owner of a slot begins to work on its frame."""
        if self._is_current(slot):
            self._in_hand[slot.index] = 1

    def pass_on(self, slot: Slot, owner: int) -> None:
        """Make another group the owner of a slot; a stale slot stays as it is."""
        if self._is_current(slot):
            self._in_hand[slot.index], self._owners[slot.index] = 0, owner

    def release(self, slot: Slot) -> None:
        """Free a slot, whoever owns it, and wake its decoder. A stale or repeated release changes nothing."""
        if self._is_current(slot):
            self._owners[slot.index] = _FREE
            self._ring()

    def reclaim(self, owner: int) -> int:
        """Free all slots of a group that is gone; how many it owned."""
        mine = self._owners == owner
        self._owners[mine] = _FREE
        self._ring()
        return int(mine.sum())

    def hush(self) -> None:
        """Let `fds.listen` be readable no more until the next release."""
        try:
            os.read(self.fds.listen, 4096)
        except BlockingIOError:
            return

    def picture(self, slot: Slot, height: int, width: int) -> NDArray[np.uint8]:
        """A read-only (height, width, 3) view of the picture in a slot; nothing is copied.

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

    def close(self) -> None:
        """Map it no more; pictures that are still in use keep the memory."""
        self._generations = self._owners = self._sources = self._frames = self._in_hand = self._of_store = _NONE
        try:
            self._map.close()
        except BufferError:
            return

    def _is_current(self, slot: Slot) -> bool:
        return bool(slot.generation == self._generations[slot.index] and self._owners[slot.index] != _FREE)

    def _ring(self) -> None:
        try:
            os.write(self.fds.ring, (1).to_bytes(8, sys.byteorder))
        except (BlockingIOError, BrokenPipeError):  # it rings already; or nobody listens any more
            return

    def _view(self, index: int, height: int, width: int) -> NDArray[np.uint8]:
        start = _HEADER_BYTES + index * self._slot_bytes
        return np.frombuffer(self._map, np.uint8, height * width * 3, start).reshape(height, width, 3)


def create(slots: int, slot_bytes: int) -> StoreFds:
    """File descriptors of a new store.

    Args:
        slots: 1 to 256.
        slot_bytes: the largest picture, in bytes.
    """
    page_bytes = mmap.ALLOCATIONGRANULARITY
    slot_bytes = -(-slot_bytes // page_bytes) * page_bytes
    if sys.platform == "linux":
        memory = os.memfd_create("posestream-frames")
        listen = ring = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    else:
        with tempfile.TemporaryFile() as file:  # has no name on disk
            memory = os.dup(file.fileno())
        listen, ring = os.pipe()
        os.set_blocking(listen, False)
        os.set_blocking(ring, False)
    os.ftruncate(memory, _HEADER_BYTES + slots * slot_bytes)
    return StoreFds(memory, listen, ring)
