"""What the window shows and what its keys do, without a window."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.messages import Begin, End, Frame, Status

HELP = (
    ("q, Esc", "end the run"),
    ("Space", "hold the view, go on"),
    ("s", "save a PNG"),
    ("1 .. 9", "one source; again: all"),
    ("Tab", "the next source, then all"),
    ("h", "this help"),
)
"""Key and what it does."""
_ESC, _TAB = 27, 9
_FIRST_MAX = (1280, 720)  # of the window when it opens, pixels


class Action(Enum):
    """What a key asks for that the view cannot do itself."""

    QUIT = auto()
    SAVE = auto()


class Tile(NamedTuple):
    """Where a source's picture goes in the window, pixels from its upper left corner."""

    source: str
    left: int
    top: int
    width: int
    height: int


@dataclass
class Shown:
    """A source in the window."""

    width: int
    height: int
    folder: str
    status: str = ""
    """Why no frames come; empty while they do."""
    frame: Frame | None = None
    """The newest; None: none has come yet."""


@dataclass
class View:
    """Sources, which of them is picked, whether the view is held and help is shown."""

    sources: dict[str, Shown] = field(default_factory=dict)
    """By name, in the order in which they were opened."""
    picked: str = ""
    """The one source that is shown; empty: all."""
    held: bool = False
    help: bool = False
    _waiting: dict[str, Frame] = field(default_factory=dict)
    """What came while the view was held."""

    def take(self, message: Begin | Frame | Status | End) -> None:
        """Take note of what has come. A source that has ended stays as it was last seen."""
        match message:
            case Begin():
                shown = self.sources.get(message.spec.name)
                frame = shown.frame if shown else None
                folder = message.spec.folder
                self.sources[message.spec.name] = Shown(message.width, message.height, folder, frame=frame)
            case Frame():
                if self.held:
                    self._waiting[message.source] = message
                else:
                    self._show(message)
            case Status():
                if message.source in self.sources:
                    bad = message.state in ("reconnecting", "failed")
                    self.sources[message.source].status = f"{message.state}: {message.reason}" if bad else ""
            case End():
                if message.source in self.sources:
                    self.sources[message.source].status = message.problem

    def press(self, key: int) -> Action | None:
        """Do what a key means; what is left for the window to do, None: nothing.

        Args:
            key: its character's code; -1: none was pressed. Keys without a meaning do nothing.
        """
        if key == _ESC or key == ord("q"):
            return Action.QUIT
        if key == ord("s"):
            return Action.SAVE
        if key == ord("h"):
            self.help = not self.help
        elif key == ord(" "):
            self._hold(not self.held)
        elif key == _TAB:
            self._pick_next()
        elif ord("1") <= key <= ord("9"):
            names = [*self.sources][key - ord("1") :][:1]
            self.picked = names[0] if names and names[0] != self.picked else ""
        return None

    @property
    def visible(self) -> list[str]:
        """The sources that are shown, in order."""
        return [self.picked] if self.picked else [*self.sources]

    def first_size(self) -> tuple[int, int]:
        """Width and height of the window when it opens: that of the first source, as far as that is reasonable."""
        first = next(iter(self.sources.values()), None)
        if first is None:
            return _FIRST_MAX
        scale = min(1.0, _FIRST_MAX[0] / first.width, _FIRST_MAX[1] / first.height)
        return max(1, round(first.width * scale)), max(1, round(first.height * scale))

    def tiles(self, width: int, height: int) -> list[Tile]:
        """Where each visible source goes in a window of a size, its shape kept and centred in its cell of the grid."""
        names = self.visible
        if not names:
            return []
        columns = _columns([self.sources[name] for name in names], width, height)
        rows = math.ceil(len(names) / columns)
        tiles = []
        for at, name in enumerate(names):
            row, column = divmod(at, columns)
            left, right = column * width // columns, (column + 1) * width // columns
            top, bottom = row * height // rows, (row + 1) * height // rows
            wide, high = _fitted(self.sources[name], right - left, bottom - top)
            tiles.append(Tile(name, left + (right - left - wide) // 2, top + (bottom - top - high) // 2, wide, high))
        return tiles

    def caption(self, source: str) -> str:
        """What stands on a source's picture; empty: nothing."""
        shown = self.sources[source]
        number = [*self.sources].index(source) + 1
        name = f"{number} {source}" if len(self.sources) > 1 else ""
        parts = [name, shown.status, "waits for frames" if shown.frame is None and not shown.status else ""]
        return " | ".join(filter(None, [*parts, "held" if self.held else ""]))

    def saved_name(self) -> str:
        """File of a PNG of what is shown, which tells the frame of a single source."""
        names = self.visible
        if len(names) == 1 and (frame := self.sources[names[0]].frame) is not None:
            return f"frame-{frame.epoch}-{frame.index:06d}.png"
        indices = [shown.frame.index for shown in self.sources.values() if shown.frame is not None]
        return f"frames-{max(indices, default=0):06d}.png"

    def picture(self, source: str) -> NDArray[np.uint8] | None:
        """(H, W, 3) RGB of a source; None: none has come yet."""
        frame = self.sources[source].frame
        return None if frame is None else frame.picture

    def _show(self, frame: Frame) -> None:
        if frame.source in self.sources:
            shown = self.sources[frame.source]
            shown.frame, shown.width, shown.height = frame, frame.width, frame.height

    def _hold(self, held: bool) -> None:
        self.held = held
        if not held:
            for frame in self._waiting.values():
                self._show(frame)
            self._waiting.clear()

    def _pick_next(self) -> None:
        names = [*self.sources] if len(self.sources) > 1 else []
        at = names.index(self.picked) + 1 if self.picked in names else 0
        self.picked = names[at] if at < len(names) else ""


def _columns(shown: list[Shown], width: int, height: int) -> int:
    """The number of columns with which the pictures cover most of the window; the fewest of several."""

    def covered(columns: int) -> int:
        rows = math.ceil(len(shown) / columns)
        sizes = [_fitted(each, width // columns, height // rows) for each in shown]
        return sum(wide * high for wide, high in sizes)

    return max(range(1, len(shown) + 1), key=covered)


def _fitted(shown: Shown, width: int, height: int) -> tuple[int, int]:
    """The largest size of a source's shape within a width and a height."""
    scale = min(width / shown.width, height / shown.height)
    return max(1, round(shown.width * scale)), max(1, round(shown.height * scale))
