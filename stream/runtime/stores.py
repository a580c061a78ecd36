"""The frame stores of a run, one a decoder, as its supervisor sees them."""

from __future__ import annotations

from collections.abc import Iterable

from stream.runtime import frame_store
from stream.runtime.frame_store import FrameStore, StoreFds
from stream.runtime.topology import GroupSpec


class Stores:
    """All frame stores of a run."""

    def __init__(self, specs: Iterable[GroupSpec], slots: int, slot_bytes: int) -> None:
        """Make a store for each group that fills one.

        Args:
            specs: the groups.
            slots: how many each has.
            slot_bytes: the largest picture, in bytes.
        """
        self.by_number = {
            spec.store: FrameStore(spec.store, frame_store.create(slots, slot_bytes), slots)
            for spec in specs
            if spec.store >= 0
        }

    @property
    def fds(self) -> dict[int, StoreFds]:
        """The file descriptors of each."""
        return {number: store.fds for number, store in self.by_number.items()}

    def held(self, owner: int) -> int:
        """How many slots a group owns."""
        return sum(store.held(owner) for store in self.by_number.values())

    def reclaim(self, owner: int) -> None:
        """Free all slots of a group that is gone."""
        for store in self.by_number.values():
            store.reclaim(owner)

    def close(self) -> None:
        """Close them and their descriptors."""
        for store in self.by_number.values():
            store.fds.close()
            store.close()
