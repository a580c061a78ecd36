"""The frame stores of a run, one a decoder, as its supervisor sees them."""

from __future__ import annotations

from collections.abc import Iterable

from stream.runtime import frame_store
from stream.runtime.frame_store import FrameStore, StoreFds
from stream.runtime.recovers import At
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
        decoders = [spec for spec in specs if spec.store >= 0]
        self._sources = {spec.store: spec.sources for spec in decoders}
        self.by_number = {
            spec.store: FrameStore(spec.store, frame_store.create(slots, slot_bytes), slots) for spec in decoders
        }

    @property
    def fds(self) -> dict[int, StoreFds]:
        """The file descriptors of each."""
        return {number: store.fds for number, store in self.by_number.items()}

    def held(self, owner: int) -> int:
        """How many slots a group owns."""
        return sum(store.held(owner) for store in self.by_number.values())

    def at_work(self, group: GroupSpec) -> list[At]:
        """What a group of a run of recordings works on: frames; of a decoder the one that it reads next."""
        if not group.sources:
            found = [(store.number, *each) for store in self.by_number.values() for each in store.in_hand(group.number)]
        elif (own := self.by_number.get(group.store)) and own.sources_read < len(group.sources):
            found = [(own.number, own.sources_read, own.frames_read)]
        else:
            found = []
        return [At(self._sources[store][source].name, frame) for store, source, frame in found]

    def reclaim(self, owner: int) -> None:
        """Free all slots of a group that is gone."""
        for store in self.by_number.values():
            store.reclaim(owner)

    def close(self) -> None:
        """Close them and their descriptors."""
        for store in self.by_number.values():
            store.fds.close()
            store.close()


def usual_slots(specs: Iterable[GroupSpec], batch_max: int | None) -> int:
    """Slots of a store that the user has said nothing about: what batches on GPUs ask for.

    The memory is taken only where pictures lie.

    Args:
        specs: the groups; each with an infer stage works on one batch while it waits for the next.
        batch_max: frames in a batch; None: 8.
    """
    batches = 2 * sum("infer" in spec.stages for spec in specs)
    return min(batches * (batch_max or 8) + 2, frame_store.SLOTS_MAX)
