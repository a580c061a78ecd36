"""Frames and sources on which stages die again and again: found out, so that the run can go on without them."""

from __future__ import annotations

from collections.abc import Sequence

from stream.runtime.recovers import At, Death

_SAME_FRAME = 2
"""So often in a row a stage has died on a frame that is to blame."""
_SAME_PLACE, _NEAR_FRAMES = 3, 32
"""So often in a row, so near to each other, reading has died of a source that is to blame: a decoder with several
threads is not always equally far when one of them meets what kills it."""
_FOUND_MAX = 8
"""Between two commits; where there are more, it is the stage that is broken and not the frames."""


class Poison:
    """What is to blame for the deaths of a run of recordings."""

    def __init__(self) -> None:
        self.frames: dict[str, list[int]] = {}
        """Source -> its frames that no stage is to work on."""
        self.alone: set[str] = set()
        """Sources whose frames the network is to see one by one: one of a batch killed it, unknown which."""
        self.unreadable: dict[str, str] = {}
        """Source that is to be read no further -> why."""
        self._at: list[set[At]] = []
        """What stages were at when they died, since anything was done."""
        self._found = 0

    def take(self, death: Death) -> str:
        """Take note of a death: what was found out by it, for people; empty: nothing."""
        self._at.append(set(death.at))
        found = self._unread(death) if death.reads else self._killing(death)
        self._found += bool(found)
        return found if self._found <= _FOUND_MAX else ""

    def succeed(self) -> None:
        """Take note that something was done since the last death."""
        self._at.clear()
        self._found = 0

    def _unread(self, death: Death) -> str:
        last = self._at[-_SAME_PLACE:]
        if len(last) < _SAME_PLACE or any(len(each) != 1 for each in last):
            return ""
        places = [next(iter(each)) for each in last]
        name, frame = places[-1]
        near = max(place.frame for place in places) - min(place.frame for place in places) < _NEAR_FRAMES
        if not near or any(place.source != name for place in places):
            return ""
        self.unreadable[name] = f"cannot be read on near frame {frame}: {death.failed.text}, {_SAME_PLACE} times"
        return f"{name} is read no further: reading it fails near frame {frame}, {_SAME_PLACE} times in a row"

    def _killing(self, death: Death) -> str:
        last: Sequence[set[At]] = self._at[-_SAME_FRAME:]
        blamed = set.intersection(*last) if len(last) == _SAME_FRAME else set()
        if len(blamed) > 1:
            self.alone |= {at.source for at in blamed}
            return ""
        for at in blamed:
            self.frames.setdefault(at.source, []).append(at.frame)
            return f"frame {at.frame} of {at.source} is given nobody: {_SAME_FRAME} times stages failed on it"
        return ""
