"""When the frames of a source are shown in its overlay."""

from __future__ import annotations

from msgspec import Struct


class Timeline(Struct):
    """The overlay begins with the first frame; where the source's clock steps back, the overlay's goes on."""

    first_ns: int
    """Time of the first frame, on the source's clock."""
    origin_ns: int
    """What is zero in the overlay, on the source's clock as it is now."""
    step_ns: int
    """Usual time between frames."""
    last_ns: int | None = None
    """Time of the last frame, on the source's clock; None before the first."""

    def place(self, pts_ns: int) -> int:
        """Nanoseconds from the overlay's beginning to the next frame, which has that time on the source's clock."""
        if self.last_ns is not None and pts_ns <= self.last_ns:
            self.origin_ns += pts_ns - self.last_ns - self.step_ns
        self.last_ns = pts_ns
        return pts_ns - self.origin_ns

    @property
    def is_unbroken(self) -> bool:
        """Whether the source's clock has never stepped back."""
        return self.origin_ns == self.first_ns
